"""A SQLite file in its own place: its log goes along, and nobody who has it open is fooled."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlite_inplace import SqlitePlace
from drmgr.errors import InUseError, SourceError
from drmgr.model import Facts, Move
from drmgr.system.clock import SystemClock

RUN = "01KZZZZZZZZZZZZZZZZZZZZZZZ"
PID = os.getpid()


@pytest.fixture
def place(tmp_path: Path) -> SqlitePlace:
    """A database whose last program was killed: half of its rows are only in the log."""
    path = tmp_path / "queue 号.db"
    with closing(sqlite3.connect(tmp_path / "other.db")) as program:
        program.executescript("PRAGMA journal_mode = WAL; CREATE TABLE call (n int); INSERT INTO call VALUES (1)")
        program.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        program.execute("INSERT INTO call VALUES (2)")
        program.commit()
        for ending in ("", "-wal"):
            path.with_name(path.name + ending).write_bytes((tmp_path / f"other.db{ending}").read_bytes())
    path.chmod(0o640)
    made = SqlitePlace(SqliteEngine("main", path, clock=SystemClock(), runtime=tmp_path / "run"))
    restored = made.make(RUN, Facts("sqlite", SystemClock().now(), {}))
    assert restored.path is not None
    with closing(sqlite3.connect(restored.path / restored.database)) as session:
        session.executescript("CREATE TABLE call (n int); INSERT INTO call VALUES (7)")
    made.settle(RUN, tmp_path, restored)
    return made


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as session:
        return [n for (n,) in session.execute("SELECT n FROM call ORDER BY n")]


def files(folder: Path) -> list[str]:
    return sorted(path.name.replace(RUN.lower(), "R") for path in folder.iterdir() if path.name.startswith("queue"))


def test_the_log_goes_along_and_comes_back(place: SqlitePlace, tmp_path: Path) -> None:
    path = tmp_path / "queue 号.db"
    aside, into = place.moves(RUN, "main")
    for move in (aside, into):
        place.rename(move, end_sessions=False)
        assert place.done(move)
    assert files(tmp_path) == ["queue 号.db", "queue 号.db_before_R", "queue 号.db_before_R-wal"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert rows(path) == [7]
    for move in (into.back, aside.back):
        place.rename(move, end_sessions=False)
    assert rows(path) == [1, 2]


@pytest.mark.parametrize("after", ["link", "rename"])
def test_a_move_that_is_broken_off_is_gone_on_with(
    place: SqlitePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    aside, into = place.moves(RUN, "main")
    step = "rename" if after == "link" else "unlink"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, step, killed)
        place.rename(aside, end_sessions=False)
    assert place.begun(aside)
    assert not place.done(aside)
    for move in (aside, into):
        place.rename(move, end_sessions=False)
    # a log of the old one beside the new one would be played into it
    assert not (tmp_path / "queue 号.db-wal").exists()
    assert rows(tmp_path / "queue 号.db") == [7]
    assert rows(tmp_path / aside.new) == [1, 2]


def test_nobody_is_left_writing_into_what_is_aside_and_nothing_is_written_over(
    place: SqlitePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, _ = place.moves(RUN, "main")
    Path(tmp_path / aside.new).touch()
    with pytest.raises(SourceError, match="there already"):
        place.rename(aside, end_sessions=True)
    Path(tmp_path / aside.new).unlink()
    # as another program's: our own open files are no reason
    monkeypatch.setattr("drmgr.system.beside.os.getpid", lambda: 1)
    with (tmp_path / "queue 号.db").open("rb"):
        assert place.users() == 1
        (program,) = place.programs()
        assert program.endswith(f" (pid {PID})")
        with pytest.raises(InUseError, match=f"pid {PID}"):
            place.rename(aside, end_sessions=True)
    assert rows(tmp_path / "queue 号.db") == [1, 2]


def test_what_is_not_there_is_not_set_aside(place: SqlitePlace, tmp_path: Path) -> None:
    (tmp_path / "queue 号.db").unlink()
    (into,) = place.moves(RUN, "main")
    assert into == Move("main", f"queue 号.db_restored_{RUN.lower()}", "queue 号.db")
