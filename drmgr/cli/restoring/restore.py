"""``drmgr restore``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import config_path, output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.restoring.ask import Wanted
from drmgr.cli.restoring.background import rest_json, rest_text, start
from drmgr.cli.restoring.forecast import forecast, forecast_json, show_dry_run
from drmgr.cli.restoring.restored import done_json, show_done
from drmgr.cli.restoring.restoretarget import gone_on_with, left_of, newest_first, target
from drmgr.cli.restoring.sure import insist
from drmgr.cli.restoring.swap import end
from drmgr.cli.restoring.told import ACCEPTED, DECIDED, FAULT, NOTICED, incident_of
from drmgr.errors import IncompleteError, UsageError
from drmgr.model import OccasionKind

if TYPE_CHECKING:
    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.restoreplan import Target
    from drmgr.model import Rest

NOT_BEGUN = "the older files are not on their way: the process that was to bring them ended"
NOT_BEGUN_HINT = "its words are in the log below state/rests; then call the same command again"


def register(app: typer.Typer) -> None:
    app.command("restore")(restore)


def restore(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system to bring back.")] = "",
    to: Annotated[str, typer.Option(help="scratch | folder:PATH | connection:NAME | original. No default.")] = "",
    point: Annotated[str, typer.Option(help="Recovery point: latest, or an id or its beginning.")] = "latest",
    at: Annotated[str, typer.Option(help="A time, log position or restore point after a recovery point.")] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given more than once.")] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE", help="Lay only this table beside the live one, and count changes; may be repeated."
        ),
    ] = None,
    keep: Annotated[str, typer.Option(help="How long a scratch restore stays: 90s, 30m, 2h, 1d.")] = "2h",
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="From this copy of the store.")] = "",
    newer_than: Annotated[
        str,
        typer.Option(
            metavar="AGE|DATE", help="To a folder: files since then first (1y, 30d, 2026-01-31), then the rest."
        ),
    ] = "",
    background: Annotated[
        bool, typer.Option("--background", help="With --newer-than: the rest by a process that survives this one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, write nothing.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the record. Needed to touch production.")] = "",
    confirm: Annotated[str, typer.Option(help="The system's name once more; needed to touch production.")] = "",
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="original: end other people's sessions for the swap.")
    ] = False,
    accept_failed: Annotated[
        bool, typer.Option("--accept-failed-checks", help="original: put it in place although a check failed.")
    ] = False,
    undo: Annotated[str, typer.Option(metavar="RUN", help="Put back what that restore to original set aside.")] = "",
    finish: Annotated[
        str, typer.Option(metavar="RUN", help="End a broken-off restore to original, or check it once its server runs.")
    ] = "",
    occasion: Annotated[OccasionKind | None, typer.Option(help="What the record calls it.")] = None,
    fault_at: Annotated[str, FAULT] = "",
    noticed_at: Annotated[str, NOTICED] = "",
    accepted_at: Annotated[str, ACCEPTED] = "",
    decided_at: Annotated[str, DECIDED] = "",
) -> None:
    """Bring a system back, verify it, and seal evidence of it. On a terminal, what is not said is asked.

    Only targets that the site file allows (restore.allow) are written to. Nothing is ever written over: to original, what
    is there is set aside under another name, kept, and put back with --undo RUN.
    """
    from drmgr.cli.restoring.interview import answered
    from drmgr.flows import restore as flow
    from drmgr.flows import restoreplan as plans
    from drmgr.flows.original import ToOriginal

    times = (fault_at, noticed_at, accepted_at, decided_at)
    if table:
        from drmgr.cli.restoring.tables import Asked, lay

        asked = Asked(system, tuple(table), source, to, point, at, keep, from_copy, (reason, confirm), occasion, times)
        others = (newer_than, background, end_sessions, accept_failed, undo, finish)
        lay(context, asked, dry_run=dry_run, alone=not any(others))
        return
    answers = output(context)
    if undo or finish:
        end(context, system, undo, finish, sure=(reason, confirm), end_sessions=end_sessions, times=times)
        return
    given = Wanted(system, to, point, at, tuple(source or ()), from_copy, reason, confirm, end_sessions, fault_at)
    incident = occasion in (None, OccasionKind.INCIDENT)
    wanted = answered(context, given, dry_run=dry_run, incident=incident)
    system, to, at, reason = wanted.system, wanted.to, wanted.at, wanted.reason
    with site(context) as opened, answers.progress() as progress:
        opened.loaded.job(system)
        chosen = wanted.sources
        where = _ordered(opened, target(opened, system, to, chosen, keep), newer_than, answers, background=background)
        if isinstance(where, ToOriginal):
            where = replace(where, end_sessions=wanted.end_sessions, accept_failed=accept_failed)
        production = isinstance(where, plans.ToConnection | ToOriginal)
        if production and not dry_run:
            insist(system, reason, wanted.confirm)
        times = (wanted.fault_at, *times[1:])
        told, kind = incident_of(opened, times, occasion, production=production)
        plan = gone_on_with(opened, plans.RestorePlan(wanted.point, where, chosen, reason, kind, at, told), system)
        left = left_of(plan)
        if left is not None and background and not dry_run:
            _only_rest(answers, opened, start(opened, config_path(context), left, reason))
            return
        copy = from_copy or ("" if left is None else left.copy)
        bench, wired = opened.bench(progress), opened.system(system, cold=True, copy=copy)
        if dry_run:
            plan_told = forecast(opened, bench, wired, plan)
            answers.answer(forecast_json(plan_told), lambda console: show_dry_run(console, opened, plan_told))
            return
        done = flow.restore(bench, wired, plan)
        unkept = keep_safe(opened)
        rest = None if done.rest is None else start(opened, config_path(context), done.rest, reason)
    document = {**done_json(system, done, at), "rest": None if rest is None else rest_json(rest, at_work=True)}
    answers.answer(document, lambda console: show_done(console, done))
    if done.rest is not None and rest is None:
        answers.note(f"drmgr: {NOT_BEGUN}. HINT: {NOT_BEGUN_HINT}")
        raise typer.Exit(IncompleteError.exit_code)
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    if done.record.verdict != "passed":
        raise typer.Exit(4)


def _ordered(opened: "Site", where: "Target", newer_than: str, answers: "Output", *, background: bool) -> "Target":
    if background and not newer_than:
        raise UsageError("--background is for what --newer-than leaves for later", hint="add --newer-than AGE|DATE")
    return newest_first(opened, where, newer_than, answers, background=background) if newer_than else where


def _only_rest(answers: "Output", opened: "Site", rest: "Rest | None") -> None:
    """The newest files are there already: all that was done is to go on with the rest."""
    if rest is None:
        raise IncompleteError(NOT_BEGUN, hint=NOT_BEGUN_HINT)
    told = rest_json(rest, at_work=True)
    document = {"run": rest.worker, "system": rest.system, "status": "running", "target": told["target"], "rest": told}
    answers.answer(document, lambda console: console.print(rest_text(rest, opened.zone, at_work=True), markup=False))
