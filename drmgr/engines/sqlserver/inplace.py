"""SQL Server in its own place: a database restored beside, and two renames while nobody else is in."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from drmgr.engines.sqlserver import renaming, statements
from drmgr.engines.sqlserver.connection import opened, told
from drmgr.engines.sqlserver.engine import SqlServerEngine
from drmgr.engines.sqlserver.preflight import check_version
from drmgr.errors import DrmgrError, InUseError, LoadError, PreflightError, SourceError
from drmgr.interfaces import Clock
from drmgr.model import Facts, Instance, Member, Move
from drmgr.system.beside import before_name, restored_name, run_of
from drmgr.system.files import write_atomically
from drmgr.system.mssql import Complaint, Row, Session, act
from drmgr.system.mssql_server import alone, drop

NAME_BYTES = 128
END_SECONDS = 15.0
POLL_SECONDS = 0.1
OWN = frozenset({"master", "model", "msdb", "tempdb", "distribution"})
SINGLE, RESTRICTED = "SINGLE_USER", "RESTRICTED_USER"
IN_USE = frozenset({5030, 5061, 5064, 5070, 924})
"""The server's words for a database that others are in."""


@dataclass(frozen=True)
class Kept:
    """What the database in use had and its files do not hold; each that comes under its name gets it."""

    broker: bool
    restricted: bool


