"""MariaDB, logical, in its own place: a schema beside, and all of each schema moved, for a schema has but one name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pymysql

from drmgr.engines.mariadb.accounts import read_accounts, renamed
from drmgr.engines.mariadb.connection import Session, connect, quoted, told
from drmgr.engines.mariadb.connection import run as ask
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.moving import Contents, Notes, carry, exists, give_rights, look, tables
from drmgr.errors import InUseError, PreflightError, SourceError
from drmgr.interfaces import Clock
from drmgr.model import Facts, Instance, Member, Move
from drmgr.system.beside import before_name, restored_name, run_of

NAME_BYTES = 64
END_SECONDS = 15.0
POLL_SECONDS = 0.1
CLOSING_SECONDS = 2.0
"""A session that was closed is still listed until its thread has ended: our own last ones are, now and then."""
MOVABLE = frozenset({"InnoDB", "Aria", "MyISAM", "SEQUENCE", "ARCHIVE", "CSV"})
OWN = frozenset({"mysql", "sys", "information_schema", "performance_schema"})

_ENGINES = "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = %s AND table_type <> 'VIEW'"
_PACKAGES = (
    "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s AND routine_type LIKE 'PACKAGE%%'"
)
_FOREIGN = (
    "SELECT DISTINCT constraint_schema, table_name FROM information_schema.referential_constraints "
    "WHERE unique_constraint_schema = %s AND constraint_schema <> %s"
)
_OUTWARD = (
    "SELECT DISTINCT table_name, unique_constraint_schema FROM information_schema.referential_constraints "
    "WHERE constraint_schema = %s AND unique_constraint_schema <> %s"
)
_USERS = "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()"
_DIRECTORIES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND create_options LIKE '%%DIRECTORY%%'"
)
_NEEDED = frozenset(
    {
        "SELECT",
        "INSERT",
        "CREATE",
        "ALTER",
        "DROP",
        "TRIGGER",
        "EVENT",
        "CREATE VIEW",
        "CREATE ROUTINE",
        "ALTER ROUTINE",
        "SET USER",
    }
)


class MariadbPlace:
    """See interfaces.Place. ``notes`` is a folder of drmgr's state; what is moved is written down in it before it is."""

    by_scratch = False
    replays = False
    by_hand = ""

    def __init__(self, engine: MariadbEngine, clock: Clock, notes: Path) -> None:
        self.engine = engine
        self._endpoint = engine.endpoint()
        self._clock = clock
        self._notes = Notes(notes)

    @property
    def _name(self) -> str:
        return self._endpoint.database

    def survey(self, member: Member) -> None:
        name = self._name
        if name.lower() in OWN:
            raise PreflightError(f"the schema {name} is the server's own and cannot be moved")
        with self._session(PreflightError) as session, told("what is there could not be looked at", PreflightError):
            self._refuse_account(session)
            _refuse_running_events(session, member)
            for found, why in (
                (
                    [f"{table} ({kind})" for table, kind in ask(session, _ENGINES, name) if kind not in MOVABLE],
                    "engine",
                ),
                ([str(package) for (package,) in ask(session, _PACKAGES, name)], "package"),
                ([str(table) for (table,) in ask(session, _DIRECTORIES, name)], "directory"),
                ([f"{schema}.{table}" for schema, table in ask(session, _FOREIGN, name, name)], "reference to it"),
                (
                    [f"{table} to {schema}" for table, schema in ask(session, _OUTWARD, name, name)],
                    "reference out of it",
                ),
            ):
                if found:
                    raise PreflightError(
                        f"the schema {name} cannot be set aside: {_WHY[why]}: {', '.join(found[:5])}",
                        hint="restore it into another schema with --to connection:NAME, and change over by hand",
                    )

    def _refuse_account(self, session: Session) -> None:
        rights = " ".join(str(line) for (line,) in ask(session, "SHOW GRANTS") if " ON *.* TO " in str(line))
        granted = rights.partition("GRANT ")[2].partition(" ON *.*")[0]
        words = {word.strip() for word in granted.split(",")}
        lacking = set() if "ALL PRIVILEGES" in words else _NEEDED - words
        if lacking:
            missing = ", ".join(sorted(lacking))
            raise PreflightError(
                f"user {self._endpoint.user} may not set the schema {self._name} aside; it lacks {missing} on *.*",
                hint="name a connection with such an account under restore.through in the site file",
            )

    def users(self) -> int:
        with self._session() as session, told("the sessions could not be counted"):
            return len(ask(session, _USERS, self._name))

    def programs(self) -> tuple[str, ...]:
        return ()

    def disk(self) -> Path | None:
        if not self._endpoint.local:
            return None
        with self._session() as session, told("the server's settings could not be read"):
            ((data,),) = ask(session, "SELECT @@datadir")
        return Path(str(data)) if Path(str(data)).is_dir() else None

    def staging(self, run: str) -> Path | None:
        del run
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        name = restored_name(self._name, run, NAME_BYTES)
        wanted = facts.groups["database"]
        options = f" CHARACTER SET {wanted['character_set']} COLLATE {wanted['collation']}"
        with self._session() as session, told("the schema beside could not be made"):
            ask(session, f"CREATE DATABASE {quoted(name)}{options}")
        return replace(self._endpoint, database=name).instance()

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        """The rights are on the schema's name, which stays where it is."""

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._name
        aside = Move(source, name, before_name(name, run, NAME_BYTES), kept=True)
        into = Move(source, restored_name(name, run, NAME_BYTES), name)
        with self._session() as session:
            return (aside, into) if exists(session, name) else (into,)

    def begun(self, move: Move) -> bool:
        contents = self._notes.read(move.old, move.new)
        return contents is not None and not contents.complete

    def done(self, move: Move) -> bool:
        contents = self._notes.read(move.old, move.new)
        return contents is not None and contents.complete

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        with self._session() as session, told(f"the schema {move.old} could not be moved"):
            contents = self._notes.read(move.old, move.new)
            if contents is None or contents.complete:
                self._refuse_taken(session, move)
                self._end(session, move.old, end_sessions=end_sessions)
                contents = self._with_awake_events(look(session, move.old), move)
                self._notes.write(move.old, move.new, contents)
            carry(session, move.old, move.new, contents, resting=move.kept)
            self._rights(session, move, contents)
            if move.old != self._name and exists(session, move.old) and self._empty(session, move.old):
                # a name of this run alone, and nothing in it any more
                ask(session, f"DROP DATABASE {quoted(move.old)}")
            # what was moved back is not in place any more, and may be moved again
            self._notes.forget(move.new, move.old)
            self._notes.write(move.old, move.new, replace(contents, complete=True))

    def _with_awake_events(self, contents: Contents, move: Move) -> Contents:
        """Events rest while they are set aside; what goes back into use gets them as they were before."""
        before = self._notes.read(move.new, move.old)
        awake = {} if before is None or move.kept else {(each.kind, each.name): each for each in before.definitions}
        return replace(
            contents,
            definitions=tuple(
                awake.get((each.kind, each.name), each) if each.kind == "EVENT" else each
                for each in contents.definitions
            ),
        )

    def _rights(self, session: Session, move: Move, contents: Contents) -> None:
        """Rights belong to the name in use: those on routines went with the routines, others were given to the name beside."""
        name = self._name
        if move.new != name:
            return
        before = self._notes.read(name, before_name(name, run_of(move.old), NAME_BYTES))
        give_rights(session, name, [*(before.rights if before else ()), *contents.rights])
        for account in read_accounts(session, move.old):
            for grant in account.grants:
                ours = renamed(grant, name)
                if ours != grant:
                    ask(session, ours)

    def _refuse_taken(self, session: Session, move: Move) -> None:
        if exists(session, move.new) and not self._empty(session, move.new):
            raise SourceError(f"the schema {move.new} is not empty, and nothing is written over")

    @staticmethod
    def _empty(session: Session, schema: str) -> bool:
        return not tables(session, schema) and not look(session, schema).definitions

    def _end(self, session: Session, schema: str, *, end_sessions: bool) -> None:
        deadline = self._clock.monotonic() + (END_SECONDS if end_sessions else CLOSING_SECONDS)
        while users := ask(session, _USERS, schema):
            if not end_sessions:
                if self._clock.monotonic() > deadline:
                    raise InUseError(f"sessions work in the schema {schema}")
                self._clock.sleep(POLL_SECONDS)
                continue
            for (number,) in users:
                with suppress(pymysql.Error):
                    ask(session, f"KILL CONNECTION {int(number)}")
            if self._clock.monotonic() > deadline:
                # they come again as fast as they are ended, and then find what is in place by then
                return
            self._clock.sleep(POLL_SECONDS)

    def live(self, run: str) -> Instance | None:
        del run
        return self._endpoint.instance()

    def lacking(self, run: str) -> tuple[str, ...]:
        del run
        return ()

    def tidy(self, run: str) -> None:
        """Nothing lies on the way."""

    def discard(self, run: str) -> None:
        with self._session() as session, told("the schema beside could not be dropped"):
            ask(session, f"DROP DATABASE IF EXISTS {quoted(restored_name(self._name, run, NAME_BYTES))}")

    @contextmanager
    def _session(self, error: type[PreflightError | SourceError] = SourceError) -> Iterator[Session]:
        with (
            closing(connect(self._endpoint, error, database="")) as session,
            told("the schema could not be looked at", error),
        ):
            yield session


def _refuse_running_events(session: Session, member: Member) -> None:
    """In a schema beside they would do once more what those in use do, and change what is to be proven."""
    ((scheduler,),) = ask(session, "SELECT @@event_scheduler")
    count = member.facts.groups["structure"]["events"]["count"]
    if scheduler == "ON" and count:
        raise PreflightError(
            f"the restored schema has events ({count}), and the server would run them while it lies beside",
            hint="SET GLOBAL event_scheduler = OFF for the time of the restore, and ON again after it",
        )


_WHY = {
    "engine": "tables of an engine that cannot be renamed into another schema",
    "package": "packages, which cannot be made anew elsewhere",
    "directory": "tables whose files lie in a directory of their own",
    "reference to it": "tables of other schemas refer to it and would follow what is set aside",
    "reference out of it": "tables refer to other schemas",
}
