"""Finds where a replay of the binary log must stop, and proves that the log is whole up to there."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drmgr.engines.mariadb.binlog import (
    FILE,
    Group,
    Gtid,
    Place,
    Reader,
    State,
    instant,
    number_of,
    parse_position,
)
from drmgr.errors import LoadError
from drmgr.model import RecoveryTarget
from drmgr.system.clock import rfc3339

HARMLESS = re.compile(
    r"\s*(GRANT|REVOKE|(CREATE|ALTER|DROP|RENAME)\s+(OR\s+REPLACE\s+)?(USER|ROLE)|SET\s+(PASSWORD|DEFAULT)|ANALYZE|FLUSH|OPTIMIZE|CHECK)\b",
    re.IGNORECASE,
)
"""Statements that change no table: what a logical backup leaves of them behind is rights on the server."""


@dataclass(frozen=True)
class Start:
    """Where the restored data stand in the log, and the last transaction of each domain that they hold."""

    place: Place
    gtid: str


@dataclass(frozen=True)
class Reached:
    """Where a replay ended: the last transaction of each domain, the time of the last one, how many there were."""

    gtid: str
    place: Place
    transactions: int
    last: datetime | None

    def text(self) -> str:
        last = "" if self.last is None else f", the last one committed at {rfc3339(self.last)}"
        return f"{self.transactions} transactions replayed{last}; GTID {self.gtid}"


@dataclass
class Plan:
    """What is to be replayed: the files, the bytes in the first and last of them, and what must be true after it."""

    files: list[Path] = field(default_factory=list)
    start: int = 0
    stop: int | None = None
    least: dict[int, int] = field(default_factory=dict)
    most: dict[int, int] = field(default_factory=dict)
    reached: Reached | None = None


def log_files(folders: Iterable[Path]) -> list[Path]:
    """The log files in the folders, in the order of their numbers."""
    found = [path for folder in folders for path in folder.iterdir() if FILE.fullmatch(path.name)]
    return sorted(found, key=lambda path: number_of(path.name))


class Planner:
    """Reads the files and finds where a replay must stop. ``database``: only what concerns that one is replayed."""

    def __init__(self, start: Start, target: RecoveryTarget, database: str | None = None) -> None:
        self._start = start
        self._limit = target
        self._database = database
        self._until = int(datetime.fromisoformat(target.value).timestamp()) if target.kind == "time" else 0
        self._place = Place.parse(target.value) if target.kind == "position" else None
        self._wanted = _one_gtid(target.value) if target.kind == "name" else None
        self._state = State()
        self._plan = Plan(start=start.place.offset)
        self._count = 0
        self._last: datetime | None = None
        self._there = False

    def plan(self, files: Sequence[Path]) -> Plan:
        """Raises LoadError when the log is not whole, is not the one of this backup, or ends before the target."""
        needed = [path for path in files if number_of(path.name) >= self._start.place.number]
        here, after = self._start.place, None
        if not self._before_any():
            for path in needed:
                number = number_of(path.name)
                if number == here.number and after is not None:
                    # the same file, shipped twice
                    continue
                expected = self._start.place.number if after is None else here.number + 1
                if number != expected:
                    raise LoadError(f"the binary log {expected} is missing: after it comes {number}")
                here, after, over = self._file(path, number, after)
                if over:
                    break
        if not self._there:
            raise LoadError(
                f"the log ends before {self._limit.kind} {self._limit.value}: the replay cannot reach it",
                hint="choose an earlier time; see: drmgr points SYSTEM",
            )
        self._plan.reached = Reached(self._state.text() or self._start.gtid, here, self._count, self._last)
        return self._plan

    def _before_any(self) -> bool:
        """Whether the restored data stand at the target already."""
        if self._place is not None and self._place < self._start.place:
            raise LoadError("the target lies before the backup itself")
        self._there = self._limit.value == self._start.gtid or self._place == self._start.place
        return self._there

    def _file(self, path: Path, number: int, after: State | None) -> tuple[Place, State, bool]:
        """Where the replay stands after this file, what the log had reached, and whether it is over."""
        reader, here = Reader(path), self._start.place if after is None else Place(number, 4)
        for group in self._following(reader, path, after):
            if self._stops_before(group, number):
                self._use(path, stop=group.start)
                return here, self._state, True
            self._apply(group, path)
            here = Place(number, group.end)
            if self._wanted == group.gtid:
                self._there = True
                self._use(path, stop=group.end)
                return here, self._state, True
        scanned = reader.scanned()
        if self._count:
            self._use(path, stop=None)
        here = Place(number, max(here.offset, scanned.end))
        self._there = (self._limit.kind == "time" and scanned.until.timestamp() >= self._until) or (
            self._place is not None and here >= self._place
        )
        return here, scanned.after, self._there

    def _following(self, reader: Reader, path: Path, after: State | None) -> Iterator[Group]:
        """The transactions that the restored data do not hold yet; proves that the file goes on where they end."""
        first, begun = after is None, False
        for group in reader.groups():
            if not begun:
                self._begin(path, reader.before, after)
                begun = True
            if first and group.end <= self._start.place.offset:
                self._state.add(group.gtid)
                continue
            if first:
                self._refuse_other_log(path, group.start)
                first = False
            yield group
        scanned = reader.scanned()
        if not begun:
            self._begin(path, scanned.before, after)
        if first:
            self._refuse_other_log(path, scanned.end)

    def _begin(self, path: Path, before: State, after: State | None) -> None:
        if after is not None and before.pairs != after.pairs:
            raise LoadError(f"the binary log {path.name} does not go on where the one before it ended")
        self._state = before.copy()

    def _use(self, path: Path, stop: int | None) -> None:
        if not self._plan.files and number_of(path.name) != self._start.place.number:
            # nothing was left to replay in the file that the backup stands in
            self._plan.start = 4
        self._plan.files.append(path)
        self._plan.stop = stop

    def _stops_before(self, group: Group, number: int) -> bool:
        if self._limit.kind == "time":
            self._there = group.at >= self._until
        elif self._place is not None:
            self._there = Place(number, group.end) > self._place
        return self._there

    def _apply(self, group: Group, path: Path) -> None:
        self._state.add(group.gtid)
        self._count += 1
        self._last = instant(group.at)
        domain, number = group.gtid.domain, group.gtid.number
        self._plan.most[domain] = number
        if self._database is None:
            changes = bool(group.databases)
        else:
            self._refuse_ambiguous(group, path)
            changes = self._database in group.databases
        if changes:
            self._plan.least[domain] = number

    def _refuse_ambiguous(self, group: Group, path: Path) -> None:
        database = self._database or ""
        if is_ambiguous(group, database):
            raise LoadError(
                f"a statement at {path.name}:{group.start} was given outside the database {database} and may change it, "
                "so a logical backup cannot be replayed past it",
                hint="restore to a time before it or to a later recovery point; method: physical has no such limit",
            )

    def _refuse_other_log(self, path: Path, following: int) -> None:
        """``following`` is where the first transaction begins that the restored data do not hold, or the file ends."""
        if following < self._start.place.offset:
            raise LoadError(
                f"the backup's place in the log, {path.name}:{self._start.place.offset}, is not in that file"
            )
        if self._state.last() != parse_position(self._start.gtid):
            raise LoadError(
                f"the shipped log is not that of the backup: it stands at {self._state.text() or 'nothing'} there, "
                f"and the backup at {self._start.gtid or 'nothing'}"
            )


def is_ambiguous(group: Group, database: str) -> bool:
    """Whether it may change that database from outside, as a restore in place does.

    mariadb-binlog picks statements by the default database they were given in, not by what they change.
    """
    named = re.compile(rf"(?<![\w$]){re.escape(database)}(?![\w$])", re.IGNORECASE)
    return any(
        given_in != database and named.search(text) and not HARMLESS.match(text) for given_in, text in group.statements
    )


def _one_gtid(text: str) -> Gtid | None:
    try:
        return Gtid.parse(text)
    except ValueError:
        return None
