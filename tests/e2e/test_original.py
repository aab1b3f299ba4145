"""``drmgr restore --to original``: beside, proven, in place; what was there is kept, and comes back."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import VISITS
from tests.support.postgres import PostgresServer
from tests.support.site import Recorded, Site, digest_of

SURE = ("--reason", "rows changed by mistake")
COUNT = "SELECT count(*) FROM visit"


@pytest.fixture
def open_site(site: Site, database: tuple[PostgresServer, str]) -> Iterator[Site]:
    """A site that allows it, with the superuser's account; the shared server is as it was when the test is over."""
    server, _ = database

    def allow(document: Any) -> None:
        document["restore"]["allow"]["original"] = ["his", "docs"]
        document["restore"]["through"] = {"his-main": "his-alias"}

    site.edit(allow)
    server.execute("postgres", "CREATE DATABASE kept TEMPLATE his")
    yield site
    made = [name for (name,) in server.execute("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^his'")]
    for name in made:
        server.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")
    server.execute("postgres", "ALTER DATABASE kept RENAME TO his")


def in_place(system: str, *more: str) -> tuple[str, ...]:
    return ("restore", system, "--to", "original", "--confirm", system, *SURE, *more)


def report_of(site: Site, run: str) -> str:
    pdf = site.json("report", "incident", run)["report"]
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


def test_it_is_refused_until_the_site_file_allows_it_and_somebody_confirms(site: Site) -> None:
    for system in ("his", "docs"):
        assert "own place" in site.refused(13, *in_place(system))["message"]
    site.edit(lambda document: document["restore"]["allow"].update(original=["docs"]))
    assert "--confirm" in site.refused(13, "restore", "docs", "--to", "original", *SURE)["message"]
    assert "why" in site.refused(13, "restore", "docs", "--to", "original", "--confirm", "docs")["message"]
    # at a terminal what is missing is asked
    seen = site.at_terminal("restore", "docs", "--to", "original", typed="his\n")
    assert (
        seen.code == 13 and "set aside documents ->" in seen.out and "that was not docs; nothing was done" in seen.out
    )
    # an account that only makes backups is no account to rename databases with
    site.edit(lambda document: document["restore"]["allow"].update(original=["his"]))
    assert "restore.through" in site.refused(11, *in_place("his"))["hint"]


def test_a_database_is_swapped_and_put_back(open_site: Site, database: tuple[PostgresServer, str]) -> None:
    site, (server, _) = open_site, database
    server.execute("his", "CREATE TABLE mistake (n int)")
    server.execute("postgres", "REVOKE CONNECT ON DATABASE his FROM PUBLIC; GRANT CONNECT ON DATABASE his TO drmgr")
    site.json("backup", "his")
    server.execute("his", "UPDATE visit SET at = now() - interval '9 years'; DROP TABLE mistake")
    session = psycopg.connect(
        host=server.socket, dbname="his", user="postgres", password=server.password, autocommit=True
    )
    error = site.refused(13, *in_place("his"))
    assert "work in main" in error["message"] and "--end-sessions" in error["hint"]
    done = site.json(*in_place("his", "--end-sessions"))
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert (done["status"], done["target"], done["swap"]["phase"]) == ("ok", "original", "swapped")
    names = {check["name"] for check in done["verified"]["checks"]}
    assert {"facts-main", "visits", "visits@original", "opens-main@original"} <= names
    assert "facts-main@original" not in names
    # nobody says when the fault was until the command that checks once more
    again = ("restore", "his", "--finish", done["run"], "--confirm", "his", *SURE)
    ended = site.json(*again)
    assert (ended["times"]["t0"], ended["counted_from"], ended["rto"]["met"]) == (None, "begun", None)
    ended = site.json(*again, "--fault-at", "2026-01-05 09:00")
    assert (ended["times"]["t0"] or "").startswith("2026-01-05T09:00")
    run = done["run"].lower()
    assert server.execute("his", "SELECT count(*) FROM visit WHERE at > now() - interval '1 year'") == [(VISITS,)]
    assert server.execute(f"his_before_{run}", "SELECT count(*) FROM visit WHERE at < now() - interval '1 year'") == [
        (VISITS,)
    ]
    # owner and rights are those of the backup
    rights = "SELECT datdba, acl::text FROM pg_database, unnest(datacl) acl WHERE datname = '{}' ORDER BY 2"
    assert server.execute("his", rights.format("his")) == server.execute("his", rights.format(f"his_before_{run}"))
    audit = [
        (line["act"], line["result"], line["detail"].get("new"))
        for line in map(json.loads, (site.directory / "state/audit/audit.jsonl").read_text().splitlines())
        if line["act"] == "rename"
    ]
    assert audit == [("rename", result, name) for name in (f"his_before_{run}", "his") for result in ("started", "ok")]
    undone = site.json("restore", "his", "--undo", done["run"], "--confirm", "his", *SURE)
    assert undone["swap"]["phase"] == "undone"
    assert server.execute("his", "SELECT count(*) FROM visit WHERE at < now() - interval '1 year'") == [(VISITS,)]
    assert server.execute(f"his_restored_{run}", COUNT) == [(VISITS,)]
    assert (
        "nothing to undo"
        in site.refused(2, "restore", "his", "--undo", done["run"], "--confirm", "his", *SURE)["message"]
    )


