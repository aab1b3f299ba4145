"""The course of several systems that came back at once, as bars on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drmgr.cli.output import human_seconds, table
from drmgr.evidence.build import seconds_of_all
from drmgr.model import Outcome

if TYPE_CHECKING:
    from rich.console import Console

BAR = 36
"""Characters of the longest bar."""


def show_course(console: "Console", outcomes: Sequence[Outcome]) -> None:
    """Bars of systems that came back at once: waiting, being restored, being verified; in seconds since T0."""
    t0 = next((outcome.timeline.t0 for outcome in outcomes), None)
    span = max((t6 - t0 for o in outcomes if t0 and (t6 := o.timeline.t6)), default=None)
    if len(outcomes) < 2 or t0 is None or not span:  # noqa: PLR2004
        return
    rows = []
    for outcome in sorted(outcomes, key=lambda each: (each.system.tier, each.timeline.t4 or t0)):
        line = outcome.timeline
        since = [None if at is None else (at - t0) / span for at in (line.t4, line.t5, line.t6)]
        rows.append([outcome.system.id, str(outcome.system.tier), _bar(since), human_seconds(outcome.rto.measured)])
    console.print()
    table(console, ["system", "tier", "since T0: restore ━ verify ─", "T6"], rows)
    whole = seconds_of_all(outcomes)
    if whole["total_seconds"] is not None:
        total, single = (human_seconds(whole[name]) for name in ("total_seconds", "single_seconds"))
        console.print(f"all verified after {total}; their own times, side by side, add up to {single}", markup=False)


def _bar(since: Sequence[float | None]) -> str:
    t4, t5, t6 = (None if share is None else round(share * BAR) for share in since)
    if t4 is None:
        return "did not begin"
    if t5 is None or t6 is None:
        return " " * t4 + "━ did not come back"
    return " " * t4 + "━" * max(1, t5 - t4) + "─" * max(1, t6 - max(t5, t4 + 1))
