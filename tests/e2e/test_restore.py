"""``drmgr restore``: each target, what is refused, and what a dry run leaves alone."""

import json
import os
import pty
import subprocess
import tty
from contextlib import suppress
from pathlib import Path

from tests.e2e.conftest import VISITS
from tests.support.postgres import PostgresServer
from tests.support.shape import Instant, Maybe, Ulid, fits
from tests.support.site import DRMGR, Recorded, Site, digest_of, wait_until

CHECK = {
    "name": str,
    "status": {"pass", "fail", "error", "skipped"},
    "level": int,
    "expected": object,
    "seconds": float,
}
RESTORE = {
    "run": Ulid,
    "system": str,
    "status": {"ok"},
    "target": str,
    "point": Ulid,
    "at": Instant,
    "seconds": float,
    "phases": [{"name": str, "seconds": float}],
    "verified": {"level": int, "checks": [{**CHECK, "actual": object}]},
    "instance": Maybe({"socket": str, "port": int, "database": str}),
}


def test_scratch_is_kept_answers_questions_and_is_reaped_when_its_time_is_over(site: Site) -> None:
    import psycopg

    document = site.json("restore", "his", "--to", "scratch", "--keep", "1h")
    fits(document, RESTORE)
    assert document["verified"]["level"] == 4
    instance = document["instances"]["main"]
    with psycopg.connect(
        host=instance["socket"],
        port=instance["port"],
        dbname=instance["database"],
        user=instance["user"],
        passfile=instance["passfile"],
    ) as session:
        row = session.execute("SELECT count(*) FROM visit").fetchone()
    assert row == (VISITS,)
    assert site.runs()[-1] == Recorded("restore", "his", "ok", None)
    (workspace,) = (site.directory / "scratch").iterdir()
    label = json.loads((workspace / "label.json").read_text())
    (workspace / "label.json").write_text(json.dumps({**label, "keep_until": "2026-01-01T00:00:00+00:00"}))
    site.json("restore", "docs", "--to", "scratch", "--dry-run")
    assert not workspace.exists()
    wait_until(lambda: not site.processes(), "the server's last process to leave the table")


def test_folder_gets_the_very_files(site: Site) -> None:
    target = site.directory / "restored/today"
    document = site.json("restore", "docs", "--to", f"folder:{target}")
    fits(document, RESTORE)
    assert document["target"] == f"folder:{target}"
    assert document["instance"] is None
    assert digest_of(target / "files/files") == digest_of(site.directory / "documents")
    # what is there is never written over
    assert "not empty" in site.refused(13, "restore", "docs", "--to", f"folder:{target}")["message"]
    assert site.runs()[-1] == Recorded("restore", "docs", "failed", "not-allowed")


def test_connection_is_filled_once_and_only_with_reason_and_confirmation(
    site: Site, database: tuple[PostgresServer, str]
) -> None:
    server, _ = database
    words = ("restore", "his", "--to", "connection:standby")
    assert "--confirm" in site.refused(13, *words, "--reason", "test")["message"]
    assert "why" in site.refused(13, *words, "--confirm", "his")["message"]
    document = site.json(*words, "--confirm", "his", "--reason", "server lost")
    try:
        fits(document, RESTORE)
        assert document["instance"]["database"] == "standby"
        assert server.execute("standby", "SELECT count(*) FROM visit") == [(VISITS,)]
        again = site.json(*words, "--confirm", "his", "--reason", "once more", code=11)
        assert "empty" in again["error"]["message"]
        assert server.execute("standby", "SELECT count(*) FROM visit") == [(VISITS,)]
    finally:
        server.execute("standby", "DROP TABLE IF EXISTS visit")


def test_production_and_what_is_not_allowed_are_refused(site: Site, database: tuple[PostgresServer, str]) -> None:
    server, _ = database
    sure = ("--confirm", "his", "--reason", "test")
    for target, said in (
        ("connection:his-main", "production"),
        ("connection:his-alias", "production"),
        ("connection:other", "does not allow"),
        ("folder:/srv/anywhere", "does not allow"),
        (f"folder:{site.directory}/restored/../documents", "does not allow"),
    ):
        error = site.json("restore", "his", "--to", target, *sure, code=13)["error"]
        assert error["code"] == "not-allowed"
        assert said in error["message"]
    assert server.execute("his", "SELECT count(*) FROM visit") == [(VISITS,)]
    assert not (site.directory / "evidence").exists()


