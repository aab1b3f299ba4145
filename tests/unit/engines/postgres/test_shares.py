"""The shares of a table name every row once."""

from drmgr.engines.postgres.shares import PIECE_BYTES, ranges

BLOCK = 8192


def texts(size: int, version: int = 150000) -> list[str]:
    return [where.as_string() for where in ranges(size, BLOCK, version)]


def test_a_small_table_is_one_share() -> None:
    for size in (0, BLOCK, PIECE_BYTES):
        assert texts(size) == ["true"]


def test_an_old_server_that_would_read_all_for_each_share_gets_one() -> None:
    assert texts(10 * PIECE_BYTES, 130000) == ["true"]


def test_each_share_begins_where_the_one_before_it_ends_and_the_last_has_no_end() -> None:
    step = PIECE_BYTES // BLOCK
    assert texts(2 * PIECE_BYTES + BLOCK) == [
        f"t.ctid >= '(0,0)'::pg_catalog.tid AND t.ctid < '({step},0)'::pg_catalog.tid",
        f"t.ctid >= '({step},0)'::pg_catalog.tid AND t.ctid < '({2 * step},0)'::pg_catalog.tid",
        f"t.ctid >= '({2 * step},0)'::pg_catalog.tid",
    ]
