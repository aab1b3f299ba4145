"""``drmgr repo expire``: what no rule keeps is taken away, and why the rest stays, in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import DrmgrError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.bench import Bench
    from drmgr.flows.expire import ExpirePlan, Place
    from drmgr.flows.retention import Rules


@dataclass(frozen=True)
class _Row:
    """One system: the plan that was made or carried out, or why there is none."""

    system: str
    place: str
    run: str | None = None
    plan: "ExpirePlan | None" = None
    pruned: bool = False
    error: DrmgrError | None = None


def expire(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what stays and why; take nothing away.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Then free the space, which may take long.")] = False,
    copy: Annotated[str, typer.Option("--copy", metavar="NAME", help="Of this copy.")] = "",
) -> None:
    """Take away the recovery points that no rule keeps (retention in the site file or the job).

    Never: the last good point, the last proven or drilled one, one that is not in every copy yet, and logs that a point
    which stays still needs. Exit 11: refused, for the repository has problems or its newest point is suspicious.
    """
    answers = output(context)
    if dry_run and prune:
        raise UsageError("--dry-run takes nothing away, so there is nothing to prune", hint="leave one of the two out")
    with site(context) as opened, answers.progress() as progress:
        names = _with_rules(opened, systems or [])
        bench = opened.bench(progress)
        rows = [_one(opened, bench, name, copy, dry_run=dry_run, prune=prune) for name in names]
        zone = opened.zone
    errors = [row.error for row in rows if row.error]
    document = {"ok": not errors, "dry_run": dry_run, "systems": [_row_json(row) for row in rows]}
    answers.answer(document, lambda console: _show(console, rows, zone, dry_run=dry_run))
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code)


def _with_rules(opened: "Site", names: list[str]) -> list[str]:
    """The systems that have rules; one that is named must have them."""
    chosen = opened.systems(names, everything=not names)
    ruled = [name for name in chosen if rules_of(opened, name) is not None]
    if (names and len(ruled) < len(chosen)) or not ruled:
        lacking = ", ".join(name for name in chosen if name not in ruled)
        raise UsageError(
            f"no retention is declared for {lacking}, so nothing expires",
            hint="add retention to the site file or the job",
        )
    return ruled


def rules_of(opened: "Site", system: str) -> "Rules | None":
    """The rules of the job, or else the site's; None when neither has any: then all points are kept."""
    from drmgr.flows.retention import LegalHold, Rules

    declared = opened.loaded.job(system).retention or opened.config.retention
    if declared is None:
        return None
    # a hold is the hospital's duty, wherever it is written
    every = {*declared.hold, *(opened.config.retention.hold if opened.config.retention else ())}
    holds = tuple(LegalHold(each.reason, each.point, each.since, each.before, each.until) for each in every)
    return Rules(
        declared.within, declared.daily, declared.weekly, declared.monthly, declared.yearly, declared.logs, holds
    )


def place_of(opened: "Site", system: str, copy: str) -> "Place":
    """The system's own repository, or that of a copy, as a place where points expire."""
    from drmgr.cli.repositories.repo_copy import ask_copies
    from drmgr.config.models import system_of
    from drmgr.flows.expire import Place

    wired = system_of(opened.loaded.job(system))
    repository = opened.cared(system, copy)
    if copy:
        return Place(copy, wired, repository, opened.care_book.memory(copy))
    return Place("", wired, repository, opened.catalog, lambda: ask_copies(opened, system).held)


def _one(opened: "Site", bench: "Bench", system: str, copy: str, *, dry_run: bool, prune: bool) -> _Row:
    from drmgr.flows.expire import expire as run_expire
    from drmgr.flows.expire import plan_expire

    rules = rules_of(opened, system)
    assert rules is not None
    try:
        place = place_of(opened, system, copy)
        if dry_run:
            return _Row(system, copy, plan=plan_expire(bench, place, rules))
        done = run_expire(bench, opened.care_book, place, rules, prune=prune)
    except UsageError:
        raise
    except DrmgrError as error:
        return _Row(system, copy, run=error.run, error=error)
    return _Row(system, copy, done.run, done.plan, done.pruned)


def _row_json(row: _Row) -> Json:
    from drmgr.flows.bench import error_json
    from drmgr.system.clock import rfc3339

    plan = row.plan
    return {
        "run": row.run,
        "system": row.system,
        "copy": row.place or None,
        "kept": [
            {"point": sealed.point.id, "consistent_at": rfc3339(sealed.point.consistent_at), "reasons": list(reasons)}
            for sealed, reasons in (plan.kept if plan else ())
        ],
        "expired": [sealed.point.id for sealed in (plan.expiring if plan else ())],
        "leftovers": [snapshot.id for snapshot in (plan.leftovers if plan else ())],
        "logs": len(plan.logs) if plan else 0,
        "pruned": row.pruned,
        "error": error_json(row.error) if row.error else None,
    }


def _show(console: "Console", rows: list[_Row], zone: "ZoneInfo", *, dry_run: bool) -> None:
    from drmgr.cli.output import human_time, table

    for row in rows:
        if row.plan is None:
            continue
        kept = [(sealed, "; ".join(reasons)) for sealed, reasons in row.plan.kept]
        told = sorted(
            [*kept, *((sealed, "") for sealed in row.plan.expiring)], key=lambda item: item[0].point.consistent_at
        )
        lines = [
            [sealed.point.id, human_time(sealed.point.consistent_at, zone)[:10], why or "EXPIRES: no rule keeps it"]
            for sealed, why in told
        ]
        where = f"{row.system}, copy {row.place}" if row.place else row.system
        console.print(where, markup=False)
        table(console, ["recovery point", "day", "why it stays"], lines, only="why it stays")
        would = "would go" if dry_run else "gone"
        console.print(
            f"{len(row.plan.expiring)} points {would}, {len(row.plan.leftovers)} leftovers of backups that never ended, "
            f"{len(row.plan.logs)} shipped logs; {'space was freed' if row.pruned else 'no space is freed without --prune'}",
            markup=False,
        )
