"""What holds for SQLite beyond the contract of every engine."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines import sqlite
from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlite_facts import row_digest
from drmgr.errors import PreflightError, SourceError
from drmgr.model import CheckStatus, Instance
from drmgr.system.clock import SystemClock
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink

Make = Callable[..., SqliteEngine]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "his.db"


@pytest.fixture
def make(path: Path, tmp_path: Path) -> Make:
    def engine(**options: Any) -> SqliteEngine:
        return SqliteEngine("his", path, clock=SystemClock(), runtime=tmp_path / "run", **options)

    return engine


def script(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as session:
        session.executescript(text)


def test_what_cannot_be_backed_up_is_told_before(path: Path, make: Make) -> None:
    def refused(match: str, **options: Any) -> None:
        with pytest.raises(PreflightError, match=match) as caught:
            make(**options).preflight()
        assert caught.value.hint

    refused("is not there")
    path.touch()
    refused("is empty")
    path.write_bytes(b"\x01 encrypted, or something else " * 99)
    refused("is not a SQLite database")
    path.unlink()
    script(path, "PRAGMA user_version = 1")
    refused("has no tables")
    script(path, "CREATE TABLE a (n, note); INSERT INTO a VALUES (1, 'no date')")
    make().preflight()
    refused(r"a\.nothing .* no such column", newest=[("a", "nothing")])
    refused("not dates or times", newest=[("a", "note")])


def test_a_program_that_writes_all_the_time_is_never_caught_half_way(path: Path, make: Make, tmp_path: Path) -> None:
    script(path, "PRAGMA journal_mode = WAL; CREATE TABLE a (n); CREATE TABLE b (n); CREATE TABLE fill (x);")
    script(path, "INSERT INTO fill SELECT randomblob(1000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)")
    stop, written, failed = threading.Event(), threading.Event(), []

    def write() -> None:
        try:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as session:
                number = 0
                while not stop.is_set():
                    number += 1
                    session.execute("BEGIN")
                    session.execute("INSERT INTO a VALUES (?)", (number,))
                    session.execute("INSERT INTO b VALUES (?)", (number,))
                    session.execute("COMMIT")
                    written.set()
        except sqlite3.Error as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        before = 0
        for number in range(8):
            sink = FolderSink(tmp_path / f"parts-{number}")
            with make().capture() as capture:
                capture.store(sink)
                tables = capture.facts().groups["tables"]
            assert tables["a"] == tables["b"]
            assert tables["a"]["rows"] >= before
            before = tables["a"]["rows"]
            # the copy is one whole file: what lay in the write-ahead log is in it
            (stored,) = (tmp_path / f"parts-{number}" / "database").iterdir()
            with closing(sqlite3.connect(stored)) as copy:
                assert copy.execute("SELECT count(*) FROM a").fetchone() == (before,)
    finally:
        stop.set()
        writer.join()
    assert failed == []


def test_a_broken_source_is_an_error_and_not_a_backup(path: Path, make: Make) -> None:
    script(path, "CREATE TABLE a (n INTEGER PRIMARY KEY, name TEXT); CREATE INDEX a_name ON a (name)")
    with closing(sqlite3.connect(path)) as session, session:
        session.executemany("INSERT INTO a (name) VALUES (?)", [(f"name {n}",) for n in range(5000)])
    with path.open("r+b") as file:
        file.seek(4096 * 20 + 2000)
        file.write(os.urandom(300))
    with pytest.raises(SourceError, match=r"damaged: integrity_check finds \d+ problems"), make().capture():
        pytest.fail("a broken database was offered for storing")


def test_a_database_that_stays_locked_is_given_up(path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    script(path, "CREATE TABLE a (n)")
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="locked"), make().capture():
            pass


def test_values_of_different_types_and_places_differ() -> None:
    rows = [(1,), (1.0,), (bytearray(b"1"),), (b"1",), (None,), (b"",), (bytearray(),), (1, None), (None, 1)]
    rows += [(b"ab", b""), (b"a", b"b"), (b"", b"ab"), (-0.0,), (0.0,), (0,)]
    assert len({row_digest(row) for row in rows}) == len(rows)


def loaded(engine: SqliteEngine, folder: Path) -> Instance:
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    (folder / "scratch").mkdir()
    instance = engine.load(
        folder / "parts", Instance(engine="sqlite", path=folder / "scratch"), lambda share, what: None
    )
    assert differences(facts, engine.facts(instance, facts)) == []
    return instance


def test_ill_formed_texts_and_counts_only(path: Path, make: Make, tmp_path: Path) -> None:
    # GBK bytes in a text column, as old programs leave them
    script(path, "CREATE TABLE a (n); INSERT INTO a VALUES (CAST(x'd5c5c8fd' AS TEXT)), (x'd5c5c8fd')")
    engine = make(facts_mode="counts")
    instance = loaded(engine, tmp_path)
    assert engine.scalar(instance, "SELECT hex(n) FROM a LIMIT 1") == "D5C5C8FD"
    with make(facts_mode="counts").capture() as capture:
        assert capture.facts().groups["tables"] == {"a": {"rows": 2}}


def test_questions_are_read_only_and_stay_in_the_file(path: Path, make: Make, tmp_path: Path) -> None:
    script(path, "CREATE TABLE a (n); INSERT INTO a VALUES (x'0a'), (1.5), ('x'), (NULL)")
    engine = make()
    instance = loaded(engine, tmp_path)
    assert list(engine.rows(instance, "SELECT n FROM a")) == [("0a",), (1.5,), ("x",), (None,)]
    for statement in ("DELETE FROM a", "CREATE TABLE b (n)", f"ATTACH '{tmp_path / 'other.db'}' AS other"):
        with pytest.raises(SourceError, match="query failed"):
            list(engine.rows(instance, statement))
    assert not (tmp_path / "other.db").exists()
    for statement, told in (
        ("SELECT 1 WHERE 0", "no row"),
        ("SELECT n FROM a", "more than one"),
        ("SELECT 1, 2", "2 c"),
    ):
        with pytest.raises(SourceError, match=told):
            engine.scalar(instance, statement)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'2026-01-05'", "2026-01-05T00:00:00+08:00"),
        ("'2026-01-05T06:00:00Z'", "2026-01-05T14:00:00+08:00"),
        ("1767592800", "2026-01-05T14:00:00+08:00"),
        ("1767592800123", "2026-01-05T14:00:00.123000+08:00"),
    ],
)
def test_the_newest_row_is_an_instant_of_the_site(path: Path, make: Make, value: str, expected: str) -> None:
    script(path, f"CREATE TABLE a (at); INSERT INTO a VALUES (NULL), ({value})")
    engine = make(timezone="Asia/Shanghai")
    found = engine.newest(engine.target(), "a", "at")
    assert found is not None
    assert found.isoformat() == expected


def test_rows_without_their_parent_fail_the_integrity(path: Path, make: Make, tmp_path: Path) -> None:
    script(path, "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a); INSERT INTO b VALUES (7)")
    engine = make()
    result = engine.integrity(loaded(engine, tmp_path))
    assert (result.status, result.actual["rows_without_parent"]) == (CheckStatus.FAIL, 1)


def test_a_restore_writes_over_nothing(path: Path, make: Make, tmp_path: Path) -> None:
    script(path, "CREATE TABLE a (n)")
    engine = make()
    loaded(engine, tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "his.db-wal").write_bytes(b"of another database")
    with pytest.raises(PreflightError, match=r"his\.db-wal is not empty"):
        engine.load(tmp_path / "parts", Instance("sqlite", path=tmp_path / "new"), lambda share, what: None)


def test_a_log_that_was_removed_under_its_program_is_an_error_and_not_an_older_state(path: Path, make: Make) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.executescript("PRAGMA journal_mode = WAL; CREATE TABLE a (n); PRAGMA wal_checkpoint(TRUNCATE)")
        program.execute("INSERT INTO a VALUES (1)")
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").unlink()
        with pytest.raises(PreflightError, match=f"was removed while process {os.getpid()} has it open"):
            make().preflight()
        with pytest.raises(SourceError, match="was removed"), make().capture():
            pytest.fail("an older state was offered for storing")
    # at its end the program has written its log into the database
    with make().capture() as capture:
        assert capture.facts().groups["tables"]["a"]["rows"] == 1


def test_a_log_of_which_a_part_is_gone_gives_what_was_committed_or_an_error(path: Path, make: Make) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.executescript("PRAGMA journal_mode = WAL; CREATE TABLE a (n); INSERT INTO a VALUES (1)")
        Path(f"{path}-wal").unlink()
        with pytest.raises((SourceError, PreflightError)), make().capture():
            pytest.fail("a database without its log was offered for storing")


def test_a_write_that_was_cut_short_is_named(path: Path, make: Make) -> None:
    with closing(sqlite3.connect(path.with_name("other.db"), isolation_level=None)) as program:
        program.executescript("CREATE TABLE a (n); INSERT INTO a VALUES (1); PRAGMA cache_size = 1; BEGIN")
        program.executemany("INSERT INTO a VALUES (?)", [("x" * 3000,)] * 50)
        for ending in ("", "-journal"):
            Path(f"{path}{ending}").write_bytes(path.with_name(f"other.db{ending}").read_bytes())
    with pytest.raises(PreflightError, match="left its journal"):
        make().preflight()
    # its own program takes the change back, and all is well
    with closing(sqlite3.connect(path)) as program:
        assert program.execute("SELECT count(*) FROM a").fetchone() == (1,)
    with make().capture() as capture:
        assert capture.facts().groups["tables"]["a"]["rows"] == 1