def test_a_folder_is_swapped_and_put_back(open_site: Site) -> None:
    site, root = open_site, open_site.directory / "documents"
    good = digest_of(root)
    (root / "2026/1.txt").write_text("encrypted")
    (root / "ransom.txt").write_text("pay")
    bad = digest_of(root)
    done = site.json(*in_place("docs"))
    before = root.with_name(f"documents_before_{done['run'].lower()}")
    assert (digest_of(root), digest_of(before)) == (good, bad)
    assert site.runs()[-1] == Recorded("restore", "docs", "ok", None)
    # people have worked in it since; what is told of the restore stays as it was
    (root / "2026/1.txt").unlink()
    late = site.json("restore", "docs", "--finish", done["run"], "--confirm", "docs", *SURE)
    assert (late["status"], late["times"]) == ("ok", done["times"])
    assert "integrity-files@original" in {check["name"] for check in late["verified"]["checks"]}
    (root / "2026/1.txt").write_text("文书 1", encoding="utf-8")
    undo = ("restore", "docs", "--undo", done["run"], "--confirm", "docs", *SURE)
    assert "no record" in site.refused(2, *undo, "--fault-at", "2026-01-05 09:00")["message"]
    assert "恢复的数据，启用" in report_of(site, done["run"])
    seen = site.at_terminal("restore", "docs", "--undo", done["run"], typed="docs\nwrong point\n")
    assert seen.code == 0 and "Why? It goes into the record" in seen.out
    told = report_of(site, done["run"])
    assert "恢复的数据，停用并保留" in told and "恢复的数据，启用" not in told
    assert digest_of(root) == bad
    restored = root.with_name(f"documents_restored_{done['run'].lower()}")
    assert (restored / "scan.bin").is_file() and not (restored / "ransom.txt").exists()
    assert not [path for path in site.directory.iterdir() if path.name.startswith(".documents")]


def test_a_failed_check_changes_no_name(open_site: Site, database: tuple[PostgresServer, str]) -> None:
    site, (server, _) = open_site, database
    site.edit(lambda job: job["checks"][0]["expect"].update(equals=41), "jobs/his.yaml")
    told = site.json(*in_place("his", "--end-sessions"), code=4)
    assert (told["status"], told["swap"]["phase"]) == ("failed", "dropped")
    assert server.execute("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^his_'") == []
    done = site.json(*in_place("his", "--end-sessions", "--accept-failed-checks"), code=4)
    assert done["swap"]["phase"] == "swapped"
    assert len(server.execute("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^his_before'")) == 1
