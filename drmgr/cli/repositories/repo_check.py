"""``drmgr repo check``: stored data are read back, damage is told by the points it touches, and mended from a copy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.repositories.lockstate import tried
from drmgr.errors import DrmgrError, KeystoreError, RepositoryError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.bench import Bench
    from drmgr.flows.verify import Coverage, Looked


@dataclass(frozen=True)
class _How:
    """What was asked for."""

    share: float
    rotating: bool
    repair_from: str
    copy: str


@dataclass(frozen=True)
class _Row:
    """One repository: what was found, or why it could not be looked at; then ``points`` are all that are remembered."""

    system: str
    share: float
    looked: "Looked | None"
    error: DrmgrError | None
    points: tuple[str, ...]


def check(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every byte back.")] = False,
    share: Annotated[float, typer.Option(min=0, max=100, help="Percent of the data to read back.")] = 0.0,
    rotating: Annotated[
        bool, typer.Option("--rotate", help="Read what has not been read for the longest (verify.period).")
    ] = False,
    copy: Annotated[str, typer.Option("--copy", metavar="NAME", help="Look through this copy.")] = "",
    repair_from: Annotated[str, typer.Option("--repair-from", metavar="NAME", help="Mend from this copy.")] = "",
) -> None:
    """Look through the repositories: structure and points always, data as asked. Damage is told by the points it touches.

    Call it with --rotate each day, and all data are read within the period. The lock of a bucket is tried on a probe. Exit 0:
    all sound. 21: damage found, or a repository could not be read. 4: the bucket locks nothing.
    """
    answers = output(context)
    if sum((read_data, share > 0, rotating, bool(repair_from))) > 1:
        raise UsageError("choose one of --read-data, --share, --rotate and --repair-from")
    how = _How(1.0 if read_data or repair_from else share / 100, rotating, repair_from, copy)
    with site(context) as opened, answers.progress() as progress:
        names = opened.systems(systems or [], everything=not systems)
        bench = opened.bench(progress)
        rows = [_one(opened, bench, name, how) for name in names]
        locks, unlocked = tried(opened)
        zone = opened.zone
    errors = [error for error in (*(row.error for row in rows), unlocked) if error]
    document = {"ok": not errors, "repositories": [_row_json(row) for row in rows], "locks": locks}
    answers.answer(document, lambda console: _show(console, rows, zone))
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code)


def _one(opened: "Site", bench: "Bench", system: str, how: _How) -> _Row:
    from drmgr.cli.repositories.repo_copy import copy_of
    from drmgr.cli.repositories.repo_expire import place_of
    from drmgr.flows import verify

    place = place_of(opened, system, how.copy)
    try:
        if how.repair_from:
            looked = verify.repair(bench, place, copy_of(opened, system, how.repair_from))
        elif how.rotating:
            looked = verify.rotate(bench, opened.care_book, place, opened.config.verify.period)
        else:
            looked = verify.look(bench, place, how.share)
    except (RepositoryError, KeystoreError) as error:
        # it does not open, so no point can be had from it
        return _Row(system, how.share, None, error, tuple(sorted(place.memory.seals(system).values())))
    except UsageError:
        raise
    except DrmgrError as error:
        return _Row(system, how.share, None, error, ())
    share = sum(report.bytes_read_share for report in looked.reports) if how.rotating else how.share
    return _Row(system, share, looked, verify.fault_of(system, looked), looked.points)


def _row_json(row: _Row) -> Json:
    from drmgr.flows.bench import error_json

    looked = row.looked
    messages = [text for report in looked.reports for text in report.messages] if looked else []
    return {
        "run": looked.run if looked else row.error.run if row.error else None,
        "system": row.system,
        "ok": row.error is None,
        "errors": looked.errors if looked else None,
        "broken_packs": list(looked.packs) if looked else [],
        "points": list(row.points),
        "problems": list(looked.problems) if looked else [],
        "repaired": list(looked.repaired) if looked else [],
        "share": round(row.share, 4),
        "coverage": _coverage_json(looked.coverage) if looked and looked.coverage else None,
        "messages": messages if looked else [row.error.message] if row.error else [],
        "error": error_json(row.error) if row.error else None,
    }


def _coverage_json(told: "Coverage") -> Json:
    from drmgr.system.clock import rfc3339

    return {
        "groups": told.groups,
        "read": told.read,
        "period": told.period.total_seconds(),
        "within_period": told.within,
        "all_read_since": None if told.since is None else rfc3339(told.since),
    }


def _show(console: "Console", rows: list[_Row], zone: "ZoneInfo") -> None:
    from drmgr.cli.output import table

    table(
        console,
        ["system", "state", "data read", "errors", "broken packs", "points hit"],
        [
            [
                row.system,
                "ok" if row.error is None else "fail",
                f"{row.share:.0%}",
                str(row.looked.errors) if row.looked else "-",
                str(len(row.looked.packs)) if row.looked else "-",
                str(len(row.points)),
            ]
            for row in rows
        ],
    )
    for row in rows:
        for problem in row.looked.problems if row.looked else ():
            console.print(f"{row.system}: {problem}", style="red", markup=False)
        for pack in row.looked.packs if row.looked else ():
            console.print(f"{row.system}: pack {pack} is broken", style="red", markup=False, soft_wrap=True)
        for point in row.points:
            state = "was mended" if row.looked and point in row.looked.repaired else "is, or may be, damaged"
            console.print(f"{row.system}: recovery point {point} {state}", markup=False)
        if row.looked and row.looked.coverage:
            console.print(f"{row.system}: {_coverage_words(row.looked.coverage, zone)}", markup=False)


def _coverage_words(told: "Coverage", zone: "ZoneInfo") -> str:
    from drmgr.cli.output import human_seconds, human_time

    period = human_seconds(told.period.total_seconds())
    if told.since is None:
        return f"{told.read} of {told.groups} groups of data were read; all will have been within {period}"
    return f"all data stored before {human_time(told.since, zone)} were read after that; asked is every {period}"
