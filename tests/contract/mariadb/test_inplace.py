"""A schema in its own place: all that it holds moves, and comes back as it was, also when it is broken off anywhere."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from drmgr.engines.mariadb import MariadbEngine, connection, definitions, moving
from drmgr.engines.mariadb.inplace import MariadbPlace
from drmgr.errors import InUseError, PreflightError, SourceError
from drmgr.model import Facts, Member, Move
from drmgr.system.clock import SystemClock
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.mariadb import MariadbServer, superuser
from tests.support.mariadb_sample import ACCOUNTS, ROWS, SCHEMA

RUN = "01KZZZZZZZZZZZZZZZZZZZZZZZ"


class Killed(Exception):
    pass


class Ground:
    """A schema with one of everything, its backup, and what was done to it afterwards."""

    def __init__(self, server: MariadbServer, make: Callable[..., MariadbEngine], folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.name = server.create_database("CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        server.execute("", ACCOUNTS)
        server.execute(self.name, SCHEMA.replace("{database}", self.name))
        server.execute(self.name, ROWS)
        self.engine = make(server.connection(self.name, "root_like", server.password))
        self.parts = folder / "parts"
        with self.engine.capture() as capture:
            capture.store(FolderSink(self.parts))
            self.stored = capture.facts()
        self.member = Member("main", "mariadb", SystemClock().now(), (), self.stored)
        server.execute(
            self.name, "DELETE FROM visit; DROP EVENT nightly; CREATE EVENT weekly ON SCHEDULE EVERY 1 WEEK DO SELECT 1"
        )
        self.spoilt = self.facts(self.name)
        self.place = MariadbPlace(self.engine, SystemClock(), folder / "notes")

    def facts(self, schema: str) -> Facts:
        return self.engine.facts(replace(self.engine.target(), database=schema), self.stored)

    def brought(self) -> tuple[Move, ...]:
        into = self.place.make(RUN, self.stored)
        self.engine.load(self.parts, into, lambda _share, _word: None)
        return self.place.moves(RUN, "main")


@pytest.fixture
def ground(server: MariadbServer, make: Callable[..., MariadbEngine], folder: Path) -> Iterator[Ground]:
    server.execute("", f"CREATE OR REPLACE USER root_like@localhost IDENTIFIED BY '{server.password}'")
    server.execute("", "GRANT ALL ON *.* TO root_like@localhost WITH GRANT OPTION")
    yield Ground(server, make, folder)
    server.execute("", "DROP USER root_like@localhost")


def of_the_backup(ground: Ground) -> list[str]:
    return differences(ground.stored, ground.facts(ground.name))


def test_all_of_it_moves_and_comes_back(ground: Ground) -> None:
    ground.place.survey(ground.member)
    aside, into = ground.brought()
    assert ground.place.users() == 0
    for move in (aside, into):
        assert not ground.place.done(move)
        ground.place.rename(move, end_sessions=False)
        assert ground.place.done(move)
    assert of_the_backup(ground) == []
    # what is set aside is all there; its events rest
    kept = differences(ground.spoilt, ground.facts(aside.new))
    assert [line for line in kept if not line.startswith("accounts")] == ["structure: events"]
    events = "SELECT event_name, status FROM information_schema.events WHERE event_schema = '{}'"
    assert ground.server.execute("", events.format(aside.new)) == (("weekly", "DISABLED"),)
    assert ground.server.execute("", events.format(ground.name)) == (("nightly", "ENABLED"),)
    for move in (into.back, aside.back):
        ground.place.rename(move, end_sessions=False)
    assert differences(ground.spoilt, ground.facts(ground.name)) == []
    assert ground.server.execute("", events.format(ground.name)) == (("weekly", "ENABLED"),)
    assert ground.server.execute("", events.format(into.old)) == (("nightly", "DISABLED"),)
    again = ground.server.execute(
        "", f"SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{aside.new}'"
    )
    assert again == ((0,),)


def test_events_that_would_run_beside_are_refused(ground: Ground) -> None:
    ground.server.execute("", "SET GLOBAL event_scheduler = ON")
    try:
        with pytest.raises(PreflightError, match="has events") as caught:
            ground.place.survey(ground.member)
    finally:
        ground.server.execute("", "SET GLOBAL event_scheduler = OFF")
    assert "event_scheduler = OFF" in caught.value.hint
    ground.place.survey(ground.member)


class Dying:
    """Lets so many changing statements through, and then the program dies; at the next try one more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deaths = self.left = 0
        self._real = connection.run
        for module in (definitions, moving):
            monkeypatch.setattr(module, "run", self._run)

    def _run(self, session: Any, statement: str, *values: object) -> Any:
        if statement.split(maxsplit=1)[0] in ("CREATE", "DROP", "RENAME", "ALTER", "GRANT"):
            self.left -= 1
            if self.left < 0:
                raise Killed
        return self._real(session, statement, *values)

    def until_done(self, ground: Ground, move: Move) -> None:
        tries = 0
        while not ground.place.done(move):
            tries = self.left = tries + 1
            try:
                # the next one has nothing but what is on disk and on the server
                MariadbPlace(ground.engine, SystemClock(), ground.folder / "notes").rename(move, end_sessions=False)
            except Killed:
                self.deaths += 1
                assert ground.place.begun(move)