class SqlServerPlace:
    """See interfaces.Place. The engine's account is a sysadmin. ``notes`` is a folder of drmgr's state.

    Single-user mode is the door: no database stands so but by a rename under way, or by one that was broken off.
    """

    by_scratch = False
    replays = True
    by_hand = ""

    def __init__(self, engine: SqlServerEngine, clock: Clock, notes: Path) -> None:
        self.engine = engine
        self._endpoint = engine.endpoint
        self._clock = clock
        self._notes = notes

    @property
    def _name(self) -> str:
        return self._endpoint.database

    def survey(self, member: Member) -> None:
        del member
        if self._name.lower() in OWN:
            raise PreflightError(f"the database {self._name} is the server's own and cannot be renamed")
        with self._session(PreflightError) as session:
            check_version(session.row(statements.SERVER))
            if not session.row(renaming.ADMIN)["is_admin"]:
                raise PreflightError(
                    f"user {self._endpoint.server.user} may not set the database {self._name} aside",
                    hint="name a connection with a sysadmin's login under restore.through in the site file: only such a "
                    "one gives a database back its owner and what a restore resets",
                )
            found = _standing(session, self._name)
        if found is not None:
            _refuse(self._name, {"is_subscriber": 0, **found})
            # a database that is shut would answer this with an error, so it is asked inside, once it is known to be open
            with opened(self._endpoint, PreflightError) as session, told("the database", PreflightError):
                _refuse(self._name, {**found, **session.row(renaming.SUBSCRIBES)})

    def users(self) -> int:
        with self._session() as session:
            return len(session.rows(renaming.sessions(self._name)))

    def programs(self) -> tuple[str, ...]:
        return ()

    def disk(self) -> Path | None:
        """The server's own, which it is asked about before it restores."""
        return None

    def staging(self, run: str) -> Path | None:
        del run
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        """Only a name: a restore makes the database itself, and into none that is there."""
        del facts
        return replace(self.engine.target(), database=restored_name(self._name, run, NAME_BYTES))

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        del staged
        name = loaded.database
        with self._session(LoadError) as session:
            before = _standing(session, self._name)
        owner = before["owner_name"] if before else self._owner_inside(name)
        if owner:
            # whose login the server does not know, or who is a user in there: told at the end, see lacking
            with suppress(Complaint):
                self._act(renaming.own(name, str(owner)))
        with told("what a restore resets could not be set again", LoadError):
            if before and before["is_trustworthy"]:
                self._act(renaming.trust(name))
            if before and before["is_chaining"]:
                self._act(renaming.chain(name))
            self._act(renaming.admit(name, restricted=False))
        if before:
            kept = Kept(bool(before["is_broker_enabled"]), before["user_access_desc"] == RESTRICTED)
            self._write(run, kept)

    def _owner_inside(self, name: str) -> str | None:
        with opened(self._endpoint, LoadError, name) as session, told("the owner could not be read", LoadError):
            found = session.row(renaming.OWNER)["owner_name"]
        return None if found is None else str(found)

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._name
        aside = Move(source, name, before_name(name, run, NAME_BYTES), kept=True)
        into = Move(source, restored_name(name, run, NAME_BYTES), name)
        with self._session() as session:
            return (aside, into) if _access(session, name) is not None else (into,)

    def begun(self, move: Move) -> bool:
        """Its door was shut for the rename, and not opened again."""
        with self._session() as session:
            old, new = _access(session, move.old), _access(session, move.new)
        return (old == SINGLE and new is None) or (new == SINGLE and (move.kept or old is None))

    def done(self, move: Move) -> bool:
        with self._session() as session:
            old, new = _access(session, move.old), _access(session, move.new)
        return new not in (None, SINGLE) and (move.kept or old is None)

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        beside = move.new if move.old == self._name else move.old
        kept = self._read(run_of(beside))
        with told(f"the database {move.old} could not be renamed"):
            with self._session() as session:
                waiting = _access(session, move.old) is not None
                if waiting and _access(session, move.new) is not None:
                    raise SourceError(f"there is a database {move.new} already, and nothing is written over")
                # killed between the rename and the open door, it has its new name already
                name = move.old if waiting else move.new
                if _access(session, name) == SINGLE:
                    self._free_slot(session, name, end_sessions=end_sessions)
            with self._inside(name, end_sessions=end_sessions) as session:
                failure = self._changed(session, move, kept, waiting=waiting)
            if failure is not None:
                self._open_again(move, kept)
                raise failure

    def _free_slot(self, session: Session, name: str, *, end_sessions: bool) -> None:
        """A door that was left shut has a gap that one session fits through."""
        deadline = self._clock.monotonic() + END_SECONDS
        while users := session.rows(renaming.sessions(name)):
            if not end_sessions:
                raise InUseError(f"sessions work in the database {name}")
            if self._clock.monotonic() > deadline:
                raise SourceError(f"{len(users)} sessions in the database {name} do not end")
            for row in users:
                with suppress(Complaint):
                    self._act(renaming.end_session(int(row["number"])))
            self._clock.sleep(POLL_SECONDS)

    @contextmanager
    def _inside(self, name: str, *, end_sessions: bool) -> Iterator[Session]:
        """The one session that is in it: until it leaves not even an administrator gets in between."""
        with opened(self._endpoint, database=name) as session:
            try:
                session.act(alone(name) if end_sessions else renaming.alone_if_unused(name))
            except Complaint as complaint:
                if complaint.number in IN_USE and not end_sessions:
                    raise InUseError(f"sessions work in the database {name}") from None
                raise
            yield session

    def _changed(self, session: Session, move: Move, kept: Kept | None, *, waiting: bool) -> Complaint | None:
        """Gives what the server had against it: after an error only another session hears the truth."""
        try:
            if waiting:
                session.act(renaming.rename(move.old, move.new))
            if kept is not None:
                self._set_broker(session, move.new, kept)
            session.act(renaming.admit(move.new, restricted=kept is not None and kept.restricted))
        except Complaint as complaint:
            return complaint
        return None

    def _set_broker(self, session: Session, name: str, kept: Kept) -> None:
        """It rests in what is set aside, which would answer messages in place of the one in use."""
        wanted = kept.broker and name == self._name
        found = _standing(session, name)
        if found is not None and bool(found["is_broker_enabled"]) != wanted:
            session.act(renaming.broker(name, enabled=wanted))

    def _open_again(self, move: Move, kept: Kept | None) -> None:
        for name in (move.old, move.new):
            with self._session() as session:
                shut = _access(session, name) == SINGLE
            if shut:
                self._act(renaming.admit(name, restricted=kept is not None and kept.restricted))

    def live(self, run: str) -> Instance | None:
        del run
        return self.engine.target()

    def lacking(self, run: str) -> tuple[str, ...]:
        """Users without a login, and what could not be set."""
        name, kept = self._name, self._read(run)
        with opened(self._endpoint) as session, told("the users in place could not be looked at"):
            now, before = _standing(session, name), _standing(session, before_name(name, run, NAME_BYTES))
            orphans = [str(row["name"]) for row in session.rows(renaming.ORPHANS)]
        lines = [renaming.adopt(name, user) for user in orphans]
        owner = before["owner_name"] if before else None
        if now and owner and now["owner_name"] != owner:
            lines.append(renaming.typed(renaming.own(name, str(owner))))
        if now and kept is not None and kept.broker and not now["is_broker_enabled"]:
            lines.append(renaming.typed(renaming.broker(name, enabled=True)))
        return tuple(lines)

    def tidy(self, run: str) -> None:
        """Nothing lies on the way; the note is wanted by whoever undoes this."""

    def discard(self, run: str) -> None:
        name = restored_name(self._name, run, NAME_BYTES)
        with self._session() as session:
            found = _standing(session, name)
        if found is None:
            return
        with told("the database beside could not be dropped"):
            if found["state_desc"] == "ONLINE":
                self._act(alone(name))
            self._act(drop(name))
        with self._session() as session:
            if _standing(session, name) is not None:
                raise SourceError(f"the database {name} is still there, although the server dropped it")

    def _act(self, statement: str) -> None:
        """In a session of its own, outside of the database. Raises Complaint."""
        act(self._endpoint.server, statement)

    @contextmanager
    def _session(self, error: type[DrmgrError] = SourceError) -> Iterator[Session]:
        with (
            opened(self._endpoint, error, "master") as session,
            told("the database could not be looked at", error),
        ):
            yield session

    def _note(self, run: str) -> Path:
        which = hashlib.sha256(self._name.encode()).hexdigest()[:16]
        return self._notes / f"sqlserver-{run.lower()}-{which}.json"

    def _write(self, run: str, kept: Kept) -> None:
        try:
            write_atomically(self._note(run), json.dumps(asdict(kept)).encode())
        except OSError as failure:
            raise LoadError(f"what {self._name} had could not be noted: {failure.strerror}") from failure

    def _read(self, run: str) -> Kept | None:
        """None when there was no database in that place."""
        try:
            return Kept(**json.loads(self._note(run).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as failure:
            raise SourceError(f"what was noted of {self._name} cannot be read") from failure


def _standing(session: Session, name: str) -> Row | None:
    return next(iter(session.rows(renaming.standing(name))), None)


def _access(session: Session, name: str) -> str | None:
    """None when there is no such database, else who is let in."""
    found = _standing(session, name)
    return None if found is None else str(found["user_access_desc"])


_REFUSALS = {
    "is_snapshot": ("is a snapshot of another one", "name the database itself in the connection"),
    "is_in_group": (
        "is in an availability group",
        "take it out of the group first, and put it in again afterwards: ALTER AVAILABILITY GROUP … REMOVE DATABASE",
    ),
    "is_mirrored": ("is mirrored", "end the mirroring first: ALTER DATABASE … SET PARTNER OFF"),
    "is_replicated": ("is published by replication", "take it out first: sp_removedbreplication"),
    "is_subscriber": ("subscribes to another one by replication", "take it out first: sp_removedbreplication"),
    "is_capturing": (
        "captures changes (CDC), which do not come back under another name",
        "switch that off first and on again afterwards: sys.sp_cdc_disable_db",
    ),
    "snapshots": ("has snapshots, and so cannot be renamed", "drop them first: DROP DATABASE"),
}


def _refuse(name: str, found: Row) -> None:
    """Raises PreflightError for what cannot be set aside as it stands."""
    if found["state_desc"] != "ONLINE":
        raise PreflightError(
            f"the database {name} is {str(found['state_desc']).lower()}, and is not renamed as it stands",
            hint="set it aside by hand: sp_detach_db leaves its files where they are (of a suspect one after "
            "ALTER DATABASE … SET EMERGENCY); then call this again, and the place is empty",
        )
    for column, (what, hint) in _REFUSALS.items():
        if found[column]:
            raise PreflightError(f"the database {name} {what}", hint=hint)
    if found["user_access_desc"] == SINGLE:
        raise PreflightError(
            f"the database {name} is in single-user mode, which somebody wants so",
            hint=f"ask who, and end it: {renaming.typed(renaming.admit(name, restricted=False))}",
        )
