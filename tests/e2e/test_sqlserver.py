"""SQL Server as its users see it: the command, and stand-ins for two servers that real pymssql logs in to, by TLS."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.system.mssql import connect
from tests.support.folders import passable_directory
from tests.support.objectstore import BucketMaker, s3_client
from tests.support.site import Site
from tests.support.sqlserver import PASSWORD, USER, StandIn, make_certificate, sample_tables, stand_in
from tests.support.tds.devices import S3_IDENTITY
from tests.support.tds.store import BucketOf, Table, appended

COUNT = "SELECT COUNT(*) FROM dbo.charge WHERE amount < 0"

SITE = """
site: {{id: test-hospital, name: {{zh: 测试医院, en: Test Hospital}}, timezone: Asia/Shanghai}}
keys: {{directory: keys, passphrase: "file:secrets/passphrase"}}
store: {{kind: folder, path: repositories}}
connections:
  lis-main:
    {{engine: sqlserver, host: localhost, port: {port}, database: lis, user: drmgr, password: "file:secrets/lis", tls: verify,
      ca: ca.pem, backups: {{server: /backups, local: source/share}}, ship_logs: true}}
  drill-server:
    {{engine: sqlserver, host: localhost, port: {scratch}, database: master, user: drmgr, password: "file:secrets/lis",
      tls: verify, ca: ca.pem, backups: {{server: /backups, local: drill/share}}}}
scratch: {{sqlserver: drill-server}}
"""

JOB = f"""
system: lis
title: {{zh: 检验系统, en: LIS}}
tier: 1
objectives: {{rpo: 1h, rto: 2h}}
sources:
  - {{name: main, kind: database, connection: lis-main}}
checks:
  - {{name: no-negative, kind: sql, title: {{zh: 无负数, en: none}}, source: main, sql: "{COUNT}", expect: {{equals: 0}}}}
  - {{name: newest, kind: freshness, title: {{zh: 新, en: fresh}}, source: main, table: dbo.patient, column: seen, within: 1d}}
