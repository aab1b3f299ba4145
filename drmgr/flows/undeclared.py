"""Systems that the quarter's catalog and evidence know, and that no job declares any more: a lost file must not hide them."""

from collections.abc import Collection, Mapping, Sequence

from drmgr.flows.quarter import Period, Played, Undeclared, drill_problems, problem
from drmgr.model import Json, Run


def undeclared(
    period: Period,
    declared: Collection[str],
    runs: Sequence[Run],
    drills: Mapping[str, Sequence[Played]],
    retired: Collection[str],
) -> tuple[Undeclared, ...]:
    """By the backups and drills of the quarter. ``retired`` are those that were given up on purpose."""
    done = [run for run in runs if period.begin <= run.started_at < period.end]
    played = {name: tuple(each for each in of if period.begin <= each.at < period.end) for name, of in drills.items()}
    names = {run.system for run in done} | {name for name, of in played.items() if of}
    return tuple(
        Undeclared(
            name,
            sum(run.system == name and "point" in run.detail for run in done),
            played.get(name, ()),
        )
        for name in sorted(names - {*declared} - {*retired})
    )


def problems_of(period: Period, found: Sequence[Undeclared]) -> list[Json]:
    """Each as a problem, and those of its drills that did not pass."""
    rows: list[Json] = []
    for each in found:
        rows.append(problem(period, each.system, "undeclared", points=each.points))
        rows += drill_problems(period, each.system, each.drills)
    return rows
