"""A log that would write outside of the restored files when it is replayed."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from drmgr.errors import LoadError, ScratchError
from drmgr.model import RecoveryTarget
from drmgr.scratch.server import server_programs
from drmgr.system.command import Command, Runner

SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_START = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)
_MADE = re.compile(rb"^rmgr: Tablespace .* desc: CREATE ")
_ENDING = re.compile(rb" desc: (?:COMMIT|ABORT)\S* .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*) UTC")
_MARK = re.compile(rb" desc: RESTORE_POINT (.*)$")
_POSITION = re.compile(rb" lsn: ([0-9A-F]+)/([0-9A-F]+),")


def refuse_foreign_places(log: Path, label: Path, target: RecoveryTarget, version: str, runner: Runner) -> None:
    """The log makes no tablespace up to the target: a replay would make it where production has it, perhaps on this host.

    Raises LoadError; ScratchError when the log cannot be looked through.
    """
    found = _START.search(label.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise LoadError("the label of the physical backup does not say where its log begins")
    for line in _records(log, found[1], version, runner):
        if _passed(line, target):
            return
        if _MADE.search(line):
            raise LoadError(
                "a tablespace was made after the recovery point, and its place is production's: it is not replayed here",
                hint="restore to a time before it, or make a new recovery point and restore to a time after that",
            )


def _records(log: Path, start: str, version: str, runner: Runner) -> Iterator[bytes]:
    program = server_programs(version) / "pg_waldump"
    names = sorted(path.name for path in log.iterdir() if SEGMENT_NAME.fullmatch(path.name))
    for number, timeline in enumerate(sorted({int(name[:8], 16) for name in names})):
        ours = [name for name in names if int(name[:8], 16) == timeline]
        argv = [str(program), f"--path={log}", f"--timeline={timeline}"]
        argv += ["--rmgr=Tablespace", "--rmgr=Transaction", "--rmgr=XLOG"]
        # what lies in the first segment before the start of the backup is not replayed
        argv += [f"--start={start}", f"--end={_end(log / ours[-1])}"] if number == 0 else [ours[0], ours[-1]]
        with runner.start(Command(tuple(argv), env={"TZ": "UTC"})) as process:
            yield from process.lines()
            # a segment that a timeline ended in has no end of its own, and a replay stops there too
            if process.wait() != 0 and not re.search(r"WAL record|valid record|invalid magic", process.stderr_tail()):
                raise ScratchError("the restored log cannot be looked through for tablespaces")


def _end(segment: Path) -> str:
    """The position after the segment."""
    size, name = segment.stat().st_size, segment.name
    position = (int(name[8:16], 16) << 32) + (int(name[16:24], 16) + 1) * size
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _passed(line: bytes, target: RecoveryTarget) -> bool:
    if target.kind == "name":
        mark = _MARK.search(line.rstrip(b"\n"))
        return mark is not None and mark[1].decode(errors="replace") == target.value
    if target.kind == "time":
        ending = _ENDING.search(line)
        at = ending and datetime.fromisoformat(ending[1].decode()).replace(tzinfo=UTC)
        return bool(at and at > datetime.fromisoformat(target.value))
    position, (high, low) = _POSITION.search(line), target.value.split("/")
    here = int(position[1], 16) << 32 | int(position[2], 16) if position else 0
    return here > (int(high, 16) << 32 | int(low, 16))
