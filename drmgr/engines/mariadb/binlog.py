"""The binary log as files: read event by event, each proven by its checksum, without running a server."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from drmgr.errors import SourceError

MAGIC = b"\xfebin"
FILE = re.compile(r"(?P<base>.+)\.(?P<number>\d{6,10})")
GTID_TEXT = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})")

OFFSET_BITS = 32
"""A binary log counts its bytes in so many bits."""

_HEADER = struct.Struct("<IBIIIH")
_GTID = struct.Struct("<QIB")
_LIST_ITEM = struct.Struct("<IIQ")
_QUERY = struct.Struct("<IIBHH")

_STOP, _QUERY_EVENT, _ROTATE, _FORMAT, _XID, _TABLE_MAP, _XA_PREPARE = 3, 2, 4, 15, 16, 19, 38
_GTID_EVENT, _GTID_LIST, _ENCRYPTED, _QUERY_COMPRESSED = 162, 163, 164, 165
_KEPT = frozenset({_QUERY_EVENT, _ROTATE, _FORMAT, _TABLE_MAP, _GTID_EVENT, _GTID_LIST, _QUERY_COMPRESSED})

_STANDALONE = 1
_IN_USE = 1
_CHECKSUM_BYTES = 4
_BLOCK_BYTES = 1 << 20

DAMAGED_HINT = "make a new recovery point: drmgr backup"


@dataclass(frozen=True)
class Gtid:
    """One transaction: the log's domain, the server it was made on, its number."""

    domain: int
    server: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Gtid":
        """Raises ValueError."""
        found = GTID_TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text} is not a GTID such as 0-1-523")
        return cls(*(int(part) for part in found.groups()))

    def __str__(self) -> str:
        return f"{self.domain}-{self.server}-{self.number}"


def parse_position(text: str) -> dict[int, Gtid]:
    """The last transaction of each domain, as ``@@gtid_binlog_pos`` tells it. Raises ValueError."""
    return {gtid.domain: gtid for gtid in (Gtid.parse(part) for part in text.split(",") if part.strip())}


@dataclass
class State:
    """The last transaction of each server in each domain; the one that was last of all is last in its domain."""

    pairs: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, gtid: Gtid) -> None:
        key = (gtid.domain, gtid.server)
        self.pairs.pop(key, None)
        self.pairs[key] = gtid.number

    def last(self) -> dict[int, Gtid]:
        return {domain: Gtid(domain, server, number) for (domain, server), number in self.pairs.items()}

    def text(self) -> str:
        return position_text(self.last())

    def copy(self) -> "State":
        return State(dict(self.pairs))


def position_text(last: Mapping[int, Gtid]) -> str:
    return ",".join(str(last[domain]) for domain in sorted(last))


@dataclass(frozen=True)
class Group:
    """One transaction as it lies in its file, from ``start`` to before ``end``; ``at`` in whole seconds since 1970.

    ``databases`` are those whose rows it changes; ``statements`` are (default database, text) of what it says in SQL.
    """

    gtid: Gtid
    start: int
    end: int
    at: int
    databases: frozenset[str]
    statements: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scanned:
    """A whole file: when it was opened, what the log had reached before and after it, when it was closed.

    ``closed`` is None for a file that its server did not close: it crashed, or writes it still. ``end`` is where its
    last event ends.
    """

    opened: int
    before: State
    after: State
    first: int
    end: int
    last_event: int
    closed: int | None

    @property
    def until(self) -> datetime:
        """Everything that was committed before it and before this instant is in this file or before it."""
        return instant(self.last_event if self.closed is None else self.closed)


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, order=True)
class Place:
    """Where something lies in the log: the number of the file and the byte in it."""

    number: int
    offset: int

    @property
    def packed(self) -> int:
        """One number that grows along the log."""
        return (self.number << OFFSET_BITS) + self.offset

    @classmethod
    def unpacked(cls, position: int) -> "Place":
        return cls(position >> OFFSET_BITS, position & ((1 << OFFSET_BITS) - 1))

    @classmethod
    def parse(cls, text: str) -> "Place":
        """From ``mysqld-bin.000123:4567``. Raises ValueError."""
        name, _, offset = text.rpartition(":")
        found = FILE.fullmatch(name)
        if found is None or not offset.isdigit() or int(offset) >> OFFSET_BITS:
            raise ValueError(f"{text} is not a place in a binary log")
        return cls(int(found["number"]), int(offset))


def number_of(name: str) -> int:
    """The number of a log file by its name. Raises SourceError."""
    found = FILE.fullmatch(name)
    if found is None:
        raise SourceError(f"{name} is not the name of a binary log")
    return int(found["number"])


@dataclass(frozen=True)
class _Event:
    kind: int
    at: int
    server: int
    start: int
    end: int
    body: bytes