def test_a_move_that_is_broken_off_anywhere_is_gone_on_with(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    aside, into = ground.brought()
    dying = Dying(monkeypatch)
    for move in (aside, into):
        dying.until_done(ground, move)
    assert of_the_backup(ground) == []
    for move in (into.back, aside.back):
        dying.until_done(ground, move)
    assert differences(ground.spoilt, ground.facts(ground.name)) == []
    assert dying.deaths > 20


def test_what_was_taken_back_is_to_be_done_again(ground: Ground) -> None:
    """A restore whose other source could not be swapped takes all back, and is ended later: by then nothing is in place."""
    place = ground.place
    aside, into = ground.brought()
    there, back = (aside, into), (into.back, aside.back)
    for moves, others in ((there, back), (back, there), (there, back), (back, there)):
        for move in moves:
            assert not place.done(move)
            place.rename(move, end_sessions=False)
        assert [place.done(move) for move in (*moves, *others)] == [True, True, False, False]
        assert differences(ground.stored if moves is there else ground.spoilt, ground.facts(ground.name)) == []


def test_one_that_is_killed_before_it_says_so_is_ended(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    aside, into = ground.brought()
    real = moving.Notes.write

    def write(notes: moving.Notes, old: str, new: str, contents: moving.Contents) -> None:
        if contents.complete:
            raise Killed
        real(notes, old, new, contents)

    for move in (aside, into, into.back, aside.back):
        with monkeypatch.context() as dying:
            dying.setattr(moving.Notes, "write", write)
            with pytest.raises(Killed):
                ground.place.rename(move, end_sessions=False)
        assert ground.place.begun(move)
        ground.place.rename(move, end_sessions=False)
        assert ground.place.done(move)
    assert differences(ground.spoilt, ground.facts(ground.name)) == []


def test_what_cannot_be_moved_is_named_before_anything_is(ground: Ground) -> None:
    server, name = ground.server, ground.name
    other = server.create_database()
    for statement, undo, said in (
        (f"CREATE TABLE {name}.heap (n int) ENGINE = MEMORY", f"DROP TABLE {name}.heap", "heap (MEMORY)"),
        (
            f"CREATE TABLE {other}.bill (p int, FOREIGN KEY (p) REFERENCES {name}.patient (id))",
            f"DROP TABLE {other}.bill",
            f"{other}.bill",
        ),
    ):
        server.execute("", statement)
        with pytest.raises(PreflightError) as told:
            ground.place.survey(ground.member)
        assert said in told.value.message
        server.execute("", undo)
    server.execute(
        "", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM root_like@localhost; GRANT SELECT ON *.* TO root_like@localhost"
    )
    with pytest.raises(PreflightError, match="lacks ALTER, "):
        ground.place.survey(ground.member)


def test_nothing_is_written_over_and_nobody_is_cut_off_unasked(ground: Ground) -> None:
    aside, _ = ground.brought()
    session = superuser(ground.server.instance(), ground.name)
    assert ground.place.users() == 1
    with pytest.raises(InUseError):
        ground.place.rename(aside, end_sessions=False)
    ground.server.execute("", f"CREATE DATABASE {aside.new}; CREATE TABLE {aside.new}.a (n int)")
    with pytest.raises(SourceError, match="not empty"):
        ground.place.rename(aside, end_sessions=True)
    assert differences(ground.spoilt, ground.facts(ground.name)) == []
    ground.server.execute("", f"DROP DATABASE {aside.new}")
    ground.place.rename(aside, end_sessions=True)
    with pytest.raises(pymysql.Error), session.cursor() as cursor:
        cursor.execute("SELECT 1")
