"""MariaDB, physical: mariadb-backup's copy of the server's files, and the log that carries it to the instant of the facts.

The copy holds what was committed when mariadb-backup held commits back for a moment. The facts are taken of a view that
is opened after it, whose place in the binary log the server knows exactly. The log between the two is stored as well, and
a restore replays it: so it ends with exactly the data of which the facts were taken.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql

from drmgr.engines.chains import CHAIN, refuse_another
from drmgr.engines.mariadb.accounts import Account, account_facts, read_accounts
from drmgr.engines.mariadb.binlog import FILE, parse_position
from drmgr.engines.mariadb.connection import Session, connect, run, told
from drmgr.engines.mariadb.copying import LOCK_SECONDS, Copier
from drmgr.engines.mariadb.datadir import DataDirectory, look_at
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.facts import Scope, read_groups, read_sequences
from drmgr.engines.mariadb.label import BACKUP_PART, LABEL_PART, LOG_PART, Label, write_label
from drmgr.engines.mariadb.log import (
    LogPlace,
    check_log,
    log_folder,
    log_identity,
    read_origin,
    recovery_facts,
    view_place,
)
from drmgr.engines.mariadb.preflight import check_server
from drmgr.engines.mariadb.replay_plan import Planner, Start
from drmgr.engines.mariadb.structure import read_structure
from drmgr.engines.mariadb.tools import find_client, find_series
from drmgr.engines.staging import fresh
from drmgr.errors import LoadError, PreflightError, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Facts, Json, RecoveryTarget, Tree
from drmgr.system.files import private_directory

PHYSICAL = "mariadb-physical"

CHANGED_HINT = "run the backup again when nobody changes tables, views or routines"


class PhysicalMariadbEngine(MariadbEngine):
    """See interfaces.SqlEngine. ``data_directory`` is the server's own, on this host; ``staging`` a folder for the copy."""

    name = PHYSICAL
    _maker = "mariadb-backup"
    patience: float = LOCK_SECONDS
    """How long the copy may wait for a lock, in seconds."""

    def __init__(
        self,
        source: str,
        connection: Any,
        *,
        data_directory: Path,
        staging: Path,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        """``identifier`` is that of a server made anew, whose first backup would else be refused."""
        super().__init__(source, connection, **{**options, "logged": True})
        self._data_directory = data_directory
        self._staging = staging
        self._identifier = identifier

    def preflight(self) -> None:
        for program in ("mariadb-binlog", "mariadb"):
            find_client(program, self._connection.binaries)
        with closing(connect(self._own(), PreflightError)) as session:
            check_server(session, self._connection.database, self._scope, physical=True)
            check_log(session)
            self._look_at(session)

    def capture(self) -> "AbstractContextManager[PhysicalCapture]":  # type: ignore[override]
        return self._capture()

    @contextmanager
    def _capture(self) -> "Iterator[PhysicalCapture]":
        own = self._own()
        with ExitStack() as stack:
            view, control = (stack.enter_context(_closed(connect(own))) for _ in range(2))
            directory = self._look_at(control)
            staging = stack.enter_context(fresh(self._staging))
            label = stack.enter_context(private_directory(self._runtime, "label-"))
            copier = Copier(self._runner, self._clock, directory, own, staging, self.patience)
            yield PhysicalCapture(
                view, control, copier, label, expected=self._identifier, scope=self._scope, clock=self._clock
            )

    def _look_at(self, session: Session) -> DataDirectory:
        with told("the server's version could not be read", PreflightError):
            ((version,),) = run(session, "SELECT VERSION()")
        program = find_series("mariadb-backup", self._connection.binaries, str(version), self._runner)
        return look_at(session, self._data_directory, self._staging, program)


@contextmanager
def _closed(session: Session) -> Iterator[Session]:
    try:
        yield session
    finally:
        # the server may be gone, and then there is nothing left to give back
        with suppress(pymysql.Error):
            session.close()


@dataclass(frozen=True)
class Viewed:
    """The view: when it was opened, where the log stood, what was true then and knows no transactions."""

    at: datetime
    place: LogPlace
    structure: dict[str, Json]
    accounts: tuple[Account, ...]
    origin: dict[str, Json]


class PhysicalCapture:
    """See interfaces.Capture. The files are copied first; the view is opened after them."""

    frozen = False

    def __init__(
        self,
        view: Session,
        control: Session,
        copier: Copier,
        label: Path,
        *,
        expected: str | None,
        scope: Scope,
        clock: Clock,
    ) -> None:
        self._view = view
        self._control = control
        self._expected = expected
        self._copier = copier
        self._label = label
        self._scope = scope
        self._clock = clock
        self._low: dict[str, int] = {}
        self._viewed: Viewed | None = None

    @property
    def consistent_at(self) -> datetime:
        return self._found().at

    @property
    def _database(self) -> str:
        return self._copier.endpoint.database

    def store(self, sink: Sink) -> None:
        with told("the server could not be asked who it is"):
            identity = log_identity(self._control)
        refuse_another(sink, BACKUP_PART, identity, expected=self._expected, kind="server")
        with told("the backup could not be started"):
            # a file of its own for what is logged during the backup
            run(self._control, "FLUSH LOCAL BINARY LOGS")
            # AUTO_INCREMENT goes up and never down again, and the copy may hold any value from here on
            self._low = read_sequences(self._control, self._database)
        copied = self._copier.copy(self._control)
        self._viewed = self._open_view()
        sink.save(Tree(BACKUP_PART, self._copier.staging, labels=(f"{CHAIN}{identity}",)))
        self._store_log(sink, copied, self._viewed.place)
        self._store_label(sink, copied, self._viewed.place)

    def facts(self) -> Facts:
        started, viewed = self._clock.monotonic(), self._found()
        with told("the facts could not be read"):
            groups = read_groups(self._view, self._database, self._scope, self._low)
            identity = log_identity(self._control)
        if groups["structure"] != viewed.structure:
            kinds = [kind for kind, item in groups["structure"].items() if item != viewed.structure[kind]]
            raise SourceError(f"the database's {' and '.join(kinds)} changed during the backup", hint=CHANGED_HINT)
        groups["accounts"] = account_facts(viewed.accounts)
        groups["origin"] = viewed.origin
        groups["recovery"] = recovery_facts(identity, viewed.place)
        return Facts(PHYSICAL, viewed.at, groups, self._clock.monotonic() - started)

    def _found(self) -> Viewed:
        if self._viewed is None:
            raise SourceError("a physical backup has no view before its files are stored")
        return self._viewed

    def _open_view(self) -> Viewed:
        view, database = self._view, self._database
        with told("the view of the data could not be opened"):
            structure = read_structure(view, database)
            accounts = read_accounts(view, database)
            ((now,),) = run(view, "SELECT UTC_TIMESTAMP(6)")
            run(view, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
            place = view_place(view)
            # closes the file that the view stands in
            run(self._control, "FLUSH LOCAL BINARY LOGS")
            origin = read_origin(view, "exact: the log is replayed from the copy of the files to the view of the facts")
        origin |= {"gtid": place.gtid, "binlog": str(place)}
        origin["grants_elsewhere"] = sum(account.elsewhere for account in accounts)
        return Viewed(now.replace(tzinfo=UTC), place, structure, accounts, origin)

    def _store_log(self, sink: Sink, copied: LogPlace, viewed: LogPlace) -> None:
        """The files of the log from the copy's place to the view's, read where the server wrote them."""
        with told("the folder of the binary log could not be asked for"):
            folder = log_folder(self._control)
        base = FILE.fullmatch(viewed.name)
        assert base is not None
        numbers = range(copied.place.number, viewed.place.number + 1)
        width = len(base["number"])
        names = tuple(f"{base['base']}.{number:0{width}}" for number in numbers)
        size = prove_log([folder / name for name in names], copied, viewed)
        part = sink.save(Tree(LOG_PART, folder.resolve(), only=names))
        if part.files != len(names) or part.bytes != size:
            raise SourceError(f"{len(names)} binary logs with {size} bytes were to be stored, and {part.bytes} were")

    def _store_label(self, sink: Sink, copied: LogPlace, viewed: LogPlace) -> None:
        """What a restore must know without the facts: from where to where the log is replayed."""
        write_label(self._label, Label(self._database, copied, viewed))
        sink.save(Tree(LABEL_PART, self._label))


def prove_log(paths: Sequence[Path], copied: LogPlace, viewed: LogPlace) -> int:
    """Reads the log from place to place as a restore will; gives its bytes. Raises SourceError."""
    target = RecoveryTarget("position", str(viewed))
    try:
        plan = Planner(Start(copied.place, copied.gtid), target).plan(paths)
    except LoadError as error:
        raise SourceError(f"the binary log of the backup cannot be replayed: {error.message}") from error
    assert plan.reached is not None
    if parse_position(plan.reached.gtid) != parse_position(viewed.gtid):
        raise SourceError(f"the server says that its log stands at {viewed.gtid}, and the log says {plan.reached.gtid}")
    return sum(path.stat().st_size for path in paths)