def test_a_link_does_not_lead_out_of_the_allowed_folders(site: Site, tmp_path: Path) -> None:
    (site.directory / "restored").symlink_to(tmp_path)
    (tmp_path / "below").symlink_to(site.directory / "documents")
    error = site.json("restore", "docs", "--to", f"folder:{site.directory}/restored/below/new", code=13)["error"]
    assert error["code"] == "not-allowed"


def test_dry_run_writes_nothing(site: Site) -> None:
    folder = site.directory / "restored"
    folder.mkdir()
    before, runs = digest_of(folder), site.runs()
    document = site.json("restore", "docs", "--to", f"folder:{folder}/new", "--dry-run")
    assert (document["system"], document["status"]) == ("docs", "planned")
    assert [document["point"]] == site.points("docs")
    assert (document["expected"], document["drilled"], document["renames"]) == (None, None, [])
    assert (document["rto"], document["lost"]["production"]) == (7200, False)
    assert 0 < document["lost"]["seconds"] < 3600
    assert document["disk"][0]["free"] > document["disk"][0]["needed"] > 0
    site.json("restore", "his", "--to", "connection:standby", "--dry-run")
    assert digest_of(folder) == before
    assert site.runs() == runs
    assert not (site.directory / "evidence").exists()


def test_the_plan_says_how_long_it_took_the_last_time(drilled: Site) -> None:
    drill = json.loads((drilled.directory / "first-drill.json").read_text())["drills"][0]["systems"][0]
    plan = drilled.json("restore", "his", "--to", "scratch", "--dry-run")
    assert plan["expected"]["seconds"] == round(drill["rto"]["measured"], 3)
    assert (plan["expected"]["from"], plan["drilled"]["level"]) == ("his-restore", 4)
    # what was changed afterwards is no measurement
    for path in (drilled.directory / "evidence").glob("*.json"):
        envelope = json.loads(path.read_bytes())
        envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"][::-1].lstrip("=")
        path.write_text(json.dumps(envelope))
    plan = drilled.json("restore", "his", "--to", "scratch", "--dry-run")
    assert (plan["expected"], plan["drilled"]) == (None, None)


def test_on_a_terminal_it_asks_and_does_what_was_answered(site: Site) -> None:
    answers = "2\n4\n1\n1\ny\n"
    ours, theirs = pty.openpty()
    # what is typed stays out of what is read
    tty.setraw(theirs)
    os.write(ours, answers.encode())
    with subprocess.Popen(
        [DRMGR, "--config", str(site.config), "restore"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**site.environment(), "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):
            while read := os.read(ours, 65536):
                shown += read
        assert process.stderr is not None
        assert process.wait() == 0, process.stderr.read()
    os.close(ours)
    text = shown.decode()
    for said in (
        "What happened?",
        site.points("docs")[0],
        "scratch (advised)",
        "nothing in production",
        "verified to level",
    ):
        assert said in text
    assert site.runs()[-1] == Recorded("restore", "docs", "ok", None)
    (workspace,) = (site.directory / "scratch").iterdir()
    label = json.loads((workspace / "label.json").read_text())
    (workspace / "label.json").write_text(json.dumps({**label, "keep_until": "2026-01-01T00:00:00+00:00"}))
    site.json("restore", "docs", "--to", "scratch", "--dry-run")


def test_usage_mistakes(site: Site) -> None:
    assert "system is missing" in site.refused(2, "restore")["message"]
    assert site.refused(2, "restore", "docs")["code"] == "usage"
    assert "elsewhere" in site.refused(2, "restore", "docs", "--to", "elsewhere")["message"]
    assert site.json("restore", "docs", "--to", "scratch", "--keep", "long", code=2)["error"]["code"] == "usage"
    assert site.json("restore", "docs", "--to", "connection:nowhere", code=2)["error"]["code"] == "usage"
    missing = site.json("restore", "docs", "--to", "scratch", "--point", "01ZZZ", code=11)["error"]
    assert missing["code"] == "point-not-found"
