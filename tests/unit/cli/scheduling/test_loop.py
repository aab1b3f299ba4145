"""The loop of ``schedule run``: what it starts, and that nothing stops it."""

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drmgr.cli.scheduling import loop as module
from drmgr.cli.scheduling.loop import BEAT_SECONDS, Loop
from drmgr.errors import ToolError
from drmgr.system.command import Command, Completed, Runner
from drmgr.system.timers import Beat
from tests.support.fakes import FakeClock

BACKUP, SHIP, NOTIFY = Beat("backup", 1, ("b",)), Beat("ship", 1, ("s",)), Beat("notify", 10, ("n",))


class FakeRunner(Runner):
    """Notes what it is to run; ``codes`` are what those come to, ``hold`` keeps a kind at work."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.codes: dict[str, int] = {}
        self.hold: dict[str, threading.Event] = {}

    def run_lines(self, command: Command, on_line: object) -> Completed:
        del on_line
        kind = command.argv[-1]
        self.ran.append(kind)
        if kind in self.hold:
            self.hold[kind].wait(10)
        if self.codes.get(kind) == -1:
            raise ToolError("no python here")
        return Completed(self.codes.get(kind, 0), b"", "")


class Looped:
    def __init__(self, tmp_path: Path) -> None:
        self.clock, self.runner, self.notes = FakeClock(), FakeRunner(), list[str]()
        self.loop = Loop(tmp_path / "drmgr.yaml", self.notes.append, self.clock, self.runner)

    def beat(self, wanted: list[Beat], *, wait: bool = True) -> list[str]:
        before = len(self.runner.ran)
        for beat in wanted:
            if not self.loop._at_work(beat.name) and self.loop._turn(beat):
                self.loop._start(beat, {})
        if wait:
            for thread in self.loop._working.values():
                thread.join(10)
        return sorted(self.runner.ran[before:])


@pytest.fixture
def looped(tmp_path: Path) -> Looped:
    return Looped(tmp_path)


def test_each_kind_has_its_own_pace_and_a_failing_one_brings_the_alarms_forward(looped: Looped) -> None:
    # a failure that is quick is told in the same beat only to those who come after it
    wanted = [NOTIFY, BACKUP, SHIP]
    assert looped.beat(wanted) == ["b", "n", "s"]
    looped.clock.sleep(BEAT_SECONDS)
    assert looped.beat(wanted) == []
    looped.clock.sleep(2 * BEAT_SECONDS)
    looped.runner.codes["b"] = 21
    assert looped.beat(wanted) == ["b", "s"]
    looped.clock.sleep(BEAT_SECONDS)
    assert looped.beat(wanted) == ["n"]
    assert any("b ended with exit code 21" in note for note in looped.notes)
    looped.runner.codes["b"] = -1
    looped.clock.sleep(60)
    assert looped.beat(wanted) == ["b", "s"]
    looped.clock.sleep(60)
    assert looped.beat(wanted) == ["b", "n", "s"]


def test_a_long_backup_does_not_hold_up_shipping_and_is_not_started_twice(looped: Looped) -> None:
    held = looped.runner.hold["b"] = threading.Event()
    looped.beat([BACKUP, SHIP], wait=False)
    looped.clock.sleep(300)
    looped.loop._working["ship"].join(10)
    assert looped.beat([BACKUP, SHIP], wait=False) == ["s"]
    held.set()
    for thread in looped.loop._working.values():
        thread.join(10)


def test_a_site_file_with_mistakes_does_not_end_the_loop(looped: Looped, tmp_path: Path) -> None:
    (tmp_path / "drmgr.yaml").write_text("site: [")
    looped.loop.beat()
    assert looped.runner.ran == []
    assert "cannot look" in looped.notes[-1]


def test_a_clock_that_was_set_back_does_not_make_the_loop_wait_until_then(looped: Looped) -> None:
    looped.loop._plan()
    (job,) = looped.loop._scheduler.jobs
    # what the library would wait for after the clock was set back by a day
    job.next_run = datetime.now() + timedelta(days=1)  # noqa: DTZ005 - the library's own kind of time
    looped.loop.step()
    idle = looped.loop._scheduler.idle_seconds
    assert idle is not None
    assert idle <= BEAT_SECONDS


def test_the_beat_is_shorter_than_the_shortest_pause() -> None:
    assert timedelta(seconds=module.BEAT_SECONDS) < timedelta(minutes=1) / 2
