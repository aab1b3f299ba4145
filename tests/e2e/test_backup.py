"""``drmgr backup`` and ``drmgr points``: what they answer, and what they do on bad days."""

from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import fill_server, use_bucket
from tests.support.postgres import postgres_server
from tests.support.restic import restic_that_obeys_file_modes
from tests.support.shape import Instant, Maybe, Ulid, fits
from tests.support.site import Recorded, Site, assert_clear, small_disk

BACKUP = {
    "runs": [
        {
            "run": Ulid,
            "system": str,
            "status": {"ok", "incomplete", "failed"},
            "recovery_point": Maybe(Ulid),
            "started_at": Instant,
            "finished_at": Instant,
            "sources": [{"name": str, "snapshot": str, "bytes_processed": int, "bytes_added": int, "seconds": float}],
            "error": Maybe({"code": str, "message": str, "hint": str}),
        }
    ]
}
POINTS = {
    "system": str,
    "points": [
        {
            "id": Ulid,
            "created_at": Instant,
            "consistent_at": Instant,
            "sources": [{"name": str, "engine": str, "snapshot": str, "bytes": int}],
            "copies": [],
            "protected_until": Maybe(Instant),
        }
    ],
    "pitr": Maybe({"from": Instant, "to": Instant}),
}


def failed_backup(site: Site, code: int, system: str = "his", error: str | None = None) -> str:
    """One backup that fails as it should: told, recorded, and nothing offered that was not before; the message."""
    before = site.points(system)
    document = site.json("backup", system, code=code)
    fits(document, BACKUP)
    (run,) = document["runs"]
    assert (run["status"], run["recovery_point"], run["sources"]) == ("failed", None, [])
    assert_clear(run["error"])
    if error:
        assert run["error"]["code"] == error
    assert site.runs()[-1] == Recorded("backup", system, "failed", run["error"]["code"])
    assert site.points(system) == before != []
    return str(run["error"]["message"])


def test_backup_and_points_answer_as_the_contract_says(site: Site) -> None:
    document = site.json("backup", "--all")
    fits(document, BACKUP)
    assert [run["system"] for run in document["runs"]] == ["his", "docs"]
    assert all(run["status"] == "ok" and run["error"] is None for run in document["runs"])
    made = document["runs"][0]["recovery_point"]
    points = site.json("points", "his")
    fits(points, POINTS)
    assert len(points["points"]) == 2
    assert points["points"][-1]["id"] == made
    assert points["points"][-1]["sources"][0]["snapshot"] == document["runs"][0]["sources"][0]["snapshot"]
    shown = site.run("points", "his")
    assert made in shown.out


def test_a_lost_catalog_costs_no_recovery_point(site: Site) -> None:
    before = site.json("points", "docs")
    for file in (site.directory / "state").glob("catalog.db*"):
        file.unlink()
    assert site.json("points", "docs") == before
    assert len(before["points"]) == 1


def test_wrong_database_password(site: Site) -> None:
    (site.directory / "secrets/his").write_text("not-this-one")
    assert "password" in failed_backup(site, 11)
    shown = site.run("backup", "his")
    assert shown.code == 11
    assert "HINT: " in shown.err


def test_database_stopped_in_the_middle_of_a_dump(site: Site) -> None:
    with postgres_server() as server:
        (site.directory / "secrets/his").write_text(fill_server(server))
        site.edit(lambda document: document["connections"]["his-main"].update(host=server.socket))
        before = site.points("his")
        held = site.hold("pg_dump", begun="PGDMP")
        with site.started("backup", "his") as process:
            held.wait()
            server.stop()
            held.let_go()
            answer = site.ended(process)
    assert answer.code == 20, answer
    assert "HINT: " in answer.err
    assert site.runs()[-1] == Recorded("backup", "his", "failed", "source")
    assert site.points("his") == before != []


def test_unreadable_file_makes_the_point_incomplete_and_never_the_latest(site: Site) -> None:
    site.edit(
        lambda document: document["restic"].update(program=str(restic_that_obeys_file_modes(site.directory / "tmp")))
    )
    locked = site.directory / "documents/2026/3.txt"
    locked.chmod(0)
    (before,) = site.points("docs")
    document = site.json("backup", "docs", code=3)
    fits(document, BACKUP)
    (run,) = document["runs"]
    assert run["status"] == "incomplete"
    assert site.runs()[-1] == Recorded("backup", "docs", "incomplete", None)
    points = site.json("points", "docs")["points"]
    assert [point["id"] for point in points] == [before, run["recovery_point"]]
    assert [point["status"] for point in points] == ["complete", "incomplete"]
    plan = site.json("restore", "docs", "--to", "scratch", "--dry-run")
    assert plan["point"] == before
    shown = site.run("backup", "docs")
    assert shown.code == 3
    assert "HINT: " in shown.err
    (site.directory / "tmp/obedient-restic").unlink()


