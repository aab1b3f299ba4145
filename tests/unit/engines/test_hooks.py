"""Commands around a capture: what ends always runs, what a killed run left is found, named and ended."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.engines.hooks import HookedPause, HookRun, Hooks
from drmgr.errors import Interrupted, PreflightError, SourceError, ToolError
from drmgr.system.clock import SystemClock
from drmgr.system.stopping import SIGNALS, signals_as_exceptions


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def says(log: Path, word: str, code: int = 0) -> tuple[str, ...]:
    """A command that writes a word and ends with that code."""
    return (sys.executable, "-c", f"open({str(log)!r}, 'a').write({word + ' '!r}); raise SystemExit({code})")


@pytest.fixture
def hooks(tmp_path: Path, log: Path) -> Hooks:
    return Hooks(
        name="hooks-pacs",
        begin=(says(log, "stop"), says(log, "freeze")),
        end=(says(log, "thaw"), says(log, "start")),
        seconds=60,
        marks=tmp_path / "marks",
        alive=lambda mark: mark.get("pid") == "1",
        owner={"pid": "4711"},
    )


def held(hooks: Hooks, log: Path) -> HookRun:
    run = HookRun(SystemClock())
    with run.around(hooks):
        assert json.loads(hooks.mark.read_text())["pid"] == "4711"
        with log.open("a") as file:
            file.write("read ")
    return run


def test_the_commands_run_in_order_and_nothing_is_left(hooks: Hooks, log: Path) -> None:
    hooks.preflight()
    assert held(hooks, log).notes == []
    assert log.read_text() == "stop freeze read thaw start "
    assert not hooks.mark.exists()


def test_the_end_comes_after_a_failure_too(hooks: Hooks, log: Path) -> None:
    with pytest.raises(SourceError, match="went wrong"), HookRun(SystemClock()).around(hooks):
        raise SourceError("went wrong")
    assert log.read_text() == "stop freeze thaw start "
    assert not hooks.mark.exists()


def test_a_command_that_fails_fails_the_source_and_what_was_begun_is_ended(hooks: Hooks, log: Path) -> None:
    broken = replace(hooks, begin=(says(log, "stop"), says(log, "freeze", 3), says(log, "never")))
    with pytest.raises(SourceError, match=r"hooks-pacs: python\S* \(begin\) failed with 3"):
        held(broken, log)
    assert log.read_text() == "stop freeze thaw start "


def test_an_end_that_fails_is_an_error_though_all_else_went_well(hooks: Hooks, log: Path) -> None:
    broken = replace(hooks, end=(says(log, "thaw", 1), says(log, "start")))
    with pytest.raises(SourceError, match="hooks-pacs was not ended") as caught:
        held(broken, log)
    assert "at once, by hand" in caught.value.hint
    assert log.read_text() == "stop freeze read thaw start "
    # the next run knows of it
    assert hooks.mark.exists()


def test_an_end_that_fails_after_a_failure_is_told_beside_it(hooks: Hooks, log: Path) -> None:
    broken = replace(hooks, end=(says(log, "thaw", 1),))
    with pytest.raises(SourceError) as caught, HookRun(SystemClock()).around(broken):
        raise SourceError("went wrong")
    assert caught.value.message.startswith("went wrong; and hooks-pacs was not ended")


def test_what_a_killed_run_left_is_ended_first_and_named(hooks: Hooks, log: Path) -> None:
    hooks.marks.mkdir()
    hooks.mark.write_text(json.dumps({"pid": "4712", "at": "2026-03-01T02:00:00+00:00"}))
    (note,) = held(hooks, log).notes
    assert note.startswith("hooks-pacs was left over from an earlier run: begun at 2026-03-01T02:00:00")
    assert log.read_text() == "thaw start stop freeze read thaw start "
    assert not hooks.mark.exists()


def test_a_left_over_that_cannot_be_ended_is_named_and_does_not_keep_us_from_trying(hooks: Hooks, log: Path) -> None:
    hooks.marks.mkdir()
    hooks.mark.write_bytes(b"\xff not JSON")
    flag = log.with_name("flag")
    script = f"import os, sys; sys.exit(0 if os.path.exists({str(flag)!r}) else open({str(flag)!r}, 'w').close() or 9)"
    once = replace(hooks, end=((sys.executable, "-c", script),))
    (note,) = held(once, log).notes
    assert "ending it now failed" in note
    assert not hooks.mark.exists()


def test_hooks_of_a_living_run_are_not_taken_from_it(hooks: Hooks, log: Path) -> None:
    hooks.marks.mkdir()
    hooks.mark.write_text(json.dumps({"pid": "1", "at": "now"}))
    with pytest.raises(PreflightError, match="in use by process 1 since now"):
        hooks.preflight()
    with pytest.raises(PreflightError, match="in use"):
        held(hooks, log)
    assert not log.exists()
    assert hooks.mark.exists()


def test_programs_that_are_not_there_are_told_before_anything_is_done(hooks: Hooks, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no-such-program"):
        replace(hooks, end=(("no-such-program",),)).preflight()
    with pytest.raises(PreflightError, match="cannot be run"):
        replace(hooks, begin=((str(tmp_path / "nothing"),),)).preflight()


def test_a_command_that_takes_too_long_is_ended(hooks: Hooks, log: Path) -> None:
    forever = (sys.executable, "-c", "import time; time.sleep(600)")
    with pytest.raises(SourceError, match="did not end within 0 s"):
        held(replace(hooks, begin=(forever,), seconds=0.2), log)


@pytest.mark.parametrize("at", ["begin", "block", "end"])
def test_a_signal_does_not_keep_the_end_from_running(hooks: Hooks, log: Path, at: str) -> None:
    """It comes in the middle of a begin command, of the block, of an end command."""
    # a begin command is ended at once, however late we come to it; an end command may go on
    kill = (
        f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep({60 if at == 'begin' else 0.3})"
    )
    tells = (sys.executable, "-c", f"{kill}; open({str(log)!r}, 'a').write('told ')")
    changed = hooks
    if at == "begin":
        changed = replace(hooks, begin=(tells,))
    if at == "end":
        changed = replace(hooks, end=(tells, *hooks.end))
    before: Mapping[signal.Signals, object] = {each: signal.getsignal(each) for each in SIGNALS}
    signals_as_exceptions()
    try:
        with pytest.raises(Interrupted), HookRun(SystemClock()).around(changed):
            if at == "block":
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
    wanted = {"begin": "thaw start ", "block": "stop freeze thaw start ", "end": "stop freeze told thaw start "}
    assert log.read_text() == wanted[at]
    assert not hooks.mark.exists()


def test_a_pause_tells_what_its_hooks_found(hooks: Hooks, log: Path) -> None:
    hooks.marks.mkdir()
    hooks.mark.write_text("{}")
    pause = HookedPause(hooks, SystemClock())
    with pause.held():
        assert log.read_text() == "thaw start stop freeze "
    assert len(pause.notes) == 1
