"""A tree that was encrypted, a table that was emptied, a canary that died: marked, told once, and nothing expires."""

import json
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.e2e.test_expire import with_rules
from tests.support.postgres import PostgresServer
from tests.support.robot import robot
from tests.support.site import Json, Site

WORDS = "入院记录 病程记录 护理记录 医嘱单 admission progress nursing orders\n".encode()


def ransom(folder: Path) -> None:
    """Every file is replaced by one of the same size, under another name, that holds nothing but noise."""
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
        path.with_name(f"{path.name}.locked").write_bytes(secrets.token_bytes(path.stat().st_size))
        path.unlink()


def made(site: Site, system: str) -> Json:
    (run,) = site.json("backup", system)["runs"]
    return run


@pytest.fixture
def ward(database: tuple[PostgresServer, str]) -> Iterator[PostgresServer]:
    """A table of the HIS that this test may empty."""
    server, _ = database
    server.execute("his", "CREATE TABLE ward AS SELECT n AS id, 'bed ' || n AS bed FROM generate_series(1, 50) n")
    yield server
    server.execute("his", "DROP TABLE ward")


def test_an_encrypted_tree_is_marked_told_once_and_freezes_expire_until_it_is_accepted(site: Site) -> None:
    with_rules(site)
    tree = site.directory / "documents"
    for number in range(40):
        lines = b"".join(b"%d %d " % (number, line) + WORDS for line in range(600))
        (tree / f"2026/note-{number:02}.txt").write_bytes(lines)
    for number in range(3):
        (tree / f"2026/new-{number}.txt").write_bytes(WORDS)
        assert made(site, "docs")["suspicion"]["state"] == ("short-history" if number < 2 else "ok")
    ransom(tree)
    run = made(site, "docs")
    assert (run["status"], run["suspicion"]["state"]) == ("ok", "suspicious")
    (doubt,) = run["suspicion"]["doubts"]
    assert (doubt["source"], doubt["kind"], doubt["since"]) == ("files", "encrypted", run["recovery_point"])
    (row,) = site.json("repo", "expire", "docs", code=11)["systems"]
    assert row["error"]["code"] == "expire-refused"
    shown = site.run("points", "docs")
    assert shown.code == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines() if "is suspicious" not in line)
    assert shown.out.count("suspicious") == 2
    told_once(site)
    assert in_the_quarter(site) == [{"count": 1, "days": 0}]

    site.json("points", "docs", "--accept", run["recovery_point"], code=2)
    site.json("points", "docs", "--accept", run["recovery_point"], "--reason", "archive encrypted on purpose, CHG-7")
    # what this host remembers is not what counts
    (site.directory / "state/catalog.db").unlink()
    accepted = site.json("points", "docs")["points"]
    assert [row["suspicion"]["state"] for row in accepted][-2:] == ["ok", "accepted"]
    assert accepted[-1]["suspicion"]["accepted"]["reason"] == "archive encrypted on purpose, CHG-7"
    (row,) = site.json("repo", "expire", "docs")["systems"]
    assert row["expired"]
    assert in_the_quarter(site) == []
    (line,) = [line for line in site.json("audit", "show")["lines"] if line["act"] == "points.accept"][-1:]
    assert (line["why"], line["result"]) == ("archive encrypted on purpose, CHG-7", "ok")


def in_the_quarter(site: Site) -> list[Json]:
    """What the quarter's report says of suspicious points."""
    now = datetime.now(timezone(timedelta(hours=8)))
    report = site.json("report", "quarter", f"{now.year}Q{(now.month + 2) // 3}")
    problems = json.loads(Path(report["figures"]).read_bytes())["problems"]
    return [row["figures"] for row in problems if row["code"] == "points-doubted"]


def told_once(site: Site) -> None:
    """An alarm that goes out once, and names no table and no file."""
    with robot() as (port, heard, _):
        secret = site.directory / "secrets/duty"
        secret.write_text(f"json://127.0.0.1:{port}/x")
        secret.chmod(0o600)
        site.edit(lambda document: document.update(notify={"to": [{"name": "duty", "url": "file:secrets/duty"}]}))
        raised = [each["code"] for each in site.json("notify", "check")["raised"]]
        assert "point-suspicious" in raised
        assert site.json("notify", "check")["told"] == 0
    assert len(heard) == 1
    site.edit(lambda document: document.update(notify={"to": []}))


def test_an_emptied_table_and_a_dead_canary_are_marked_and_over_when_they_are_back(
    site: Site, ward: PostgresServer
) -> None:
    site.edit(lambda job: job.update(canary=[{"source": "main"}], suspicion={"after": 2}), "jobs/his.yaml")
    (planting,) = site.json("canary", "plant", "his")["canaries"]
    make, fill = planting["statements"]
    ward.execute("his", make)
    ward.execute("his", fill)
    try:
        assert made(site, "his")["notes"] == []
        ward.execute("his", "DELETE FROM ward; UPDATE drmgr_canary SET token = upper(token)")
        run = made(site, "his")
        doubts = {(doubt["kind"], doubt["subject"]): doubt["message"] for doubt in run["suspicion"]["doubts"]}
        assert doubts == {
            ("emptied", "public.ward"): "main: table public.ward has 0 rows left of 50",
            ("canary", ""): "main: the canary has changed or is gone",
        }
        found = site.json("status", "his", code=4)["systems"][0]
        assert [each["code"] for each in found["problems"]] == ["point-suspicious"]
        checks = site.json("drill", "run", "his-restore", code=4)["drills"][0]["systems"][0]["checks"]
        assert {each["name"] for each in checks if each["status"] == "fail"} == {"canary-main", "point-trusted"}
        planned = site.json("restore", "his", "--to", "scratch", "--dry-run")
        (failing,) = planned["failing"]
        assert (failing["name"], failing["status"]) == ("point-trusted", "fail")
        shown = site.run("restore", "his", "--to", "scratch", "--dry-run").out
        assert "BEWARE" in shown and "0 rows left of 50" in " ".join(shown.split())
        restored = site.json("restore", "his", "--to", "scratch", "--keep", "1s", code=4)
        assert restored["instance"]["socket"]
        ward.execute("his", "INSERT INTO ward SELECT n, 'bed ' || n FROM generate_series(1, 50) n")
        ward.execute("his", f"UPDATE drmgr_canary SET token = '{planting['content']}'")
        assert made(site, "his")["suspicion"]["state"] == "ok"
        assert site.json("drill", "run", "his-restore")["drills"][0]["verdict"] == "passed"
    finally:
        ward.execute("his", "DROP TABLE drmgr_canary")
