"""A SQL Server database, its backup, what was done to it since, and its own place; and a program that dies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from drmgr.engines.sqlserver.inplace import SqlServerPlace as InPlace
from drmgr.flows.finish import finish
from drmgr.flows.original import ToOriginal
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan
from drmgr.flows.swap import undo
from drmgr.model import Swap
from drmgr.state.swap_book import FileSwapBook
from drmgr.system import mssql
from drmgr.system.mssql import Session
from tests.contract.sqlserver.conftest import new_place
from tests.support.folders import passable_directory
from tests.support.sqlserver import stand_in
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.store import Standing, Store


class Killed(Exception):
    """The program is gone, with all its sessions."""


class Ground:
    """A database with its backup, spoilt since then."""

    def __init__(self, place: SqlServerPlace) -> None:
        self.place = place
        self.store: Store = place.source.store
        self.name = place.database.name
        self.target = self.new_target()
        place.note(101)
        place.back_up()
        place.note(666)

    def new_target(self, *, end_sessions: bool = False) -> ToOriginal:
        """As a new process has it: nothing but what is on disk and on the server."""
        folder = self.place.directory / "restores"
        there = InPlace(self.place.engine, self.place.clock, folder / "notes")
        return ToOriginal({"main": there}, FileSwapBook(folder), lambda: None, end_sessions=end_sessions)

    def restore(self, at: str = "", *, end_sessions: bool = False) -> RestoreDone:
        plan = RestorePlan("latest", self.new_target(end_sessions=end_sessions), reason="spoilt", at=at)
        return restore(self.place.bench, self.place.wired, plan)

    def undo(self, *, force: bool = False) -> Swap:
        target = self.new_target()
        bench, permit = self.place.bench, target.permit
        return undo(bench, target.book, self.swap(), target.places, reason="back", permit=permit, force=force)

    def finish(self, *, end_sessions: bool = False) -> RestoreDone:
        target = self.new_target(end_sessions=end_sessions)
        return finish(self.place.bench, self.place.wired, target, self.swap(), "end")

    def swap(self) -> Swap:
        return self.target.book.all()[-1]

    def rows(self, name: str = "") -> list[int]:
        return [row[0] for row in self.store.databases[name or self.name].tables["dbo.queue"].rows if row[0] > 99]

    def standing(self, name: str = "") -> Standing:
        return self.store.databases[name or self.name].standing

    def names(self) -> list[str]:
        """Without the id of the run."""
        return sorted(name.removeprefix(self.name)[:-27] for name in self.store.databases if name != self.name)

    @contextmanager
    def somebody(self, name: str = "") -> Iterator[Session]:
        session = mssql.connect(self.place.source.access.server, name or self.name)
        try:
            yield session
        finally:
            session.close()


SPOILT, GOOD = [101, 666], [101]


@contextmanager
def new_ground(**options: object) -> Iterator[Ground]:
    with (
        passable_directory() as folder,
        stand_in(folder / "a") as source,
        stand_in(folder / "b", "DRILL") as scratch,
        new_place((source, scratch), **options) as place,
    ):
        yield Ground(place)


class Dying:
    """Lets so many changing statements through; what comes next is sent or not, and then the program is dead."""

    WORDS = ("ALTER", "DROP", "RESTORE DATABASE", "RESTORE LOG", "KILL")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        self.late = False
        self._real = Session.act
        dying = self

        def act(session: Session, statement: str, listener: Callable[[str], None] | None = None) -> tuple[str, ...]:
            return dying.act(session, statement, listener)

        monkeypatch.setattr(Session, "act", act)

    def act(self, session: Session, statement: str, listener: Callable[[str], None] | None) -> tuple[str, ...]:
        if any(word in statement for word in self.WORDS):
            self.left -= 1
            if self.left < 0:
                if self.late and self.left == -1:
                    self._real(session, statement, listener)
                raise Killed
        return self._real(session, statement, listener)

    def after(self, count: int, *, late: bool) -> None:
        self.left, self.late = count, late

    def no_more(self) -> None:
        self.left = 10**9
