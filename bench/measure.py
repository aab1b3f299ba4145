"""What one command costs: wall time, processor time of it and its children, memory of it and of each child."""

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from drmgr.errors import ToolError
from drmgr.system.command import Command, Runner

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Sample:
    """Seconds and bytes. ``peak`` is of the command's own process, ``peak_child`` of the largest process below it."""

    wall: float
    cpu: float
    peak: int
    peak_child: int


@dataclass
class Measuring:
    """One act under way: runs its commands, and remembers their memory. Server processes are nobody's children here."""

    runner: Runner
    peaks: dict[int, int] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)

    def run(self, command: Command, *, ok: tuple[int, ...] = (0,)) -> str:
        """Runs one command to its end; gives its standard output. Raises ToolError when it did not end well."""
        with TemporaryFile() as output, self.runner.start(command, stdout=output) as process:
            self.own.add(process.pid)
            while process.running():
                self._look(process.pid)
                time.sleep(POLL_SECONDS)
            output.seek(0)
            text = output.read().decode(errors="replace")
            code, words = process.wait(), process.stderr_tail()
        if code not in ok:
            raise ToolError(f"{command.program} ended with {code}: {(words.strip() or text.strip())[-2000:]}")
        return text

    def _look(self, root: int) -> None:
        waiting = [root]
        while waiting:
            pid = waiting.pop()
            # a process may end while it is looked at
            with suppress(OSError, ValueError):
                self.peaks[pid] = max(self.peaks.get(pid, 0), _peak(pid))
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]


def _peak(pid: int) -> int:
    """The process's highest resident memory so far. Of this very program: ``ru_maxrss`` would hold its parent's too."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def measured(act: Callable[[Measuring], object], runner: Runner) -> Sample:
    """The cost of that act, from its beginning to its end."""
    measuring = Measuring(runner)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    act(measuring)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    own = max((size for pid, size in measuring.peaks.items() if pid in measuring.own), default=0)
    children = max((size for pid, size in measuring.peaks.items() if pid not in measuring.own), default=0)
    return Sample(wall, cpu, own, children)


def stored_bytes(folder: Path) -> int:
    """Bytes of all files below the folder; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if path.is_file() and not path.is_symlink():
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