def test_two_backups_of_one_system_at_once(site: Site) -> None:
    held = site.hold("pg_dump")
    with site.started("backup", "his", "--json") as first:
        held.wait()
        document = site.json("backup", "his", code=12)
        fits(document, BACKUP)
        error = document["runs"][0]["error"]
        assert error["code"] == "locked"
        assert str(first.pid) in error["message"]
        # another system is not in the way
        assert site.json("backup", "docs")["runs"][0]["status"] == "ok"
        held.let_go()
        assert site.ended(first).code == 0
    assert Recorded("backup", "his", "failed", "locked") in site.runs()
    assert len(site.points("his")) == 2


def test_restic_too_old(site: Site) -> None:
    old = site.directory / "old-restic"
    old.write_text("#!/bin/sh\necho 'restic 0.14.0 compiled with go1.19.8 on linux/amd64'\n")
    old.chmod(0o755)
    before = site.points("docs")
    site.edit(lambda document: document["restic"].update(program=str(old)))
    document = site.json("backup", "docs", code=11)
    error = document["runs"][0]["error"]
    assert error["code"] == "tool"
    assert "0.14.0" in error["message"]
    assert "0.18.0" in error["hint"]
    assert site.runs()[-1] == Recorded("backup", "docs", "failed", "tool")
    assert "0.14.0" in site.refused(11, "points", "docs")["message"]
    assert "0.14.0" in site.refused(11, "restore", "docs", "--to", "scratch")["message"]
    site.edit(lambda document: document["restic"].update(program="restic"))
    assert site.points("docs") == before


def test_empty_folder_is_not_backed_up_as_if_it_were_the_data(site: Site) -> None:
    (site.directory / "documents").rename(site.directory / "unmounted")
    (site.directory / "documents").mkdir()
    assert "empty" in failed_backup(site, 11, "docs", "preflight")


def test_one_system_that_fails_does_not_keep_the_others_from_their_backup(site: Site) -> None:
    (site.directory / "secrets/his").write_text("not-this-one")
    document = site.json("backup", "--all", "--jobs", "2", code=3)
    assert [run["status"] for run in document["runs"]] == ["failed", "ok"]


# --- the object store -------------------------------------------------------------------------------------------------


def test_bucket_is_made_and_backed_up_into(bucket_site: Site) -> None:
    bucket_site.edit(lambda document: document["store"].update(bucket="made-by-drmgr"))
    # the points that are remembered lie in the folder of before
    first = bucket_site.json("repo", "init", "docs", "--anew")
    assert [row["state"] for row in first["repositories"]] == ["made", "made"]
    again = bucket_site.json("repo", "init", "docs")
    assert [row["state"] for row in again["repositories"]] == ["there", "there"]
    assert bucket_site.json("backup", "docs")["runs"][0]["status"] == "ok"
    assert len(bucket_site.points("docs")) == 1


def test_bucket_missing_and_keys_refused(bucket_site: Site) -> None:
    bucket_site.edit(lambda document: document["store"].update(bucket="not-there"))
    missing = bucket_site.json("backup", "docs", code=21)["runs"][0]["error"]
    assert missing["code"] == "repository-missing"
    assert "not-there" in missing["message"]
    assert_clear(missing)
    assert bucket_site.runs()[-1] == Recorded("backup", "docs", "failed", "repository-missing")
    assert bucket_site.refused(21, "points", "docs")["code"] == "repository-missing"
    (bucket_site.directory / "secrets/s3-secret").write_text("wrong-secret-key")
    refused = bucket_site.json("backup", "docs", code=21)["runs"][0]["error"]
    assert refused["code"] == "repository-access"
    assert_clear(refused)
    assert bucket_site.runs()[-1] == Recorded("backup", "docs", "failed", "repository-access")


def test_object_store_stopped_in_the_middle_of_a_backup(site: Site, tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as store:
        use_bucket(site, store, "hospital")
        site.json("repo", "init", "his", "--anew")
        site.json("backup", "his")
        before = site.points("his")
        held = site.hold("pg_dump")
        with site.started("backup", "his", "--json") as process:
            held.wait()
            store.stop()
            held.let_go()
            answer = site.ended(process)
        assert answer.code == 21, answer
        (run,) = answer.document["runs"]
        assert run["error"]["code"] == "repository-unreachable"
        assert_clear(run["error"])
        assert site.runs()[-1] == Recorded("backup", "his", "failed", "repository-unreachable")
        assert site.refused(21, "points", "his")["code"] == "repository-unreachable"
        store.start()
        assert site.points("his") == before != []


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [30, 130])
def test_disk_of_the_state_folder_full(site: Site, tmp_path: Path, left: int) -> None:
    before = site.points("docs")
    for number in range(2000):
        # so many that their list is larger than the disk
        (site.directory / f"documents/2026/{'page' * 30}-{number}.txt").write_text("one page")
    kept, state = tmp_path / "kept", site.directory / "state"
    # in whole pages, as the small file system counts
    used = sum(-(-path.stat().st_size // 4096) * 4 for path in state.rglob("*") if path.is_file())
    answer = site.run("backup", "docs", "--json", wrapper=small_disk(state, f"{used + left}k", kept))
    document = answer.document
    error = document["error"] if "error" in document else document["runs"][0]["error"]
    assert answer.code == error["exit_code"]
    assert error["code"] in {"preflight", "repository"}
    assert_clear(error)
    assert not list((kept / "runtime").iterdir())
    assert site.points("docs") == before
