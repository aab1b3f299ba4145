import sqlite3
from contextlib import closing

import pytest

from drmgr.engines.sqlite_ddl import index_columns, renamed
from drmgr.errors import LoadError

AWKWARD = """CREATE TABLE visit( -- the visits, (all) of them
  id INTEGER PRIMARY KEY AUTOINCREMENT, /* , */ "references" TEXT DEFAULT 'REFERENCES x(y), ''',
  patient INTEGER NOT NULL CONSTRAINT p REFERENCES patient(id) ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
  ward VARCHAR(10) REFERENCES "odd (name" MATCH FULL NOT DEFERRABLE COLLATE NOCASE CHECK (length(ward) <= 1.5e+3),
  twice INTEGER GENERATED ALWAYS AS (patient * 2) STORED, raw BLOB DEFAULT x'00ff' REFERENCES a ON UPDATE NO ACTION,
  [空 格] NUMERIC, UNIQUE (ward, id), CONSTRAINT f FOREIGN KEY (ward, id) REFERENCES other ON DELETE SET DEFAULT,
  CHECK (patient > 0 AND ward || 'a' <> '(' ), FOREIGN KEY(id)REFERENCES z -- at last
)"""


def columns(session: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return [row[1:] for row in session.execute(f"PRAGMA table_xinfo({table})")]


def test_the_table_is_the_same_but_for_its_name_and_its_references() -> None:
    with closing(sqlite3.connect(":memory:")) as session:
        session.execute(AWKWARD)
        session.execute(renamed(AWKWARD, 'laid "it"'))
        assert columns(session, "'laid \"it\"'") == columns(session, "visit")
        assert session.execute("PRAGMA foreign_key_list('laid \"it\"')").fetchall() == []
        session.execute("INSERT INTO visit (patient, ward) VALUES (1, 'b')")
        names = 'id, "references", patient, ward, raw, [空 格]'
        session.execute(f'INSERT INTO "laid ""it""" ({names}) SELECT {names} FROM visit')
        both = session.execute('SELECT * FROM visit UNION SELECT * FROM "laid ""it"""').fetchall()
        assert len(both) == 1
        # its own rules hold
        for wrong in ("(patient, ward) VALUES (0, 'c')", "(id, patient, ward) VALUES (1, 1, 'b')"):
            with pytest.raises(sqlite3.IntegrityError):
                session.execute(f'INSERT INTO "laid ""it""" {wrong}')


def test_what_follows_the_table_s_definition_is_kept() -> None:
    text = renamed("CREATE TABLE pair (a TEXT, b TEXT REFERENCES c, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT", "x")
    with closing(sqlite3.connect(":memory:")) as session:
        session.execute(text)
        with pytest.raises(sqlite3.OperationalError):
            session.execute("SELECT rowid FROM x")
        with pytest.raises(sqlite3.IntegrityError):
            session.execute("INSERT INTO x VALUES (x'00', 'b')")


def test_an_index_keeps_what_it_is_over() -> None:
    assert (
        index_columns('CREATE UNIQUE INDEX "on (x" ON t(lower(a) DESC, b) WHERE a > 1')
        == "(lower(a) DESC, b) WHERE a > 1"
    )


@pytest.mark.parametrize(
    "text", ["CREATE VIEW x AS SELECT 1", "CREATE TABLE x (a", "CREATE TABLE x (a REFERENCES b ON DELETE)", ""]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(LoadError):
        renamed(text, "x")
    with pytest.raises(LoadError):
        index_columns(text)
