"""A SQLite database in WAL mode, with one of everything, and a program that has it open."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from drmgr.engines.sqlite import SqliteEngine
from drmgr.interfaces import Engine
from drmgr.model import Instance
from drmgr.system.clock import SystemClock
from tests.support.folders import passable_directory

SCHEMA = """
PRAGMA journal_mode = WAL; PRAGMA user_version = 7; PRAGMA application_id = 99;
CREATE TABLE patient (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, raw BLOB, cost REAL, seen TEXT, any_value);
CREATE TABLE charge (patient INTEGER REFERENCES patient, amount NUMERIC, at INTEGER);
CREATE TABLE pair (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE "odd ""name" ("select" INT, "空 格" TEXT);
CREATE VIRTUAL TABLE note USING fts5(body);
CREATE INDEX patient_name ON patient (name);
CREATE VIEW rich AS SELECT * FROM patient WHERE cost > 10;
CREATE TRIGGER no_zero BEFORE INSERT ON charge WHEN NEW.amount = 0 BEGIN SELECT RAISE(ABORT, 'zero'); END;
INSERT INTO patient (name, raw, cost, seen, any_value) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < 300) SELECT '张三𠮷😀' || i, randomblob(i), i / 7.0, '2026-01-05 14:03:22', CASE i % 4 WHEN 0 THEN i
  WHEN 1 THEN '' || i WHEN 2 THEN CAST(i AS BLOB) END FROM n;
INSERT INTO charge SELECT id, id, 1767600000 + id FROM patient;
INSERT INTO pair VALUES ('a', 'b'), ('ab', ''), ('', 'ab');
INSERT INTO "odd ""name" VALUES (1, 'ß');
INSERT INTO note VALUES ('头痛 headache');
"""


class SqliteSource:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "his 影.db"
        # stays open: what it writes lies in the WAL and not yet in the file
        self.program = sqlite3.connect(self.path)
        self.program.executescript(SCHEMA)
        self.engine: Engine = SqliteEngine(
            "his",
            self.path,
            clock=SystemClock(),
            runtime=folder / "run",
            newest=[("patient", "seen"), ("main.charge", "at")],
            timezone="Asia/Shanghai",
        )

    def own(self) -> Instance:
        return self.engine.target()

    def add(self) -> None:
        self.program.executescript(
            "INSERT INTO charge VALUES (1, 5, 1867600000); UPDATE patient SET cost = cost + 1; DELETE FROM pair;"
        )

    def alter(self, of: Instance) -> None:
        change(of, "UPDATE patient SET any_value = CAST(any_value AS BLOB) WHERE id = 1")

    def lose(self, of: Instance) -> None:
        change(of, 'DROP TABLE "odd ""name"')


def change(of: Instance, statement: str) -> None:
    """Changes a loaded database."""
    assert of.path is not None
    with closing(sqlite3.connect(of.path / of.database)) as session:
        session.executescript(statement)


@contextmanager
def sqlite_source() -> Iterator[SqliteSource]:
    """A live database and the engine bound to it."""
    with passable_directory() as folder:
        source = SqliteSource(folder)
        with closing(source.program):
            yield source
