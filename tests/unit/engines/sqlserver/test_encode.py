"""The text of a row: what it says, and for which tables there is none."""

import pytest

from drmgr.engines.sqlserver.encode import Column, row_text
from drmgr.system.mssql_names import bracketed, join, literal

INT, TEXT = Column("n", "int", 4), Column("t", "nvarchar", -1)


def test_derived_columns_do_not_count_and_names_are_quoted() -> None:
    assert row_text([INT, Column("d", "int", 4, derived=True)], 16) == row_text([INT], 16)
    assert row_text([Column("a]'b", "int", 4)], 16) == (
        "CONVERT(varchar(max), '') + COALESCE('V' + CONVERT(varchar(50), [a]]'b]) + ',', 'N,')"
    )


@pytest.mark.parametrize(
    ("columns", "version"),
    [
        ([], 16),
        ([Column("x", "sql_variant", 8016)], 16),
        ([INT, Column("e", "varbinary", 65, encrypted=True)], 16),
        ([TEXT], 12),
        ([INT] * 101, 12),
    ],
)
def test_what_cannot_be_hashed_whole_is_only_counted(columns: list[Column], version: int) -> None:
    assert row_text(columns, version) is None


def test_what_the_old_server_can_hash_it_does() -> None:
    assert row_text([INT] * 100, 12) is not None
    assert row_text([TEXT], 13) is not None


def test_names_texts_and_paths_are_in_the_server_s_own_form() -> None:
    assert bracketed("a]b", "c.d") == "[a]]b].[c.d]"
    assert literal("O'Hara'") == "N'O''Hara'''"
    assert join("\\\\nas\\drmgr\\", "x.bak") == "\\\\nas\\drmgr\\x.bak"
    assert join("D:/drmgr", "x.bak") == "D:/drmgr\\x.bak"
    assert join("/backups/", "x.bak") == "/backups/x.bak"
