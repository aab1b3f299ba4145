"""Receives the binary log as a replica would, whole files only; proves that each goes on where the one before it ended."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from drmgr.engines.mariadb.binlog import FILE, Gtid, Place, Reader, Scanned, instant, number_of
from drmgr.engines.mariadb.connection import connect, run, told
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.log import TIMELINE, chain_name, check_log, log_identity
from drmgr.engines.mariadb.replay_plan import Planner, Start, is_ambiguous, log_files
from drmgr.errors import DrmgrError, SourceError, SpoolFullError
from drmgr.model import Barrier, Instance, LogBatch, LogFile, Member, RecoveryTarget
from drmgr.system.command import Command, Runner
from drmgr.system.files import sync_directory, write_atomically

RECEIVE_SECONDS = 3600.0
FIRST_BYTES = 1 << 30
"""How much of the log that the server has still is taken at the first call: the newest of it."""

CALL_BYTES = 4 << 30
STATE = "received.json"
CHAIN_END = "+"
"""Stands in the name of a waiting file between the chain and the server's own name."""

DAMAGED = re.compile(
    r"truncated in the middle|event read from binlog did not pass|bogus data|is corrupted", re.IGNORECASE
)
"""What a server says that crashed while it wrote, or whose disk lost something."""

UNWRITTEN = "Could not write into log file"
"""mariadb-binlog's words for a disk that is full."""

NOTHING = {(-1, -1): 0}
"""What no log ever reaches."""

GAP_HINT = "times in the gap cannot be restored; make a new recovery point now: drmgr backup"


@dataclass(frozen=True)
class _State:
    """What lies behind us: whose log it is, since when it was received without a gap, and what came last.

    ``reached`` is what the log had reached at the end of file ``last``: the number of each domain's and server's last one.
    ``newest`` is the latest beginning of any chain: later than ``since`` once an earlier log is in use again.
    """

    identity: str
    since: int
    last: int
    reached: Mapping[tuple[int, int], int]
    newest: int = 0

    @property
    def chain(self) -> str:
        return chain_name(self.identity, self.since)


class MariadbLogShipper:
    """See interfaces.LogShipper. A call takes at most ``CALL_BYTES``; what is left over is taken by the next."""

    def __init__(self, engine: MariadbEngine, runner: Runner) -> None:
        self._engine = engine
        self._runner = runner

    def receive(self, spool: Path) -> DrmgrError | None:
        incoming = _folder(spool, "incoming")
        for left in incoming.iterdir():
            # of a call that was ended half-way: nobody knows whether it is whole
            left.unlink()
        state = _read_state(spool)
        with closing(connect(self._engine.endpoint(), database="")) as session:
            check_log(session)
            with told("the server's binary log could not be asked for"):
                identity = log_identity(session)
                _refuse_other_server(state, identity)
                run(session, "FLUSH LOCAL BINARY LOGS")
                listed = [(str(name), int(size)) for name, size, *_ in run(session, "SHOW BINARY LOGS")]
        # the last one is being written
        chosen, problem = _choose(listed[:-1], state)
        taken = 0
        for name, size in chosen:
            arrived = _Arrived(incoming / name, size, identity)
            try:
                self._fetch(name, incoming)
                state, gap = _take(arrived, state, _folder(spool, "waiting"))
            except _DamagedError as damaged:
                # asking again would never help, and the files after it are wanted
                state, gap = _pass_over(arrived, state), damaged.told
            problem = problem or gap
            _write_state(spool, state)
            taken += size
            if taken > CALL_BYTES:
                break
        return problem

    def waiting(self, spool: Path) -> tuple[LogBatch, ...]:
        database = self._engine.endpoint().database
        chains: dict[str, list[Path]] = {}
        for path in self.files(spool).iterdir():
            chain, _, name = path.name.partition(CHAIN_END)
            if FILE.fullmatch(name):
                chains.setdefault(chain, []).append(path)
        stretches = ((chain, stretch) for chain, paths in sorted(chains.items()) for stretch in _stretches(paths))
        return tuple(_batch(chain, stretch, database) for chain, stretch in stretches)

    def files(self, spool: Path) -> Path:
        return _folder(spool, "waiting")

    def position(self, text: str) -> int | None:
        try:
            return Place.parse(text).packed
        except ValueError:
            return None

    def position_text(self, position: int) -> str:
        place = Place.unpacked(position)
        return f"binlog.{place.number:06}:{place.offset}"

    def locate(self, name: str, marks: Mapping[str, int]) -> int | None:
        try:
            wanted = Gtid.parse(name)
        except ValueError:
            return None
        found = {gtid.number: marks[str(gtid)] for gtid in map(Gtid.parse, marks) if gtid.domain == wanted.domain}
        if not found:
            return None
        # a domain that begins in this batch has one mark only
        before = min(found) if len(found) > 1 else 0
        return found[max(found)] if before < wanted.number <= max(found) else None

    def replay(self, member: Member, restored: Path, into: Instance, target: RecoveryTarget) -> str:
        recovery = member.facts.groups["recovery"]
        start = Start(Place.unpacked(int(recovery["position"])), str(recovery["restore_point"]))
        database = into.database if member.facts.engine == MariadbEngine.name else None
        plan = Planner(start, target, database).plan(log_files(sorted(restored.glob("logs-*"))))
        return self._engine.replayer().replay(plan, self._engine.endpoint(into), database).text()

    def _fetch(self, name: str, incoming: Path) -> None:
        """One whole file, as the server would send it to a replica. Raises SourceError."""
        endpoint, program = self._engine.endpoint(), self._engine.log_program()
        argv = (
            *(str(program), *endpoint.arguments(charset=False), "--read-from-remote-server", "--raw"),
            *(f"--result-file={incoming}/", name),
        )
        try:
            done = self._runner.run(Command(argv), timeout=RECEIVE_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"the binary log {name} came to no end within {RECEIVE_SECONDS:.0f} s") from None
        if DAMAGED.search(done.stderr):
            raise _DamagedError(f"the server cannot read its own binary log {name} to its end")
        if done.code != 0 and UNWRITTEN in done.stderr:
            raise SpoolFullError(
                f"the disk of the spool {incoming.parent} is full, and no more log can be received",
                hint="make room there; nothing is lost while the server keeps its binary logs",
            )
        if done.code != 0 or not (incoming / name).is_file():
            raise SourceError(f"the binary log {name} could not be received: {_reason(done.stderr)}")


