"""SQL Server in its own place, statement by statement: on the stand-in, and on a real server when there is one to test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from drmgr.engines.sqlserver import SqlServerEngine
from drmgr.engines.sqlserver.inplace import SqlServerPlace
from drmgr.errors import InUseError
from drmgr.model import Facts, Member, Move
from drmgr.system import mssql
from drmgr.system.clock import SystemClock
from drmgr.system.mssql import Complaint
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.sqlserver import SqlServerSource, sqlserver_source

RUN = "01KZZZZZZZZZZZZZZZZZZZZZZZ"


class Ground:
    """A database, its backup, and what was done to it afterwards."""

    def __init__(self, source: SqlServerSource, folder: Path) -> None:
        self.source = source
        self.engine = cast(SqlServerEngine, source.engine)
        self.place = SqlServerPlace(self.engine, SystemClock(), folder / "notes")
        with self.engine.capture() as capture:
            capture.store(FolderSink(folder / "parts"))
            self.stored = capture.facts()
        source.add()
        self.spoilt = self.facts()
        self.member = Member("main", "sqlserver", SystemClock().now(), (), self.stored)
        self.place.survey(self.member)
        into = self.place.make(RUN, self.stored)
        self.engine.load(folder / "parts", into, lambda _share, _word: None)
        self.place.settle(RUN, folder, into)
        self.moves = self.place.moves(RUN, "main")

    def facts(self, name: str = "") -> Facts:
        return self.engine.facts(replace(self.engine.target(), database=name or self.source.database), self.stored)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with sqlserver_source() as source:
        made = Ground(source, tmp_path)
        with put_back(made):
            yield made


@contextmanager
def put_back(ground: Ground) -> Iterator[None]:
    """A real server keeps nothing of it, whatever went wrong."""
    try:
        yield
    finally:
        for move in reversed(ground.moves):
            if ground.place.begun(move) or ground.place.done(move):
                ground.place.rename(move.back, end_sessions=True)
        ground.place.discard(RUN)


def test_two_renames_and_back_by_the_one_session_inside(ground: Ground) -> None:
    place, (aside, into) = ground.place, ground.moves
    for move in (aside, into):
        assert not place.done(move)
        place.rename(move, end_sessions=False)
        assert (place.done(move), place.begun(move)) == (True, False)
    assert differences(ground.stored, ground.facts()) == []
    assert differences(ground.spoilt, ground.facts(aside.new)) == []
    assert place.lacking(RUN) == ()
    for move in (into.back, aside.back):
        place.rename(move, end_sessions=False)
    assert differences(ground.spoilt, ground.facts()) == []


def test_who_is_in_is_cut_off_only_when_told(ground: Ground) -> None:
    place, aside = ground.place, ground.moves[0]
    session = mssql.connect(ground.source.access.server, ground.source.database)
    try:
        assert place.users() == 1
        with pytest.raises(InUseError):
            place.rename(aside, end_sessions=False)
        assert session.row(mssql.ENTERED)["entered"] == ground.source.database
        place.rename(aside, end_sessions=True)
        with pytest.raises(Complaint):
            session.row(mssql.ENTERED)
    finally:
        session.close()
    assert moved(ground) == [True, False]


def moved(ground: Ground) -> list[bool]:
    moves: tuple[Move, ...] = ground.moves
    return [ground.place.done(move) for move in moves]
