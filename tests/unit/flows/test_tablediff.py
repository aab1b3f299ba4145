from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from drmgr.flows.tablediff import compare
from drmgr.model import Instance, TableShape

OF = Instance("fake")


class Rows:
    """A table engine that knows digests only."""

    def __init__(self, *rows: tuple[str, str]) -> None:
        self._rows = rows
        self.asked: tuple[Sequence[str], Sequence[str]] = ((), ())

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        self.asked = columns, key
        return ((first.encode(), second.encode()) for first, second in self._rows)


def shape(*columns: str, key: tuple[str, ...] = ("id",)) -> TableShape:
    return TableShape("", "t", dict.fromkeys(columns, "int"), key, ("t",))


def side(rows: Rows, table: TableShape) -> Any:
    return rows, OF, table


@pytest.mark.parametrize(
    ("before", "now", "counts"),
    [
        ([], [], (0, 0, 0, 0, 0)),
        ([("1", "a"), ("2", "b")], [("2", "b"), ("1", "a")], (2, 2, 0, 0, 0)),
        ([("1", "a")], [], (1, 0, 0, 1, 0)),
        ([], [("1", "a")], (0, 1, 1, 0, 0)),
        ([("1", "a"), ("2", "b"), ("3", "c")], [("1", "x"), ("3", "c"), ("4", "d"), ("5", "e")], (3, 4, 2, 1, 1)),
        # a key that is one no longer: one of three has changed, two came
        ([("1", "a")], [("1", "x"), ("1", "y"), ("1", "z")], (1, 3, 2, 0, 1)),
        # the same row twice is not the same as once
        ([("1", "a"), ("1", "a")], [("1", "a")], (2, 1, 0, 1, 0)),
    ],
)
def test_rows_are_added_removed_and_changed_by_their_key(
    before: list[tuple[str, str]], now: list[tuple[str, str]], counts: tuple[int, ...]
) -> None:
    change = compare(side(Rows(*before), shape("id", "x")), side(Rows(*now), shape("id", "x")))
    assert (change.before, change.now, change.added, change.removed, change.changed) == counts


def test_only_columns_of_both_are_compared_and_the_others_named() -> None:
    rows = Rows()
    change = compare(side(rows, shape("id", "old", "x")), side(Rows(), shape("id", "x", "new")))
    assert (change.columns_added, change.columns_removed) == (("new",), ("old",))
    assert rows.asked == (["id", "x"], ("id",))


def test_a_key_that_only_one_side_has_is_none() -> None:
    rows = Rows(("a", "a"))
    change = compare(side(rows, shape("id", "x")), side(Rows(("b", "b")), shape("id", "x", key=())))
    assert rows.asked[1] == ()
    assert (change.added, change.removed, change.changed) == (1, 1, None)
