"""What may be said in an error, and what stays equal through a dump."""

import stat
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drmgr.engines.postgres.connection import PostgresConnection, safe_text, write_passfile
from drmgr.engines.postgres.facts import instant
from drmgr.engines.postgres.load import _reason
from drmgr.engines.postgres.structure import plain_expression
from drmgr.errors import PreflightError
from drmgr.system.command import Completed
from drmgr.system.secret import Secret


def test_an_expression_is_plain_before_and_after_a_dump() -> None:
    before = "((code)::text = ANY ((ARRAY['a'::character varying, 'b (::text)'::character varying])::text[]))"
    after = "((code)::text = ANY (ARRAY[('a'::character varying)::text, ('b (::text)'::character varying)::text]))"
    assert plain_expression(before) == plain_expression(after) == "code=ANYARRAY['a','b (::text)']"
    assert plain_expression("x = 'it''s ::text'") != plain_expression("x = 'it''s '")
    assert plain_expression("a::numeric(12,4) > b::timestamp(3) without time zone") == "a>b"


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        (
            'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "张三"\n'
            'CONTEXT:  COPY t, line 1, column n: "张三"\n',
            'COPY failed for table "t": invalid input syntax for type integer',
        ),
        (
            'pg_restore: error: could not execute query: ERROR:  duplicate key value violates unique constraint "k"\n'
            "DETAIL:  Key (name)=(张三) already exists.\nCommand was: INSERT INTO t VALUES ('张三')\n",
            'could not execute query: duplicate key value violates unique constraint "k"',
        ),
        ("pg_restore: error: did not find magic string in file header\n", "did not find magic string in file header"),
        ("", "it ended with code 1"),
    ],
)
def test_why_a_load_failed_is_told_without_rows(stderr: str, told: str) -> None:
    assert _reason(Completed(1, b"", stderr)) == told


def test_a_safe_text_is_one_short_line() -> None:
    assert safe_text("a b: 张三\nDETAIL: x") == "a b"
    assert safe_text("") == ""
    assert len(safe_text("x" * 500)) == 200


def test_a_passfile_is_private_and_escaped(tmp_path: Path) -> None:
    connection = PostgresConnection("h", "d", "u:x", password=Secret(r"p:a\s"))
    path = write_passfile(tmp_path / "run", connection)
    assert write_passfile(tmp_path / "run", PostgresConnection("h", "d", "u")) != path
    assert path.read_text() == "*:5432:*:u\\:x:p\\:a\\\\s\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(PreflightError):
        write_passfile(tmp_path, PostgresConnection("h", "d", "u", password=Secret("a\nb")))


def test_an_instant_always_has_an_offset() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    assert instant(date(2026, 1, 5), shanghai).isoformat() == "2026-01-05T00:00:00+08:00"
    assert instant(datetime(2026, 1, 5, 14, 3), shanghai).isoformat() == "2026-01-05T14:03:00+08:00"  # noqa: DTZ001
    assert (
        instant(datetime(2026, 1, 5, 14, 3, tzinfo=ZoneInfo("UTC")), shanghai).isoformat()
        == "2026-01-05T22:03:00+08:00"
    )
