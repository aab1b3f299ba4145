"""The write-ahead log as files and positions, and what pg_waldump tells of it. Positions are 64-bit byte addresses."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drmgr.errors import SourceError
from drmgr.system.command import Command, Runner

SEGMENT = re.compile(r"[0-9A-F]{24}")
SET_BACK = timedelta(minutes=1)
HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_COMMIT = re.compile(
    rb" tx: +(?P<xid>\d+), lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .*desc: "
    rb"(?:COMMIT|ABORT|COMMIT_PREPARED (?P<prepared>\d+):|ABORT_PREPARED \d+:) (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*)"
)
_ENDS = re.compile(rb"desc: (?:COMMIT|ABORT)")
_RESTORE_POINT = re.compile(rb" lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .*desc: RESTORE_POINT (?P<name>.*)$")


def parse_lsn(text: str) -> int:
    """The position from ``16/B374D848``. Raises ValueError for anything else."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise ValueError("must be a position such as 16/B374D848")
    return (int(match[1], 16) << 32) + int(match[2], 16)


def lsn_text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment_name(timeline: int, number: int, size: int) -> str:
    """The file name of the segment with that number; ``size`` is the bytes of each segment."""
    per_file_id = 0x100000000 // size
    return f"{timeline:08X}{number // per_file_id:08X}{number % per_file_id:08X}"


def segment_of(name: str, size: int) -> tuple[int, int]:
    """(timeline, number) of a segment's file name. Raises ValueError."""
    if SEGMENT.fullmatch(name[:24]) is None:
        raise ValueError(f"{name} is not the name of a log segment")
    return int(name[:8], 16), int(name[8:16], 16) * (0x100000000 // size) + int(name[16:24], 16)


@dataclass(frozen=True)
class Ending:
    """The end of one transaction in the log: a commit, or an abort (``committed`` False), which stops a replay as well."""

    xid: int
    position: int
    at: datetime
    committed: bool


class Times:
    """The times of a stretch of the log in its order: they grow, but for where the server's clock was set back."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        """The latest since the clock was set back for the last time."""
        self._low: datetime | None = None
        self._high: datetime | None = None

    def take(self, at: datetime) -> None:
        """The next one. A little disorder is usual: a time is taken before its place in the log is."""
        if self.until is not None and at < self.until - SET_BACK:
            self._low, self._high = min(self._low or at, at), max(self._high or self.until, self.until)
            self.until = at
        self.until = max(self.until or at, at)

    @property
    def twice(self) -> tuple[datetime, datetime] | None:
        """From the first time that was shown again up to the last that had been shown before; see LogBatch."""
        return None if self._low is None or self._high is None else (self._low, self._high)


@dataclass(frozen=True)
class RestorePoint:
    name: str
    position: int


@dataclass(frozen=True)
class WalReader:
    """Reads a folder of segments with PostgreSQL's own pg_waldump."""

    runner: Runner
    pg_waldump: Path

    def endings(self, folder: Path, timeline: int, start: int, end: int) -> Iterator[Ending]:
        """Ends of transactions from ``start`` up to ``end``, in order. Raises SourceError when the log cannot be read."""
        for line in self._dump(folder, "Transaction", timeline, start, end):
            match = _COMMIT.search(line)
            if match is None:
                if _ENDS.search(line):
                    raise SourceError("pg_waldump tells of the end of a transaction in a way that drmgr does not know")
                continue
            xid = int(match["prepared"] or match["xid"])
            at = datetime.fromisoformat(match["time"].decode()).replace(tzinfo=UTC)
            yield Ending(xid, parse_lsn(match["lsn"].decode()), at, b"desc: COMMIT" in line)

    def restore_points(self, folder: Path, timeline: int, start: int, end: int) -> Iterator[RestorePoint]:
        """Named restore points in that stretch. Raises SourceError."""
        for line in self._dump(folder, "XLOG", timeline, start, end):
            match = _RESTORE_POINT.search(line.rstrip(b"\n"))
            if match is not None:
                yield RestorePoint(match["name"].decode(errors="replace"), parse_lsn(match["lsn"].decode()))

    def _dump(self, folder: Path, manager: str, timeline: int, start: int, end: int) -> Iterator[bytes]:
        argv = (
            *(str(self.pg_waldump), f"--rmgr={manager}", f"--path={folder}", f"--timeline={timeline}"),
            *(f"--start={lsn_text(start)}", f"--end={lsn_text(end)}"),
        )
        with self.runner.start(Command(argv, env={"TZ": "UTC"})) as process:
            yield from process.lines()
            if process.wait() != 0:
                raise SourceError(
                    f"the log from {lsn_text(start)} to {lsn_text(end)} cannot be read: {_reason(process.stderr_tail())}",
                    hint="a segment is missing or damaged; make a new recovery point: drmgr backup",
                )


def forked_at(folder: Path, timeline: int) -> int | None:
    """Where that timeline left the one before it, by its history file if that lies in the folder. Raises SourceError."""
    try:
        lines = (folder / f"{timeline:08X}.history").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    forks = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        return parse_lsn(forks[-1][1])
    except (IndexError, ValueError):
        raise SourceError(f"the history of timeline {timeline} cannot be understood") from None


def receive_failure(stderr: str) -> str:
    """Why pg_receivewal gave up, in its own words."""
    lines = [line for line in stderr.splitlines() if "error: " in line]
    return lines[-1].split("error: ", 1)[1][:200] if lines else "pg_receivewal gave no reason"


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if "error: " in line]
    return lines[-1].split("error: ", 1)[1][:200] if lines else "pg_waldump gave no reason"
