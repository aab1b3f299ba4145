import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drmgr.scratch.processes import alive, end_processes, processes_in
from drmgr.scratch.server import last_line
from drmgr.system.clock import SystemClock

STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
)


class HurriedClock(SystemClock):
    """Ten times faster than the wall, so that waiting for a stubborn process is short."""

    def monotonic(self) -> float:
        return super().monotonic() * 10


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    home = tmp_path / "home"
    home.mkdir()
    argv = [sys.executable, "-c", STUBBORN]
    with subprocess.Popen(argv, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_only_processes_below_the_directory_are_ended(tmp_path: Path, stubborn: "subprocess.Popen[bytes]") -> None:
    import signal

    clock = HurriedClock()
    (tmp_path / "home-2").mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path / "home-2") as neighbour:
        assert processes_in(tmp_path / "home") == [stubborn.pid]
        assert end_processes(tmp_path / "home", clock, first=signal.SIGTERM) == 1
        assert not alive(stubborn.pid)
        assert alive(neighbour.pid)
        assert end_processes(tmp_path / "home", clock) == 0
        neighbour.kill()


def test_the_last_line_of_a_log_without_its_stamp() -> None:
    log = "2026-01-05 14:03:22.123 CST [77] LOG:  x\n2026-01-05 14:03:22.124 CST [77] FATAL:  no room: here\n\n"
    assert last_line(log) == "FATAL:  no room: here"
    assert last_line("a\ninitdb: error: bad\ninitdb: hint: x\n", "initdb: error: ") == "bad"
    assert last_line("") == "it left no message, as where the disk is full"
