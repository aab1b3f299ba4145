"""Receives the write-ahead log by a replication slot: what the slot has not given away, the server keeps."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import LiteralString

import psycopg

from drmgr.engines.postgres.connection import Endpoint, Session, connect, told
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.slot import SlotState, slot_state
from drmgr.engines.postgres.tools import find_client, find_exact
from drmgr.engines.postgres.wal import (
    HISTORY,
    SEGMENT,
    Times,
    WalReader,
    forked_at,
    lsn_text,
    parse_lsn,
    receive_failure,
    segment_name,
    segment_of,
)
from drmgr.errors import DrmgrError, PreflightError, SourceError, SpoolFullError
from drmgr.model import Instance, LogBatch, LogFile, Member, RecoveryTarget
from drmgr.system.command import Command, Runner
from drmgr.system.files import sync_directory, write_atomically

RECEIVE_SECONDS = 900.0
STATE = "received.json"
DISK_FULL = "No space left on device"

_SLOT: LiteralString = "SELECT restart_lsn::text, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"
_CREATE: LiteralString = "SELECT lsn::text FROM pg_catalog.pg_create_physical_replication_slot(%s, true)"
_DROP: LiteralString = "SELECT pg_catalog.pg_drop_replication_slot(%s)"
_ADVANCE: LiteralString = "SELECT pg_catalog.pg_replication_slot_advance(%s, %s::pg_catalog.pg_lsn)"
_CHAIN: LiteralString = """
SELECT system_identifier::text, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))
FROM pg_catalog.pg_control_system()"""
# a commit of our own: without one at its end, a replay could not stop at any time after the last one of others
_MARK: LiteralString = "SELECT pg_catalog.pg_current_xact_id()"
_SWITCH: LiteralString = "SELECT pg_catalog.pg_switch_wal()::text"


@dataclass(frozen=True)
class _State:
    """What lies behind us: whose log it is, the bytes of a segment, the version, and up to where whole segments were received."""

    slot: str
    chain: str
    size: int
    major: int
    received: int


class PostgresLogShipper:
    """See interfaces.LogShipper. ``slot`` is the name of its replication slot, which it makes at its first call."""

    def __init__(self, engine: PostgresEngine, slot: str, runner: Runner, binaries: Path | None = None) -> None:
        self._engine = engine
        self._slot = slot
        self._runner = runner
        self._binaries = binaries

    def receive(self, spool: Path) -> DrmgrError | None:
        incoming = _folder(spool, "incoming")
        state = _read_state(spool)
        if state is not None:
            # what a call that was killed had received already
            state = _take_in(incoming, _folder(spool, "waiting"), spool, state)
        endpoint = self._engine.endpoint()
        with connect(endpoint, autocommit=True) as session:
            program = self._program("pg_receivewal", session.info.server_version // 10000)
            with told("the server's log could not be asked for"):
                state, problem = self._ready(session, spool, state)
                session.execute(_MARK)
                switched = parse_lsn(_one(session, _SWITCH))
        end = (switched + state.size - 1) // state.size * state.size
        argv = (
            *(str(program), f"--directory={incoming}", f"--slot={self._slot}", "--no-loop", "--no-password"),
            # one less than the end: it stops once it has passed this position, with the last segment closed
            f"--endpos={lsn_text(end - 1)}",
        )
        try:
            done = self._runner.run(Command(argv, endpoint.environment()), timeout=RECEIVE_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"the server's log came to no end within {RECEIVE_SECONDS:.0f} s") from None
        finally:
            _take_in(incoming, _folder(spool, "waiting"), spool, state)
        if done.code == 0:
            self._let_go(endpoint, spool)
        if done.code != 0 and DISK_FULL in done.stderr:
            raise SpoolFullError(
                f"the disk of the spool {spool} is full, and no more log can be received",
                hint="make room there; nothing is lost while the server keeps its log for drmgr's slot",
            )
        if done.code != 0:
            raise SourceError(f"the server's log could not be received: {receive_failure(done.stderr)}")
        return problem

    def state(self) -> SlotState:
        """How the server's log stands with our slot. Raises PreflightError."""
        with connect(self._engine.endpoint(), PreflightError) as session:
            return slot_state(session, self._slot)

    def waiting(self, spool: Path) -> tuple[LogBatch, ...]:
        state = _read_state(spool)
        if state is None:
            return ()
        names = sorted(path.name for path in self.files(spool).iterdir() if SEGMENT.fullmatch(path.name))
        histories = sorted(path.name for path in self.files(spool).iterdir() if HISTORY.fullmatch(path.name))
        batches = []
        for stretch in _stretches(names, state.size):
            # a history goes with the first files after it was written; it is small, and once is enough
            batches.append(self._batch(spool, state, stretch, histories))
            histories = []
        return tuple(batches)

    def files(self, spool: Path) -> Path:
        return _folder(spool, "waiting")

    def position(self, text: str) -> int | None:
        try:
            return parse_lsn(text)
        except ValueError:
            return None

    def position_text(self, position: int) -> str:
        return lsn_text(position)

    def locate(self, name: str, marks: Mapping[str, int]) -> int | None:
        return marks.get(name)

    def replay(self, member: Member, restored: Path, into: Instance, target: RecoveryTarget) -> str:
        # the cluster was started with its log and its target, and proved that it stopped there
        return "the server stopped at it"

    def _batch(self, spool: Path, state: _State, names: list[str], histories: list[str]) -> LogBatch:
        folder, size = self.files(spool), state.size
        timeline, first = segment_of(names[0], size)
        _, last = segment_of(names[-1], size)
        reader = WalReader(self._runner, find_exact(self._runner, "pg_waldump", state.major, self._binaries))
        start, end = first * size, (last + 1) * size
        times, position, begun = Times(), 0, None
        forked = forked_at(folder, timeline)
        for ending in reader.endings(folder, timeline, start, end):
            times.take(ending.at)
            position = ending.position
            if begun is None and forked is not None and start <= forked <= position:
                begun = ending.at
        marks = {point.name: point.position for point in reader.restore_points(folder, timeline, start, end)}
        files = tuple(_described(folder / name) for name in (*names, *histories))
        return LogBatch(
            state.chain, timeline, first, last, times.until, position, marks, files, times.twice, begun=begun
        )

    def _let_go(self, endpoint: Endpoint, spool: Path) -> None:
        """The server need not keep what lies in the spool: pg_receivewal ends before it says so."""
        state = _read_state(spool)
        with connect(endpoint, autocommit=True) as session, told("the replication slot could not be moved on"):
            stands = session.execute(_SLOT, (self._slot,)).fetchone()
            if state is not None and stands and stands[0] and parse_lsn(stands[0]) < state.received:
                session.execute(_ADVANCE, (self._slot, lsn_text(state.received)))

    def _ready(self, session: Session, spool: Path, state: _State | None) -> tuple[_State, SourceError | None]:
        """The slot is there and stands where we do."""
        chain, size = session.execute(_CHAIN).fetchone() or ("", 0)
        fresh = _State(self._slot, chain, size, session.info.server_version // 10000, state.received if state else 0)
        if state is not None and state.chain != chain:
            raise SourceError(
                f"the spool holds the log of the cluster {state.chain}, and the server is the cluster {chain}",
                hint="the server was made anew? ship what waits, then remove the spool folder by hand",
            )
        row = session.execute(_SLOT, (self._slot,)).fetchone()
        if row is None or row[1] == "lost" or row[0] is None:
            return self._made_again(session, spool, fresh, known=state is not None, invalid=row is not None)
        stands = parse_lsn(row[0])
        stands -= stands % size
        problem = None
        if state is None:
            fresh = replace(fresh, received=stands)
        elif stands > state.received:
            lost = f"{lsn_text(state.received)} to {lsn_text(stands)}"
            problem = SourceError(
                f"somebody moved the replication slot {self._slot} on, and the log from {lost} was not received",
                hint="make a new recovery point now: drmgr backup; no restore can pass the gap",
            )
            fresh = replace(fresh, received=stands)
        if fresh.received > parse_lsn(row[0]):
            session.execute(_ADVANCE, (self._slot, lsn_text(fresh.received)))
        _write_state(spool, fresh)
        return fresh, problem

    def _made_again(
        self, session: Session, spool: Path, state: _State, *, known: bool, invalid: bool
    ) -> tuple[_State, SourceError | None]:
        if invalid:
            session.execute(_DROP, (self._slot,))
        begins = parse_lsn(_one(session, _CREATE, self._slot))
        begins -= begins % state.size
        how = "was given up by the server" if invalid else "was dropped behind our back"
        if known and begins <= state.received:
            session.execute(_ADVANCE, (self._slot, lsn_text(state.received)))
            return state, SourceError(
                f"the replication slot {self._slot} {how}; it was made again, and no log was lost",
                hint="find out who dropped it",
            )
        for left in _folder(spool, "incoming").iterdir():
            left.unlink()
        anew = replace(state, received=begins)
        _write_state(spool, anew)
        if not known:
            return anew, None
        lost = f"{lsn_text(state.received)} to {lsn_text(begins)}"
        return anew, SourceError(
            f"the replication slot {self._slot} {how}, and the log from {lost} is lost",
            hint="make a new recovery point now: drmgr backup; no restore can pass the gap",
        )

    def _program(self, name: str, major: int) -> Path:
        return find_client(self._runner, name, major, self._binaries).path


def _take_in(incoming: Path, waiting: Path, spool: Path, state: _State) -> _State:
    """Moves whole segments to those that wait, and remembers how far they reach."""
    received = state.received
    for path in sorted(incoming.iterdir()):
        if SEGMENT.fullmatch(path.name) or HISTORY.fullmatch(path.name):
            path.rename(waiting / path.name)
        if SEGMENT.fullmatch(path.name):
            received = max(received, (segment_of(path.name, state.size)[1] + 1) * state.size)
    sync_directory(waiting)
    sync_directory(incoming)
    known = replace(state, received=received)
    _write_state(spool, known)
    return known


def _stretches(names: list[str], size: int) -> Iterator[list[str]]:
    stretch: list[str] = []
    for name in names:
        timeline, number = segment_of(name, size)
        if stretch and segment_name(timeline, number - 1, size) != stretch[-1]:
            yield stretch
            stretch = []
        stretch.append(name)
    if stretch:
        yield stretch


def _described(path: Path) -> LogFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LogFile(path.name, path.stat().st_size, digest)


def _folder(spool: Path, name: str) -> Path:
    folder = spool / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _read_state(spool: Path) -> _State | None:
    try:
        found: Mapping[str, str | int] = json.loads((spool / STATE).read_text(encoding="utf-8"))
        numbers = (int(found[name]) for name in ("size", "major", "received"))
        return _State(str(found["slot"]), str(found["chain"]), *numbers)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{spool / STATE} cannot be understood",
            hint="ship anew: move the spool folder away and make a recovery point",
        ) from error


def _write_state(spool: Path, state: _State) -> None:
    write_atomically(spool / STATE, json.dumps(asdict(state)).encode())


def _one(session: Session, query: LiteralString, *values: str) -> str:
    row = session.execute(query, values).fetchone()
    if row is None:
        raise psycopg.OperationalError("no answer")
    return str(row[0])
