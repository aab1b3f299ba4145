"""Who is in which database, and what a change of its name or of its door comes to: the stand-in's half of a restore in place."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.tds.backups import Refused
from tests.support.tds.server import Piece, Rows, Say, Session
from tests.support.tds.store import Database, Store
from tests.support.tds.wire import Column

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "sqlserver"
NAME, TEXT = r"\[((?:[^\]]|\]\])*)\]", r"N'((?:[^']|'')*)'"
FAILED = Say(5069, 16, "ALTER DATABASE statement failed.")
SINGLE = "SINGLE_USER"

Handler = Callable[..., Iterator[Piece]]


def _kept(name: str, example: str = "") -> re.Pattern[str]:
    """A golden text in which its example, a name or a text, may be another one."""
    text = re.escape(_text(name))
    found = [each for each in (example, "[his]", "N'his'") if each and re.escape(each) in text]
    assert found, name
    return re.compile(text.replace(re.escape(found[0]), NAME if found[0].startswith("[") else TEXT))


def plain(name: str) -> str:
    return name.replace("]]", "]").replace("''", "'")


class Places:
    """``sessions`` are those that are logged in now; ``kill`` ends one of them."""

    def __init__(self, store: Store) -> None:
        self.sessions: Callable[[], list[Session]] = list
        self.kill: Callable[[int], bool] = lambda _number: False
        self._store = store

    def patterns(self) -> list[tuple[re.Pattern[str], Handler]]:
        return [
            (re.compile(re.escape(_text("admin"))), self._admin),
            (_kept("standing"), self._standing),
            (re.compile(re.escape(_text("subscribes"))), self._subscribes),
            (_kept("sessions"), self._listed),
            (_kept("files"), self._files),
            (_kept("free-space", "N'/var/opt/mssql/data/'"), self._free_space),
            (_kept("alone", "[drill]"), self._alone_at_once),
            (_kept("drop", "[drill]"), self._drop),
            (_kept("alone-if-unused"), self._alone_if_unused),
            (re.compile(rf"/\* drmgr: rename-database \*/ ALTER DATABASE {NAME} MODIFY NAME = {NAME}"), self._rename),
            (re.compile(rf"/\* drmgr: admit \*/ ALTER DATABASE {NAME} SET (MULTI|RESTRICTED)_USER"), self._admit),
            (re.compile(rf"/\* drmgr: broker \*/ ALTER DATABASE {NAME} SET (EN|DIS)ABLE_BROKER"), self._broker),
            (_kept("trust"), self._trust),
            (_kept("chain"), self._chain),
            (re.compile(rf"/\* drmgr: own \*/ ALTER AUTHORIZATION ON DATABASE::{NAME} TO {NAME}"), self._own),
            (re.compile(re.escape(_text("owner"))), self._owner),
            (re.compile(re.escape(_text("orphaned-users"))), self._orphans),
        ]

    # --- who is in ---

    def others(self, session: Session | None, database: Database) -> list[Session]:
        return [each for each in self.sessions() if each.database == database.name and each is not session]

    def open_to_one_more(self) -> set[str]:
        """The databases that let another session in."""
        found = {"master"}
        for name, database in list(self._store.databases.items()):
            if database.standing.access != SINGLE or not self.others(None, database):
                found.add(name)
        return found

    def enter(self, session: Session, database: Database) -> None:
        if database.standing.access == SINGLE and self.others(session, database):
            text = f"Database '{database.name}' is already open and can only have one user at a time."
            raise Refused(Say(924, 14, text))

    def refuse_used(self, session: Session, database: Database, number: int) -> None:
        if not self.others(session, database):
            return
        texts = {
            3702: f'Cannot drop database "{database.name}" because it is currently in use.',
            5030: "The database could not be exclusively locked to perform the operation.",
            5064: f"Changes to the state or options of database '{database.name}' cannot be made at this time. "
            "The database is in single-user mode, and a user is currently connected to it.",
            5070: f"Database state cannot be changed while other users are using the database '{database.name}'",
        }
        raise Refused(Say(number, 16, texts[number]), *(() if number == 3702 else (FAILED,)))

    # --- statements ---

    def _alone_at_once(self, session: Session, name: str) -> Iterator[Piece]:
        """Whoever is in is sent out."""
        database = self._named(name)
        if database.state != "ONLINE":
            raise Refused(Say(5052, 16, "ALTER DATABASE is not permitted while a database is in the Restoring state."))
        if database.standing.access == SINGLE:
            self.refuse_used(session, database, 5064)
        database.standing.access = SINGLE
        for each in self.others(session, database):
            self.kill(each.number)
        yield from ()

    def _drop(self, session: Session, name: str) -> Iterator[Piece]:
        self.refuse_used(session, self._named(name), 3702)
        with self._store.lock:
            del self._store.databases[plain(name)]
        yield from ()

    def _free_space(self, _session: Session, path: str) -> Iterator[Piece]:
        """Of the longest beginning of the path that a disk is known by."""
        known = {"/": self._store.free_bytes, **self._store.volumes}
        found = [[disk, free] for disk, free in known.items() if disk in {"/", path[: len(disk)]} and free is not None]
        yield Rows([Column("volume_mount_point", "text"), Column("available_bytes", "bigint")], found[-1:])

    def _named(self, name: str) -> Database:
        found = self._store.databases.get(plain(name))
        if found is None:
            text = (
                f"User does not have permission to alter database '{plain(name)}', the database does not exist, or the "
            )
            raise Refused(Say(5011, 14, f"{text}database is not in a state that allows access checks."), FAILED)
        return found

    def _admin(self, session: Session) -> Iterator[Piece]:
        yield Rows([Column("is_admin", "int")], [[int(session.login.user not in self._store.lesser)]])

    def _standing(self, _session: Session, name: str) -> Iterator[Piece]:
        texts = ("state_desc", "user_access_desc", "owner_name")
        numbers = ("is_trustworthy", "is_chaining", "is_broker_enabled", "is_capturing", "is_snapshot", "is_in_group")
        columns = [Column(each, "text") for each in texts]
        columns += [Column(each, "int") for each in (*numbers, "is_mirrored", "is_replicated", "snapshots")]
        rows = []
        if found := self._store.databases.get(plain(name)):
            now = found.standing
            flags = (now.trustworthy, now.chaining, now.broker, now.capturing, False, now.grouped, now.mirrored)
            rows = [[found.state, now.access, now.owner, *map(int, flags), int(now.replicated), now.snapshots]]
        yield Rows(columns, rows)

    def _subscribes(self, session: Session) -> Iterator[Piece]:
        found = self._store.databases[session.database].standing
        yield Rows([Column("is_subscriber", "int")], [[int(found.subscribed)]])

    def _listed(self, session: Session, name: str, *_again: str) -> Iterator[Piece]:
        found = self._store.databases.get(plain(name))
        others = [] if found is None else self.others(session, found)
        yield Rows([Column("number", "int")], [[each.number] for each in others])

    def _files(self, _session: Session, name: str) -> Iterator[Piece]:
        found = self._store.databases.get(plain(name))
        rows = [] if found is None else [list(each) for each in found.files.items()]
        yield Rows([Column("logical_name", "text"), Column("physical_name", "text")], rows)

    def _alone_if_unused(self, session: Session, name: str) -> Iterator[Piece]:
        database = self._named(name)
        self.refuse_used(session, database, 5064 if database.standing.access == SINGLE else 5070)
        database.standing.access = SINGLE
        yield from ()

    def _rename(self, session: Session, old: str, new: str) -> Iterator[Piece]:
        database, store = self._named(old), self._store
        if plain(new) in store.databases:
            text = f"Database '{plain(new)}' already exists. Choose a different database name."
            raise Refused(Say(1801, 16, text))
        if database.standing.grouped or database.standing.mirrored:
            text = "it is involved in a database mirroring session or an availability group."
            raise Refused(Say(1468, 16, f'The operation cannot be performed on database "{plain(old)}" because {text}'))
        if database.standing.snapshots:
            text = "The operation cannot be performed on a database with database snapshots or active DBCC replicas."
            raise Refused(Say(5094, 16, text))
        self.refuse_used(session, database, 5030)
        with store.lock:
            database.name = plain(new)
            store.databases = {each.name: each for each in store.databases.values()}
            if session.database == plain(old):
                session.database = plain(new)
        yield Say(5701, 0, f"The database name '{plain(new)}' has been set.")

    def _admit(self, session: Session, name: str, who: str) -> Iterator[Piece]:
        database = self._named(name)
        if database.standing.access == SINGLE:
            self.refuse_used(session, database, 5064)
        database.standing.access = f"{who}_USER"
        yield from ()

    def _broker(self, session: Session, name: str, word: str) -> Iterator[Piece]:
        """Two databases of one family have the same identifier."""
        database = self._named(name)
        self.refuse_used(session, database, 5070)
        alike = (each for each in self._store.databases.values() if each.family == database.family)
        if word == "EN" and any(each.standing.broker for each in alike if each is not database):
            text = "cannot be enabled because there is already an enabled Service Broker with the same ID."
            raise Refused(Say(9772, 16, f'The Service Broker in database "{database.name}" {text}'), FAILED)
        database.standing.broker = word == "EN"
        yield from ()

    def _trust(self, _session: Session, name: str) -> Iterator[Piece]:
        self._named(name).standing.trustworthy = True
        yield from ()

    def _chain(self, _session: Session, name: str) -> Iterator[Piece]:
        self._named(name).standing.chaining = True
        yield from ()

    def _own(self, _session: Session, name: str, login: str) -> Iterator[Piece]:
        if plain(login) not in self._store.logins:
            text = (
                f"Cannot find the principal '{plain(login)}', because it does not exist or you do not have permission."
            )
            raise Refused(Say(15151, 16, text))
        self._named(name).standing.owner = plain(login)
        yield from ()

    def _owner(self, session: Session) -> Iterator[Piece]:
        found = self._store.databases[session.database].dbo
        yield Rows([Column("owner_name", "text")], [[found if found in self._store.logins else None]])

    def _orphans(self, session: Session) -> Iterator[Piece]:
        users = self._store.databases[session.database].users
        yield Rows([Column("name", "text")], [[each] for each in sorted(users) if each not in self._store.logins])


def _text(name: str) -> str:
    return (GOLDEN / f"{name}.sql").read_text(encoding="utf-8").rstrip("\n")