"""

DRILL = """
drill: lis-restore
title: {zh: 演练, en: Drill}
scenario: server-lost
systems: [lis]
level: 4
"""

SURE = ("--confirm", "lis", "--reason", "rows changed by mistake")


class Hospital:
    """The site, and the two servers behind it."""

    def __init__(self, site: Site, source: StandIn, drill: StandIn) -> None:
        self.site, self.source, self.drill = site, source, drill

    def add(self, number: int) -> None:
        self.source.store.change(
            "lis", lambda tables: tables.update({"dbo.queue": appended(tables["dbo.queue"], (number,))})
        )

    def rows(self, database: str) -> list[int]:
        return [row[0] for row in self.source.store.databases[database].tables["dbo.queue"].rows if row[0] > 99]

    def queue(self, database: str) -> list[int]:
        return [row[0] for row in self.drill.store.databases[database].tables["dbo.queue"].rows if row[0] > 99]


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    with passable_directory() as directory:
        certificate = make_certificate(directory)
        with (
            stand_in(directory / "source", certificate=certificate) as source,
            stand_in(directory / "drill", "DRILL", certificate=certificate) as drill,
        ):
            yield _made(directory, source, drill)


def _made(directory: Path, source: StandIn, drill: StandIn) -> Hospital:
    source.create("lis")
    for server in (source, drill):
        server.store.answers[COUNT] = lambda database: sum(row[2] < 0 for row in database.tables["dbo.charge"].rows)
    # the newest patient was seen a moment ago, by the hospital's own clock
    seen = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=8) - timedelta(minutes=1)
    source.store.change(
        "lis", lambda tables: tables.update({"dbo.patient": appended(tables["dbo.patient"], _row(seen))})
    )
    for name, text in (
        ("drmgr.yaml", SITE.format(port=source.server.port, scratch=drill.server.port)),
        ("jobs/lis.yaml", JOB),
        ("drills/lis-restore.yaml", DRILL),
        ("secrets/passphrase", secrets.token_urlsafe(24)),
        ("secrets/lis", PASSWORD),
    ):
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    (directory / "tmp").mkdir()
    return Hospital(Site(directory), source, drill)


def _row(seen: datetime) -> tuple[object, ...]:
    return (61, "李四", None, seen, *[None] * 7)


def test_backup_ship_restore_to_an_instant_and_drill(hospital: Hospital) -> None:
    site = hospital.site
    site.init_keys()
    site.json("repo", "init")
    doctor = site.json("doctor")
    states = {finding["name"]: finding["state"] for finding in doctor["findings"]}
    assert (states["lis: main"], states["scratch SQL Server"]) == ("ok", "ok")
    site.json("backup", "lis")
    hospital.add(101)
    at = datetime.now(UTC) + timedelta(milliseconds=10)
    while datetime.now(UTC) < at + timedelta(milliseconds=10):
        pass
    hospital.add(102)
    (shipped,) = site.json("ship", "lis")["shipped"]
    assert (shipped["status"], shipped["files"]) == ("ok", 1)
    assert site.json("points", "lis")["pitr"]["to"] < shipped["until"]

    restored = site.json("restore", "lis", "--to", "scratch", "--at", at.isoformat(), "--keep", "1h")
    assert restored["status"] == "ok"
    assert hospital.queue(restored["instance"]["database"]) == [101]

    (played,) = site.json("drill", "run", "lis-restore")["drills"]
    assert (played["verdict"], played["level"]) == ("passed", 4)
    # only what the engineer asked to keep is still there
    assert list(hospital.drill.store.databases) == [restored["instance"]["database"]]
    for server in (hospital.source, hospital.drill):
        assert list(server.folder.local.iterdir()) == []
        assert all(session.secure for session in server.server.logins)
    assert not any(text.startswith("RESTORE DATABASE") for text in hospital.source.server.statements)

    _refuse_production(hospital)


def test_backup_and_drill_by_way_of_a_bucket(
    hospital: Hospital, object_store: ObjectStore, make_bucket: BucketMaker
) -> None:
    """The source's backups go through a bucket; the drill server sees a folder."""
    site, bucket = hospital.site, make_bucket()
    url = f"s3://store.example:9000/{bucket}"
    hospital.source.store.buckets[url] = BucketOf(s3_client(object_store), bucket)
    for name, secret in (("key", object_store.access_key), ("secret", object_store.secret_key)):
        (site.directory / "secrets" / name).write_text(secret.reveal())
        (site.directory / "secrets" / name).chmod(0o600)
    place = {
        "url": f"{url}/lis",
        "endpoint": object_store.endpoint,
        "access_key": "file:secrets/key",
        "secret_key": "file:secrets/secret",
    }
    site.edit(lambda document: document["connections"]["lis-main"].update(backups=place))
    site.init_keys()
    site.json("repo", "init")
    assert f"no credential for {url}" in site.run("backup", "lis", "--json").out
    hospital.source.store.credentials[url] = S3_IDENTITY
    hospital.add(101)
    (run,) = site.json("backup", "lis")["runs"]
    assert (run["status"], len(run["sources"])) == ("ok", 1)
    (played,) = site.json("drill", "run", "lis-restore")["drills"]
    assert (played["verdict"], played["level"]) == ("passed", 4)
    assert s3_client(object_store).list_object_versions(Bucket=bucket).get("Versions", []) == []
    site.edit(lambda document: document["connections"]["lis-main"]["backups"].update(server="/backups"))
    checked = site.run("config", "check")
    assert checked.code == 10
    assert "must hold either server and local, or url, access_key and secret_key" in checked.out + checked.err


