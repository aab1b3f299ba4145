"""Times are told in the zone of the site, whatever zone they were given or kept in."""

import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from drmgr.cli.restoring.forecast import as_of_text
from drmgr.cli.ship import _show
from drmgr.flows.ship_logs import Shipped

SHANGHAI = ZoneInfo("Asia/Shanghai")
INSTANT = datetime(2026, 11, 27, 10, 4, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("", "2026-11-27 18:04:24"),
        ("2026-11-27T10:22:30Z", "2026-11-27 18:22:30"),
        ("2026-11-27T18:22:30", "2026-11-27 18:22:30"),
        ("before-the-upgrade", "before-the-upgrade"),
    ],
)
def test_a_plan_tells_its_instant_in_the_zone_that_it_names(at: str, shown: str) -> None:
    assert as_of_text(at, INSTANT, SHANGHAI) == shown


def test_shipping_tells_how_far_it_reaches_in_the_sites_zone() -> None:
    console = Console(file=io.StringIO(), width=120)
    _show(console, [("his", "main", Shipped("01M8", "his", "main", 3, 2048, INSTANT), None)], SHANGHAI)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2026-11-27 18:04:24" in text
    assert "Asia/Shanghai" in text
