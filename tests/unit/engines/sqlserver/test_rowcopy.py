"""Rows on their way from one server to another: a few at a time, however many and however long they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from drmgr.engines.sqlserver import rowcopy
from drmgr.engines.sqlserver.encode import Column
from drmgr.engines.sqlserver.rowcopy import BATCH_CHARACTERS, BATCH_ROWS, ROWS_IN_MEMORY, TableAt, copy_rows
from drmgr.engines.sqlserver.tabledef import ColumnDefinition
from drmgr.errors import LoadError

COLUMN = ColumnDefinition(Column("scan", "varbinary", -1), "varbinary(max)", nullable=True)


class Servers:
    """One that has so many rows of so many bytes, and one that takes them."""

    def __init__(self, rows: int, size: int) -> None:
        self._rows, self._size = rows, size
        self.read = self.laid = self.most = 0
        self.statements: list[str] = []

    def stream(self, _statement: str, at_once: int) -> Iterator[tuple[Any, ...]]:
        assert at_once == ROWS_IN_MEMORY
        for _ in range(self._rows):
            self.read += 1
            self.most = max(self.most, self.read - self.laid)
            yield (b"\0" * self._size,)

    def act(self, statement: str) -> None:
        self.laid += statement.count("0x")
        self.statements.append(statement)

    def copy(self) -> list[float]:
        shares: list[float] = []
        session: Any = self
        place = TableAt(session, "dbo", "scans", "Chinese_PRC_CI_AS")
        copy_rows(place, place, [COLUMN], lambda share, _word: shares.append(share), self._rows)
        return shares


@pytest.mark.parametrize(("size", "most"), [(1, BATCH_ROWS), (100_000, 2), (2 * BATCH_CHARACTERS, 1)])
def test_no_more_rows_are_held_than_go_into_one_statement(size: int, most: int) -> None:
    servers = Servers(3 * BATCH_ROWS + 1, size) if size == 1 else Servers(7, size)
    shares = servers.copy()
    assert servers.laid == servers.read
    assert servers.most == most
    assert len(servers.statements) == -(-servers.read // most)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.6)


def test_a_row_that_no_statement_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowcopy, "LONGEST_BATCH", 1000)
    servers = Servers(1, 500)
    with pytest.raises(LoadError, match="longer than the live server takes"):
        servers.copy()
    assert servers.statements == []


def test_a_table_without_rows_gets_no_statement() -> None:
    servers = Servers(0, 0)
    assert servers.copy() == []
    assert servers.statements == []