class _DamagedError(Exception):
    """A file that is damaged where the server keeps it; ``told`` is what the caller hears of it."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.told = SourceError(f"{how}: what it holds is lost", hint=GAP_HINT)


@dataclass(frozen=True)
class _Arrived:
    """A file that was received, the size that the server tells of it, and whose it is."""

    path: Path
    size: int
    identity: str


Listed = Sequence[tuple[str, int]]


def _choose(listed: Listed, state: _State | None) -> tuple[Listed, SourceError | None]:
    """The files to receive, and what is wrong when the one that is due is not among them."""
    if state is None:
        return _newest(listed), None
    due = state.last + 1
    numbers = [number_of(name) for name, _ in listed]
    if not numbers or due in numbers:
        return [item for item in listed if number_of(item[0]) >= due], None
    if max(numbers) < due:
        return listed, SourceError(
            f"the server's binary log was begun anew (RESET MASTER): {listed[-1][0]} comes after number {state.last}",
            hint=GAP_HINT,
        )
    return listed, SourceError(
        f"the server removed its binary logs before they were shipped: {due} to {min(numbers) - 1} are lost",
        hint=f"{GAP_HINT}; ship more often, or raise expire_logs_days",
    )


def _newest(listed: Listed) -> Listed:
    size = 0
    chosen: list[tuple[str, int]] = []
    for item in reversed(listed):
        size += item[1]
        if chosen and size > FIRST_BYTES:
            break
        chosen.append(item)
    return chosen[::-1]


def _take(arrived: _Arrived, state: _State | None, waiting: Path) -> tuple[_State, SourceError | None]:
    """Proves a file, and moves it to those that wait. A file that does not go on where the last one ended begins a chain."""
    name, number = arrived.path.name, number_of(arrived.path.name)
    came = arrived.path.stat().st_size
    try:
        scanned = _scan(arrived.path)
    except SourceError as error:
        if came != arrived.size:
            raise
        # byte for byte as the server keeps it
        raise _DamagedError(f"{error.message}, on the server itself") from error
    if scanned.closed is not None and came != arrived.size:
        raise SourceError(f"the binary log {name} has {arrived.size} bytes on the server, and {came} arrived")
    follows = state is not None and state.last + 1 == number and state.reached == scanned.before.pairs
    gap = None
    if state is not None and state.last + 1 == number and not follows and state.reached != NOTHING:
        gap = SourceError(
            f"the binary log {name} does not go on where the one before it ended: the server's log was begun anew",
            hint=GAP_HINT,
        )
    since = _since(state, scanned.opened, follows=follows)
    new = _State(arrived.identity, since, number, scanned.after.pairs, max(since, state.newest if state else 0))
    with arrived.path.open("rb") as file:
        os.fsync(file.fileno())
    arrived.path.rename(waiting / f"{new.chain}{CHAIN_END}{name}")
    sync_directory(waiting)
    return new, gap


def _since(state: _State | None, opened: int, *, follows: bool) -> int:
    """When the chain began that a file belongs to which was opened then.

    A server whose data were restored in place begins its log anew, and goes on with the one before when that is undone. What
    that one had before belongs to its own time, and what it writes from then on is a chain that later points stand in.
    """
    if state is None:
        return opened
    again = state.since < state.newest <= opened
    if follows and not again:
        return state.since
    return opened if again or opened < state.newest else max(opened, state.newest + 1)


def _pass_over(arrived: _Arrived, state: _State | None) -> _State:
    """Goes on after a file that cannot be had: with a chain of its own, for nothing can follow nothing."""
    arrived.path.unlink(missing_ok=True)
    since, newest = (state.since, state.newest) if state else (0, 0)
    return _State(arrived.identity, since, number_of(arrived.path.name), NOTHING, newest)


def _scan(path: Path) -> Scanned:
    reader = Reader(path)
    for _ in reader.groups():
        pass
    return reader.scanned()


def _stretches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    stretch: list[Path] = []
    for path in sorted(paths, key=lambda path: number_of(path.name)):
        if stretch and number_of(path.name) != number_of(stretch[-1].name) + 1:
            yield stretch
            stretch = []
        stretch.append(path)
    if stretch:
        yield stretch


def _batch(chain: str, paths: Sequence[Path], database: str) -> LogBatch:
    scans = [_scan(path) for path in paths]
    for path, one, next_ in zip(paths[1:], scans, scans[1:], strict=False):
        if one.after.pairs != next_.before.pairs:
            raise SourceError(f"the binary log {path.name} does not go on where the one before it ended", hint=GAP_HINT)
    first, last = number_of(paths[0].name), number_of(paths[-1].name)
    end = Place(last, scans[-1].end).packed
    before, after = scans[0].before.last(), scans[-1].after.last()
    marks: dict[str, int] = {}
    for domain, gtid in after.items():
        if gtid != before.get(domain):
            if domain in before:
                marks[str(before[domain])] = Place(first, scans[0].first).packed
            marks[str(gtid)] = end
    # the log tells whole seconds, and the one that begins with its end is the last that it holds all of the past of
    until = max(scan.until for scan in scans) + timedelta(microseconds=1)
    files = tuple(_described(path) for path in paths)
    return LogBatch(chain, TIMELINE, first, last, until, end, marks, files, barrier=_barrier(paths, database))


def _barrier(paths: Sequence[Path], database: str) -> Barrier | None:
    """What a replay into that database alone does not pass."""
    found = [
        (Place(number_of(path.name), group.start), Place(number_of(path.name), group.end), group.at)
        for path in paths
        for group in Reader(path).groups()
        if is_ambiguous(group, database)
    ]
    return Barrier(found[0][0].packed, found[-1][1].packed, instant(found[0][2])) if found else None


def _described(path: Path) -> LogFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LogFile(path.name, path.stat().st_size, digest)


def _refuse_other_server(state: _State | None, identity: str) -> None:
    if state is not None and state.identity != identity:
        raise SourceError(
            "the spool holds the log of another server than the one that the connection leads to",
            hint="the server was made anew? ship what waits, then remove the spool folder by hand",
        )


def _folder(spool: Path, name: str) -> Path:
    folder = spool / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _read_state(spool: Path) -> _State | None:
    try:
        found = json.loads((spool / STATE).read_text(encoding="utf-8"))
        reached = {(int(domain), int(server)): int(number) for domain, server, number in found["reached"]}
        since = int(found["since"])
        return _State(str(found["identity"]), since, int(found["last"]), reached, int(found.get("newest", since)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{spool / STATE} cannot be understood",
            hint="ship anew: move the spool folder away and make a recovery point",
        ) from error


def _write_state(spool: Path, state: _State) -> None:
    reached = [[*key, number] for key, number in state.reached.items()]
    found = {"identity": state.identity, "since": state.since, "last": state.last, "reached": reached}
    found |= {"newest": state.newest}
    write_atomically(spool / STATE, json.dumps(found).encode())


def _reason(stderr: str) -> str:
    found = re.search(r"ERROR: (.*)", stderr)
    return found[1][:200] if found else "mariadb-binlog gave no reason"
