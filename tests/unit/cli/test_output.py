"""What people and programs see."""

import io
import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from drmgr.cli.output import Output, human_bytes, human_seconds, human_time, pairs, table
from drmgr.errors import ConfigError, LockedError

ULID = "01KE6BVBR0E3T2796R6PMQKG4A"
ERROR = LockedError("system his is held by process 7", hint="wait for it")


def printed(headings: list[str], rows: list[list[str]], *, width: int = 80, **more: str) -> str:
    out = io.StringIO()
    table(Console(file=out, width=width, highlight=False), headings, rows, **more)
    return out.getvalue()


LONG = "/a/rather/long/path/of/evidence/2026/" + "x" * 90


@pytest.mark.parametrize(
    ("headings", "rows"),
    [
        (["point", "made", "sources", "where"], [[ULID, "2026-01-05 14:03:22", "main images index", LONG]]),
        (["drill", "system", "point", "verdict", "evidence"], [["his-restore", "his", ULID, "passed", LONG]]),
        (["run", "point", "words"], [[ULID, ULID, "word " * 40]]),
    ],
)
def test_ids_stay_whole_in_80_columns(headings: list[str], rows: list[list[str]]) -> None:
    text = printed(headings, rows)
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert text.count(ULID) == rows[0].count(ULID)
    # and nothing of the others is cut off: it goes on in the next line
    folded = re.sub(r"\s", "", text)
    assert folded.count("x") >= rows[0][-1].count("x")
    assert "…" not in text


def test_only_the_named_column_folds() -> None:
    text = printed(["name", "words"], [["newest-medical-order-is-fresh", "word " * 30]], only="words")
    assert "newest-medical-order-is-fresh" in text


def test_a_table_without_rows_shows_its_headings() -> None:
    assert "verdict" in printed(["point", "verdict"], [])


def test_markup_in_data_is_only_text() -> None:
    assert "[red]x[/red]" in printed(["a"], [["[red]x[/red]"]])
    out = io.StringIO()
    pairs(Console(file=out, width=80), {"a": "[bold]b", "long name": "c"})
    assert out.getvalue() == "a          [bold]b\nlong name  c\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_234_567, "1.2 MiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3.5 * 1024**4, "3.5 TiB"),
        (2000 * 1024**4, "2000.0 TiB"),
    ],
)
def test_bytes_for_people(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (8.24, "8.2 s"),
        (59.94, "59.9 s"),
        (59.99, "1 min"),
        (60, "1 min"),
        (185, "3 min 05 s"),
        (3599.6, "1 h"),
        (3600, "1 h"),
        (8040, "2 h 14 min"),
        (3660, "1 h 01 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_for_people(seconds: float | None, text: str) -> None:
    assert human_seconds(seconds) == text


def test_times_are_those_of_the_site() -> None:
    assert human_time(datetime(2026, 1, 5, 6, 3, 22, tzinfo=UTC), ZoneInfo("Asia/Shanghai")) == "2026-01-05 14:03:22"


def test_an_error_for_people_is_two_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Output(wants_json=False).error(ERROR)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "drmgr: system his is held by process 7\nHINT: wait for it\n")


def test_an_error_for_programs_is_one_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Output(wants_json=True).error(ERROR)
    out, err = capsys.readouterr()
    told = {"code": "locked", "message": ERROR.message, "hint": "wait for it", "exit_code": 12}
    assert (json.loads(out), err) == ({"error": told}, "")


def test_all_mistakes_of_a_configuration_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("2 mistakes", problems=["a.yaml:1: x", "b.yaml:2: y"])
    Output(wants_json=False).error(error)
    assert capsys.readouterr().err.splitlines()[1:3] == ["  a.yaml:1: x", "  b.yaml:2: y"]
    Output(wants_json=True).error(error)
    assert json.loads(capsys.readouterr().out)["error"]["problems"] == ["a.yaml:1: x", "b.yaml:2: y"]


@pytest.mark.parametrize("wants_json", [True, False])
def test_an_answer_is_the_only_thing_on_standard_output(
    capsys: pytest.CaptureFixture[str], *, wants_json: bool
) -> None:
    output = Output(wants_json=wants_json)
    with output.aside(), output.progress() as progress:
        print("somebody else's words")
        progress("restore")(0.5, "half")
    output.note("a remark")
    output.answer({"名": 1}, lambda console: console.print("for people"))
    out, err = capsys.readouterr()
    if wants_json:
        assert json.loads(out) == {"名": 1}
        assert "名" in out
        assert err == "somebody else's words\na remark\n"
    else:
        assert out == "somebody else's words\nfor people\n"
        assert err == "a remark\n"