class Reader:
    """Reads one file to its end: iterate ``groups``, then ask ``scanned``. Raises SourceError for a damaged file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = 0
        self._before = State()
        self._after = State()
        self._first = 0
        self._end = 0
        self._last_event = 0
        self._closed: int | None = None
        self._done = False

    @property
    def before(self) -> State:
        """What the log had reached before this file; known from the first group on."""
        return self._before

    def groups(self) -> Iterator[Group]:
        """The transactions that are whole, in order."""
        building: _Building | None = None
        for event in self._events():
            self._end, self._last_event = event.end, max(self._last_event, event.at)
            if event.kind == _GTID_EVENT:
                building = _Building(event)
            elif event.kind in (_ROTATE, _STOP):
                self._closed = event.at
            elif building is not None:
                group = building.take(event)
                if group is not None:
                    building = None
                    self._after.add(group.gtid)
                    yield group
            if not self._first and event.kind not in (_FORMAT, _GTID_LIST):
                self._first = event.start
        self._done = True

    def scanned(self) -> Scanned:
        assert self._done
        return Scanned(
            self._opened,
            self._before,
            self._after,
            self._first or self._end,
            self._end,
            self._last_event,
            self._closed,
        )

    def _events(self) -> Iterator[_Event]:
        try:
            with self._path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise self._damaged("does not begin as a binary log")
                listed = False
                while (event := self._event(file)) is not None:
                    if event.kind == _ENCRYPTED:
                        raise SourceError(
                            "the binary log is encrypted, which drmgr cannot read",
                            hint="turn encrypt_binlog off; drmgr's repository is encrypted itself",
                        )
                    if event.kind == _FORMAT:
                        self._opened = event.at
                    if event.kind == _GTID_LIST:
                        self._take_list(event.body)
                        listed = True
                    yield event
                if not listed:
                    raise self._damaged("does not say where in the log it begins")
        except OSError as error:
            raise SourceError(f"the binary log {self._path} cannot be read: {error.strerror}") from error

    def _event(self, file: BinaryIO) -> _Event | None:
        start = file.tell()
        header = file.read(_HEADER.size)
        if not header:
            return None
        if len(header) < _HEADER.size:
            raise self._damaged(f"ends in the middle of an event at {start}")
        at, kind, server, size, _, flags = _HEADER.unpack(header)
        if size < _HEADER.size:
            raise self._damaged(f"has an impossible event at {start}")
        if kind == _FORMAT:
            # the server marks a file that it still writes, and leaves the mark out of the checksum
            header = header[:17] + struct.pack("<H", flags & ~_IN_USE)
        body, proven = self._body(file, header, size - _HEADER.size, keep=kind in _KEPT)
        if kind == _FORMAT and body[-1 - _CHECKSUM_BYTES :][:1] != b"\x01":
            raise self._damaged("has no checksums, so nobody can tell whether it is whole")
        if not proven:
            raise self._damaged(f"is damaged: the checksum of the event at {start} is wrong")
        return _Event(kind, at, server, start, start + size, body[:-_CHECKSUM_BYTES])

    def _body(self, file: BinaryIO, header: bytes, size: int, *, keep: bool) -> tuple[bytes, bool]:
        """The bytes after the header, only the first block of them unless they are ``keep``; and whether their checksum holds."""
        sum_, left, tail, kept = zlib.crc32(header), size, b"", b""
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise self._damaged("ends in the middle of an event")
            left -= len(block)
            data = tail + block
            sum_, tail = zlib.crc32(data[:-_CHECKSUM_BYTES], sum_), data[-_CHECKSUM_BYTES:]
            if keep:
                kept += block
        return kept, tail == struct.pack("<I", sum_)

    def _take_list(self, body: bytes) -> None:
        (count,) = struct.unpack_from("<I", body)
        for number in range(count & 0x0FFFFFFF):
            domain, server, last = _LIST_ITEM.unpack_from(body, 4 + number * _LIST_ITEM.size)
            self._before.add(Gtid(domain, server, last))
        self._after = self._before.copy()

    def _damaged(self, how: str) -> SourceError:
        return SourceError(f"the binary log {self._path.name} {how}", hint=DAMAGED_HINT)


class _Building:
    """A transaction of which not all events were seen yet."""

    def __init__(self, event: _Event) -> None:
        number, domain, flags = _GTID.unpack_from(event.body)
        self._gtid = Gtid(domain, event.server, number)
        self._standalone = bool(flags & _STANDALONE)
        self._event = event
        self._databases: set[str] = set()
        self._statements: list[tuple[str, str]] = []

    def take(self, event: _Event) -> Group | None:
        """The group, once this was its last event."""
        over = event.kind in (_XID, _XA_PREPARE)
        if event.kind == _TABLE_MAP:
            length = event.body[8]
            self._databases.add(event.body[9 : 9 + length].decode())
        if event.kind in (_QUERY_EVENT, _QUERY_COMPRESSED):
            database, text = _statement(event)
            over = self._standalone or text in ("COMMIT", "ROLLBACK")
            if text not in ("BEGIN", "COMMIT", "ROLLBACK"):
                self._statements.append((database, text))
        if not over:
            return None
        # a transaction's time is that of its commit, and so is the time of the event that begins it
        begun = self._event
        return Group(self._gtid, begun.start, event.end, begun.at, frozenset(self._databases), tuple(self._statements))


def _statement(event: _Event) -> tuple[str, str]:
    """(default database, statement)."""
    _, _, length, _, variables = _QUERY.unpack_from(event.body)
    start = _QUERY.size + variables
    database = event.body[start : start + length].decode(errors="replace")
    text = event.body[start + length + 1 :]
    if event.kind == _QUERY_COMPRESSED:
        with suppress(zlib.error):
            # one byte says how many bytes tell the length of the text
            text = zlib.decompress(text[1 + (text[0] & 7) :])
    return database, text.decode(errors="replace")