def test_a_database_in_its_own_place_and_back(hospital: Hospital) -> None:
    """By an administrator's account: that of the backups may not."""
    site, store = hospital.site, hospital.source.store
    site.init_keys()
    site.json("repo", "init")
    hospital.add(101)
    site.json("backup", "lis")
    hospital.add(666)
    in_place = ("restore", "lis", "--to", "original", *SURE)
    assert "own place" in site.refused(13, *in_place)["message"]
    store.lesser.add(USER)
    site.edit(lambda document: document.update(restore={"allow": {"original": ["lis"]}}))
    assert "restore.through" in site.refused(11, *in_place)["hint"]
    hospital.source.server.accounts["boss"] = PASSWORD

    def allow(document: Any) -> None:
        document["connections"]["lis-boss"] = {
            **document["connections"]["lis-main"],
            "user": "boss",
            "ship_logs": False,
        }
        document["restore"]["through"] = {"lis-main": "lis-boss"}

    site.edit(allow)
    planned = site.json("restore", "lis", "--to", "original", "--dry-run")
    assert [(move["old"], move["new"]) for move in planned["renames"]] == [
        ("lis", "lis_before_<run>"),
        ("lis_restored_<run>", "lis"),
    ]
    store.databases["lis"].users = ("gone",)
    site.json("backup", "lis")
    hospital.add(667)
    done = site.json(*in_place)
    assert (done["status"], done["swap"]["phase"]) == ("ok", "swapped")
    assert {"facts-main", "no-negative@original", "integrity-main@original"} <= {
        check["name"] for check in done["verified"]["checks"]
    }
    assert done["by_hand"] == ["USE [lis]; ALTER USER [gone] WITH LOGIN = [gone]"]
    aside = f"lis_before_{done['run'].lower()}"
    assert (hospital.rows("lis"), hospital.rows(aside)) == ([101, 666], [101, 666, 667])
    site.json("restore", "lis", "--finish", done["run"], *SURE)
    undone = site.json("restore", "lis", "--undo", done["run"], *SURE)
    assert (undone["swap"]["phase"], hospital.rows("lis")) == ("undone", [101, 666, 667])
    assert sorted(store.databases) == ["lis", f"lis_restored_{done['run'].lower()}"]
    assert list(hospital.source.folder.local.iterdir()) == []


def _refuse_production(hospital: Hospital) -> None:
    """The source by another name is no scratch server."""
    site = hospital.site
    elsewhere = {
        "host": "127.0.0.1",
        "port": hospital.source.server.port,
        "backups": {"server": "/backups", "local": "source/share"},
    }
    site.edit(lambda document: document["connections"]["drill-server"].update(elsewhere))
    played = site.run("drill", "run", "lis-restore", "--json")
    assert played.code == 13
    assert "is the production server of lis/main" in played.out
    assert "is the production server of lis/main" in site.json("doctor", code=11)["findings"][-3]["detail"]
    assert list(hospital.source.store.databases) == ["lis"]
    site.edit(lambda document: document["scratch"].update(sqlserver="lis-main"))
    checked = site.run("config", "check")
    assert checked.code == 10
    assert "is the scratch server: drills would go onto production" in checked.out + checked.err


def test_a_table_is_laid_beside_the_live_one_and_the_changes_are_counted(hospital: Hospital) -> None:
    site, database = hospital.site, hospital.source.store.databases["lis"]
    site.init_keys()
    site.json("repo", "init")
    site.json("backup", "lis")
    then = database.tables["dbo.patient"]
    hospital.source.store.change("lis", _mistake)
    now = database.tables["dbo.patient"]
    words, sure = ("restore", "lis", "--table", "patient", "--to"), ("--confirm", "lis", "--reason", "wrong UPDATE")
    assert "restore.allow.tables" in site.json(*words, "original", *sure, code=13)["error"]["hint"]
    assert list(hospital.drill.store.databases) == []
    compared = site.json(*words, "scratch", "--keep", "1h")["tables"][0]
    site.edit(lambda document: document.update(restore={"allow": {"tables": ["lis-main"]}}))
    document = site.json(*words, "original", *sure)
    (table,) = document["tables"]
    assert (document["status"], document["verified"]["level"]) == ("ok", 4)
    assert table["laid_as"].startswith("dbo.patient__drmgr_")
    counts = {"before": len(then.rows), "now": len(now.rows), "added": 1, "removed": 2, "changed": 3}
    for told in (table, compared):
        assert {name: told["changes"][name] for name in counts} == counts
    # the very rows of then, and the live ones as they were
    laid = database.tables[table["laid_as"]]
    assert (sorted(laid.rows), laid.columns) == (sorted(then.rows), then.columns)
    assert database.tables["dbo.patient"] == now
    # what is printed to look at the differences finds as many, and what is printed to drop it drops it
    session = connect(hospital.source.access.server, "lis")
    for kind in ("added", "removed", "changed"):
        assert len(list(session.stream(table["sql"][kind]))) == counts[kind]
    session.act(table["sql"]["drop"])
    session.close()
    assert set(database.tables) == set(sample_tables())


def _mistake(tables: dict[str, Table]) -> None:
    patient = tables["dbo.patient"]
    at = patient.column("name")
    kept = [row for row in patient.rows if row[0] not in (10, 11)]
    wrong = [(*row[:at], "李四", *row[at + 1 :]) if row[0] <= 3 else row for row in kept]
    tables["dbo.patient"] = replace(patient, rows=(*wrong, (1001, "王五", *[None] * 9)))
