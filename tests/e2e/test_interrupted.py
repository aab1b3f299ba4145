"""Signals in the middle of things: nothing is left, and the catalog says what happened."""

import os
import signal

import pytest

from tests.support.site import Answer, Recorded, Site, wait_until

SIGINT, SIGTERM = signal.SIGINT, signal.SIGTERM


INTO_STANDBY = ("restore", "his", "--confirm", "his", "--reason", "lost", "--to", "connection:standby")
LEFT = {
    "now": "restored/now.partial, and is not whole; remove it",
    "connection:standby": 'empty it before the next restore: DROP DATABASE "standby"; CREATE DATABASE "standby";',
}
"""What is left behind by a restore to there is told, and how to remove it."""


def stopped(answer: Answer) -> None:
    """What a stopped command says."""
    assert answer.code == 130, answer
    assert answer.error["code"] == "interrupted"


@pytest.mark.parametrize(
    ("program", "at", "arguments", "number"),
    [
        ("pg_dump", "", ("backup", "his"), SIGINT),
        ("restic", "recovery-point.json", ("backup", "docs"), SIGTERM),
        ("restic", " restore ", ("drill", "run", "docs-restore"), SIGTERM),
        ("pg_restore", "", ("drill", "run", "his-restore"), SIGINT),
        ("pg_restore", "", ("restore", "his", "--to", "scratch"), SIGTERM),
        ("restic", " restore ", ("restore", "docs", "--to", "folder:{}/restored/now"), SIGINT),
        ("pg_restore", "--dbname", INTO_STANDBY, SIGINT),
    ],
    ids=["dump", "seal", "drill-fetch", "drill-load", "restore-load", "restore-folder", "restore-connection"],
)
def test_interrupted(site: Site, program: str, at: str, arguments: tuple[str, ...], number: signal.Signals) -> None:
    held = site.hold(program, at=at)
    words = [word.format(site.directory) for word in arguments]
    with site.started(*words, "--json") as process:
        held.wait()
        answer = site.ended(process, number)
    stopped(answer)
    assert LEFT.get(words[-1].rpartition("/")[2], "") in answer.error["hint"]
    assert ("nothing of it is left" in answer.error["hint"]) == (words[0] == "restore" and words[-1] == "scratch")
    written = [path.name for path in (site.directory / "restored").glob("*")]
    assert written == (["now.partial"] if "restored" in words[-1] else [])
    # not a poll: everything must be gone when the command is
    site.assert_clean()
    kind = words[0]
    subject = words[2] if kind == "drill" else words[1]
    assert site.runs()[-1] == Recorded(kind, subject, "interrupted", "interrupted")
    held.let_go()
    assert len(site.points("his" if "his" in subject else "docs")) == 1


def test_several_backups_at_once_are_all_interrupted(site: Site) -> None:
    dump, seal = site.hold("pg_dump"), site.hold("restic", at="recovery-point.json")
    with site.started("backup", "--all", "--jobs", "2", "--json") as process:
        dump.wait()
        seal.wait()
        stopped(site.ended(process, SIGINT))
    site.assert_clean()
    assert sorted(site.runs()[-2:], key=lambda run: run.system) == [
        Recorded("backup", "docs", "interrupted", "interrupted"),
        Recorded("backup", "his", "interrupted", "interrupted"),
    ]
    seal.let_go()
    assert (len(site.points("his")), len(site.points("docs"))) == (1, 1)


BOTH = """\
drill: both-restore
title: {zh: 两个系统, en: Both}
scenario: site-lost
systems: [his, docs]
level: 3
"""


def test_a_drill_of_several_systems_leaves_nothing_of_any(site: Site) -> None:
    (site.directory / "drills/both-restore.yaml").write_text(BOTH, encoding="utf-8")
    site.edit(lambda document: document.setdefault("scratch", {}).update(parallel=2))
    # the one that restores and the one whose server is up are in threads of their own
    load, fetch = site.hold("pg_restore"), site.hold("restic", at=" restore ")
    with site.started("drill", "run", "both-restore", "--json") as process:
        fetch.wait()
        stopped(site.ended(process, SIGTERM))
    site.assert_clean()
    assert site.runs()[-1] == Recorded("drill", "both-restore", "interrupted", "interrupted")

    fetch.let_go()
    with site.started("drill", "run", "both-restore", "--json") as process:
        load.wait()
        stopped(site.ended(process, SIGTERM))
    site.assert_clean()

    load.let_go()
    (played,) = site.json("drill", "run", "both-restore")["drills"]
    assert (played["verdict"], len(played["systems"])) == ("passed", 2)
    assert played["total_seconds"] > 0
    assert all(system["t6"] > system["t5"] > system["t4"] > system["t0"] for system in played["systems"])


def test_killed_backup_leaves_nothing_to_offer_and_the_next_one_succeeds(site: Site) -> None:
    (before,) = site.points("docs")
    held = site.hold("restic", at="recovery-point.json")
    with site.started("backup", "docs") as process:
        pid = held.wait()
        site.ended(process, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    assert site.points("docs") == [before]
    assert site.runs()[-1] == Recorded("backup", "docs", "interrupted", "interrupted")
    held.let_go()
    assert site.json("backup", "docs")["runs"][0]["status"] == "ok"
    assert len(site.points("docs")) == 2


def test_killed_drill_is_reaped_by_the_next_one(site: Site) -> None:
    held = site.hold("pg_restore")
    with site.started("drill", "run", "his-restore") as process:
        pid = held.wait()
        site.ended(process, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    (workspace,) = (site.directory / "scratch").iterdir()
    assert site.processes() != []
    # a password file of the dead process lies there too
    assert list((site.directory / "state/runtime").iterdir()) != []
    held.let_go()
    site.json("drill", "run", "docs-restore")
    assert not workspace.exists()
    wait_until(lambda: not site.processes(), "the server's last process to leave the table")
    assert [run.status for run in site.runs() if run.kind == "drill"] == ["interrupted", "ok"]


def test_interrupted_in_words(site: Site) -> None:
    held = site.hold("restic", at=" restore ")
    with site.started("drill", "run", "docs-restore") as process:
        held.wait()
        answer = site.ended(process, SIGINT)
    assert answer.code == 130
    assert answer.out == ""
    assert "SIGINT" in answer.err
