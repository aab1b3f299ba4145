"""``drmgr restore``."""

from typing import Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.restored import done_json, plan_json, show_done, show_plan
from drmgr.cli.restoretarget import newest_first, target
from drmgr.cli.safekeeping import keep_safe
from drmgr.errors import NotAllowedError
from drmgr.model import OccasionKind


def register(app: typer.Typer) -> None:
    app.command("restore")(restore)


def restore(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system to bring back.")],
    to: Annotated[str, typer.Option(help="scratch | folder:PATH | connection:NAME. There is no default.")],
    point: Annotated[str, typer.Option(help="Recovery point: latest, or an id or its beginning.")] = "latest",
    at: Annotated[str, typer.Option(help="A time, log position or restore point after a recovery point.")] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given more than once.")] = None,
    keep: Annotated[str, typer.Option(help="How long a scratch restore stays: 90s, 30m, 2h, 1d.")] = "2h",
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="From this copy of the store.")] = "",
    newer_than: Annotated[
        str,
        typer.Option(
            metavar="AGE|DATE", help="To a folder: files since then first (1y, 30d, 2026-01-31), then the rest."
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, write nothing.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the record. Needed for a connection.")] = "",
    confirm: Annotated[str, typer.Option(help="The system's name once more; needed for a connection.")] = "",
    occasion: Annotated[OccasionKind | None, typer.Option(help="What the record calls it.")] = None,
) -> None:
    """Bring a system back, verify it, and seal evidence of it.

    Only targets that the site file allows (restore.allow) are written to, never a source's own database or folder.
    """
    from drmgr.flows import restore as flow
    from drmgr.flows import restoreplan as plans

    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        opened.loaded.job(system)
        chosen = tuple(source or ())
        where = target(opened, system, to, chosen, keep)
        if newer_than:
            where = newest_first(opened, where, newer_than, answers)
        touches_database = isinstance(where, plans.ToConnection)
        if touches_database and not dry_run:
            _insist(system, reason, confirm)
        kind = occasion or (OccasionKind.INCIDENT if touches_database else OccasionKind.SIMULATION)
        plan = plans.RestorePlan(point, where, chosen, reason, kind, at)
        bench, wired = opened.bench(progress), opened.system(system, cold=True, copy=from_copy)
        if dry_run:
            found = plans.plan_only(bench, wired, plan)
            answers.answer(
                plan_json(system, to, found, chosen),
                lambda console: show_plan(console, to, found, chosen, opened.zone),
            )
            return
        done = flow.restore(bench, wired, plan)
        unkept = keep_safe(opened)
    answers.answer(done_json(system, done, at), lambda console: show_done(console, done))
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    if done.record.verdict != "passed":
        raise typer.Exit(4)


def _insist(system: str, reason: str, confirm: str) -> None:
    if confirm != system:
        raise NotAllowedError(
            f"to write into a database, confirm the system: --confirm {system}", hint="add it to the command"
        )
    if not reason.strip():
        raise NotAllowedError("to write into a database, say why", hint="add --reason TEXT; it goes into the record")
