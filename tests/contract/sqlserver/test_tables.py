"""What is SQL Server's own in laying a table: definitions, row versions, locks, and a server that does nothing in silence.

What all engines must hold to is in tests/contract/test_tables.py.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from drmgr.engines.sqlserver.rowcopy import BATCH_ROWS
from drmgr.engines.sqlserver.tables import LAYING
from drmgr.errors import LoadError, SourceError
from tests.support.sqlserver_tables import LONG, ROWS, SPOILED, SqlServerGround, sqlserver_ground
from tests.support.tables import ENDING, changes, lay, shape, silent
from tests.support.tds.server import Fault
from tests.support.tds.store import Column, Table

DEAD, MINE = (f"dbo.{LAYING}{'d' * 16}", f"ward.{LAYING}{'0' * 16}"), f"dbo.{LAYING}notes"


@pytest.fixture
def ground() -> Iterator[SqlServerGround]:
    with sqlserver_ground() as made:
        yield made


def test_a_table_keeps_its_definition_and_what_stays_out_is_told(ground: SqlServerGround) -> None:
    laid = lay(ground, "patient")
    was, now = (ground.database.tables[f"dbo.{name}"] for name in ("patient", laid.shape.name))
    # no number is drawn from the living sequence
    assert now.columns == (*was.columns[:-1], replace(was.columns[-1], default=None))
    assert sorted(now.rows) == sorted(was.rows)
    assert now.rows[6][was.column("note")] == LONG
    assert now.comment == "病人"
    assert [replace(index, name="") for index in now.indexes[:1]] == [replace(was.indexes[0], name="")]
    assert now.indexes[1:] == was.indexes[1:3]
    assert now.others == (0, 0, 0)
    assert laid.left_out == (
        "default of ticket, which draws from a sequence",
        *("1 triggers", "2 foreign keys", "1 check constraints", "1 indexes that are disabled or no B-trees"),
    )
    sent = [text for text in ground.server.server.statements if text.startswith("/* drmgr: lay rows */")]
    assert len(sent) == -(-ROWS // BATCH_ROWS)
    assert not any("[twice]" in text for text in sent)


def test_a_text_that_is_valid_in_no_code_page_stays_as_it_is_or_is_not_laid(ground: SqlServerGround) -> None:
    laid = lay(ground, "patient")
    table = ground.database.tables[laid.shape.label]
    assert table.rows[7][table.column("code")] == SPOILED
    # a column of another collation than its database's gets its texts as letters, and these are none
    ground.database.collation = "Latin1_General_CI_AS"
    before = ground.names_now()
    with pytest.raises(LoadError, match="not the same once they are laid"):
        lay(ground, "patient")
    assert ground.names_now() == before


def test_row_versions_are_kept_and_still_tell_what_was_changed(ground: SqlServerGround) -> None:
    laid = lay(ground, "versioned")
    assert laid.left_out == ("numbering of version: its row versions of then are kept as binary(8)",)
    assert shape(ground, ground.live, laid.shape.label).columns["version"] == "binary(8)"
    table = ground.database.tables["dbo.versioned"]
    assert ground.database.tables[laid.shape.label].rows == table.rows
    ground.database.tables["dbo.versioned"] = replace(table, rows=(*table.rows[:2], (2, b"\0" * 7 + b"\1")))
    change = changes(ground, "versioned", laid)
    assert (change.added, change.removed, change.changed) == (0, 0, 1)
    assert ground.tables.proof(ground.live, laid.shape) == laid.proof
    look = ground.tables.statements(shape(ground, ground.live, "versioned"), laid.shape, ["id", "version"], ["id"]).look
    assert len(list(ground.engine.rows(ground.live, look["changed"]))) == 1


def test_what_cannot_be_laid_or_told_apart_is_refused_by_name(ground: SqlServerGround) -> None:
    before = ground.names_now()
    with pytest.raises(LoadError, match="phone is masked"):
        lay(ground, "masked")
    odd = Table((Column("id", "int", 4), Column("any", "sql_variant", 8016)), ((1, None),))
    for server in (ground.database, ground.restored):
        server.tables["dbo.variant"] = odd
    with pytest.raises(LoadError, match="any is of the type sql_variant"):
        lay(ground, "variant")
    variant = shape(ground, ground.live, "variant")
    with pytest.raises(SourceError, match="cannot be told apart"):
        ground.tables.proof(ground.live, variant)
    with pytest.raises(SourceError, match="cannot be told apart"):
        list(ground.tables.digests(ground.live, variant, ["id", "any"], []))
    restraint = shape(ground, ground.scratch, "ward.restraint")
    del ground.database.tables["ward.restraint"]
    with pytest.raises(LoadError, match="no such schema"):
        ground.tables.lay(ground.scratch, restraint, ground.live, "half", silent)
    assert ground.names_now() == (before | {"dbo.variant"}) - {"ward.restraint"}


def test_what_a_killed_process_was_laying_is_cleared_away_and_nothing_else(ground: SqlServerGround) -> None:
    for label in (*DEAD, MINE):
        ground.database.tables[label] = Table((Column("n", "int", 4),), ((1,),))
    laid = lay(ground, "queue")
    assert {laid.shape.label, MINE} <= ground.names_now()
    assert not {*DEAD} & ground.names_now()


def test_the_table_of_a_call_that_lives_is_left_to_it(ground: SqlServerGround) -> None:
    seen: list[set[str]] = []
    table = shape(ground, ground.scratch, "queue")

    def lay_another(share: float, _word: str) -> None:
        if share == 0.6:
            seen.append(ground.names_now())
            lay(ground, "charge")
            seen.append(ground.names_now())

    ground.tables.lay(ground.scratch, table, ground.live, "first", lay_another)
    (half,) = (name for name in seen[0] if LAYING in name)
    assert half in seen[1]
    assert "dbo.first" in ground.names_now()


@pytest.mark.parametrize(
    ("kind", "statement", "words"),
    [
        ("quiet", "drmgr: create table", "made no table"),
        ("quiet", "drmgr: lay rows", "not the same"),
        ("quiet", "drmgr: primary key", "columns or indexes"),
        ("quiet", "drmgr: create index", "columns or indexes"),
        ("quiet", "drmgr: describe", "columns or indexes"),
        ("quiet", "drmgr: rename", "did not give"),
        ("late-error", "drmgr: lay rows", "error"),
        ("late-error", "drmgr: rename", "error"),
        ("drop", "drmgr: rename", "broke"),
        ("drop", "drmgr: fingerprint", "broke"),
    ],
)
def test_a_server_that_fails_or_does_nothing_leaves_nothing(
    ground: SqlServerGround, kind: str, statement: str, words: str
) -> None:
    before, table = ground.names_now(), shape(ground, ground.scratch, "patient")
    ground.server.server.faults.append(Fault(re.escape(statement), kind, text="late"))  # type: ignore[arg-type]
    with pytest.raises(LoadError, match=words):
        ground.tables.lay(ground.scratch, table, ground.live, "half", silent)
    assert ground.server.server.faults[0].times == 0
    assert ground.names_now() == before


def test_a_database_that_allows_snapshots_is_read_in_one_view(ground: SqlServerGround) -> None:
    table = shape(ground, ground.live, "queue")
    assert not _asked(ground, "one view")
    ground.database.snapshots = 1
    list(ground.tables.digests(ground.live, table, ["n"], []))
    assert _asked(ground, "one view")


def _asked(ground: SqlServerGround, name: str) -> bool:
    return any(f"drmgr: {name} " in text for text in ground.server.server.statements)


def test_names_are_found_with_and_without_quotes_and_cut_to_what_the_server_takes(ground: SqlServerGround) -> None:
    for asked in ("odd ]name", "dbo.odd ]name", "[dbo].[odd ]]name]", '"odd ]name"', "DBO.ODD ]NAME"):
        assert shape(ground, ground.live, asked).label == "dbo.odd ]name"
    long = replace(shape(ground, ground.live, "queue"), name="长𠮷" * 50)
    free = ground.tables.free_name(ground.live, long, ENDING)
    assert len(free.encode("utf-16-le")) // 2 <= 128
    assert free.endswith(ENDING)
