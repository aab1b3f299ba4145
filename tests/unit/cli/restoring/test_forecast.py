"""What the plan says of the last minutes: whether they are kept anywhere, and how far a log would reach."""

import io
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from drmgr.cli.restoring.forecast import Forecast, forecast_json, show_forecast
from drmgr.model import Move
from tests.support.fakes import START

ZONE = ZoneInfo("Asia/Shanghai")
AGO = timedelta(minutes=10)


def member(name: str) -> Any:
    return SimpleNamespace(source=name, bytes=1, consistent_at=START - AGO)


PLAN = Forecast(
    system="pacs",
    target="original",
    point=cast("Any", SimpleNamespace(id="01A", consistent_at=START - AGO)),
    instant=START - AGO,
    now=START,
    members=(member("index"), member("images")),
    touched=True,
    rto=60.0,
)
ASIDE = {name: Move(name, name, f"{name}_before", kept=True) for name in ("index", "images")}
INTO = Move("index", "index_restored", "index")


def screen(plan: Forecast) -> str:
    console = Console(file=io.StringIO(), width=80)
    show_forecast(console, cast("Any", SimpleNamespace(zone=ZONE)), plan)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        ((*ASIDE.values(), INTO), "it is kept only in what is set aside"),
        ((INTO,), "nothing is there that could be set aside, so what was written since then is nowhere"),
        ((ASIDE["images"], INTO), "written to images since then is kept only in what is set aside; of index nothing"),
    ],
)
def test_the_last_minutes_are_kept_only_where_something_is_set_aside(moves: tuple[Move, ...], said: str) -> None:
    plan = replace(PLAN, moves=moves)
    assert said in screen(plan)
    kept = {move.source for move in moves if move.kept}
    assert set(forecast_json(plan)["lost"]["kept_of"]) == kept


@pytest.mark.parametrize(("between", "where"), [(True, ""), (False, " (with --to scratch)")])
def test_a_log_that_reaches_further_is_told(where: str, *, between: bool) -> None:
    plan = replace(PLAN, reaches=START - timedelta(minutes=1), between=between)
    assert f"log reaches 2026-01-05 13:59:00: --at newest lacks only the last 1 min{where} drilled" in screen(plan)
    assert forecast_json(plan)["log_reaches"].startswith("2026-01-05T05:59:00")
    assert "log reaches" not in screen(PLAN) and forecast_json(PLAN)["log_reaches"] is None
