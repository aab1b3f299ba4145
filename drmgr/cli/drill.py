"""``drmgr drill run`` and ``drmgr drill list``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.reports.report import Language, report_path, write_report
from drmgr.cli.restoring.restored import check_json, times_json
from drmgr.cli.scheduling.due import held_json, run_due, show_held, slot
from drmgr.errors import ConfigError, DrmgrError, ObjectiveMissedError, UsageError
from drmgr.model import Json, Level, RunKind, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.drill import DrillDone, DrillPlan
    from drmgr.flows.due import Decision
    from drmgr.model import DrillRecord, Measure, Outcome, Run

SHOWN_ID = 14
"""Characters of a point's id that name it well enough: --point takes a part too, and the row fits 80 columns."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Play drills: restore on scratch, check, measure, seal evidence.", no_args_is_help=True)
    group.command("run")(run)
    group.command("list")(list_drills)
    app.add_typer(group, name="drill")


def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Drills to play.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every drill.")] = False,
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="From this copy of the store.")] = "",
    due: Annotated[
        bool, typer.Option("--due", help="What the schedules in drills/ ask for now; often nothing.")
    ] = False,
    lang: Annotated[Language, typer.Option(help="Language of the report.")] = "zh",
) -> None:
    """Play drills.

    Exit 0: all passed, or nothing was due. 4: a check or an objective failed. Another code: the drill could not be
    played, for that reason.
    """
    from drmgr.flows.drill import drill

    answers = output(context)
    held: list[Decision] = []
    with site(context) as opened, answers.progress() as progress:
        if due:
            if names or everything or from_copy:
                raise UsageError("--due decides itself which drills it plays, and from the store itself")

            def play_due(name: str) -> Played:
                bench = opened.bench(progress)
                return _play(opened, name, lang, lambda plan: drill(bench, plan))

            played, held = run_due(opened, RunKind.DRILL, play_due)
        else:
            bench = opened.bench(progress)
            wanted = _names(opened, names or [], everything=everything)
            played = [_by_hand(opened, name, lang, lambda plan: drill(bench, plan), from_copy) for name in wanted]
        unkept = keep_safe(opened) if played else None
        zone = opened.zone

    def show_played(console: "Console") -> None:
        if played:
            show(console, played)
            show_held(zone, console, held)

    document = {"drills": [_drill_json(each) for each in played], "waiting": held_json(held)}
    answers.answer(document, show_played)
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    code = (exit_code(played) if played or not due else 0) or (unkept.exit_code if unkept else 0)
    if code:
        raise typer.Exit(code)


def _by_hand(
    opened: "Site", name: str, lang: Language, act: "Callable[[DrillPlan], DrillDone]", from_copy: str
) -> "Played":
    with slot(opened):
        return _play(opened, name, lang, act, from_copy)


@dataclass(frozen=True)
class Played:
    """One drill: what it came to (None: it could not be played), its report, and the error that stopped either."""

    name: str
    done: "DrillDone | None" = None
    report: Path | None = None
    error: DrmgrError | None = None


def _play(
    opened: "Site", name: str, lang: Language, act: "Callable[[DrillPlan], DrillDone]", from_copy: str = ""
) -> Played:
    """An error of one drill must not hide what the others came to, nor that of a report the verdict."""
    try:
        done = act(_plan(opened, name, from_copy))
    except DrmgrError as error:
        return Played(name, error=error)
    envelope = Path(done.evidence.path)
    try:
        report = write_report(opened, envelope, "drill", lang, report_path(opened, envelope, "drill", lang, None))
    except DrmgrError as error:
        return Played(name, done, error=error)
    return Played(name, done, report)


def exit_code(played: list[Played]) -> int:
    """0 when all passed, 4 when something was proven not to hold, else the code of what kept us from proving."""
    records = [each.done.record for each in played if each.done]
    verdicts = {record.verdict for record in records}
    if Verdict.FAILED in verdicts or not played:
        return ObjectiveMissedError.exit_code
    for each in played:
        if each.error:
            return each.error.exit_code
    if verdicts == {Verdict.PASSED}:
        return 0
    errors = [outcome.error for record in records for outcome in record.outcomes if outcome.error]
    return int(errors[0]["exit_code"]) if errors else ObjectiveMissedError.exit_code


def _names(opened: "Site", names: list[str], *, everything: bool) -> list[str]:
    if bool(names) == everything:
        raise UsageError("name the drills, or say --all")
    if everything and not opened.loaded.drills:
        raise ConfigError("there is no drill", hint="write one file per drill into drills/")
    return sorted(opened.loaded.drills) if everything else [opened.loaded.drill(name).drill for name in names]


def _plan(opened: "Site", name: str, from_copy: str) -> "DrillPlan":
    from drmgr.cli.wiring.checks import across_check
    from drmgr.config.models import text_of
    from drmgr.flows.drill import DrillPlan

    declared = opened.loaded.drill(name)
    copy = from_copy or declared.from_copy or ""
    systems = {system: opened.system(system, cold=True, copy=copy) for system in declared.systems}
    return DrillPlan(
        name=declared.drill,
        title=text_of(declared.title),
        scenario=declared.scenario,
        form=declared.form,
        systems=tuple(systems.values()),
        point=declared.point,
        level=Level(declared.level),
        approval=declared.approval,
        copy=copy,
        at=declared.at,
        limits=opened.limits(),
        across=tuple(across_check(check, systems, opened.row_key, opened.zone) for check in declared.across),
    )


def _drill_json(played: Played) -> Json:
    from drmgr.evidence.build import seconds_of_all
    from drmgr.flows.bench import error_json

    error = error_json(played.error) if played.error else None
    if played.done is None:
        run = played.error.run if played.error else None
        unknown = dict.fromkeys(("scenario", "level", "evidence", "report"))
        return {
            "run": run,
            "drill": played.name,
            "verdict": str(Verdict.ERROR),
            **unknown,
            "systems": [],
            "error": error,
        }
    record = played.done.record
    return {
        "run": record.run,
        "drill": record.name,
        "scenario": record.scenario,
        "verdict": str(record.verdict),
        "level": int(record.level),
        **seconds_of_all(record.outcomes),
        "systems": [_outcome_json(outcome) for outcome in record.outcomes],
        "evidence": played.done.evidence.path,
        "report": str(played.report) if played.report else None,
        "error": error,
    }


def _outcome_json(outcome: "Outcome") -> Json:
    from drmgr.system.clock import rfc3339

    return {
        "system": outcome.system.id,
        "point": outcome.point.id if outcome.point else None,
        "verdict": str(outcome.verdict),
        "level": int(outcome.level),
        "tier": outcome.system.tier,
        "depends_on": list(outcome.system.depends_on),
        **times_json(outcome.timeline),
        "brought_back": None if outcome.timeline.brought_back is None else rfc3339(outcome.timeline.brought_back),
        "rto": _measure_json(outcome.rto),
        "rpo": _measure_json(outcome.rpo),
        "checks": [check_json(check) for check in outcome.checks],
        "error": outcome.error,
    }


def _measure_json(measure: "Measure") -> Json:
    return {"target": measure.target, "measured": measure.measured, "met": measure.met}


def show(console: "Console", played: list[Played]) -> None:
    """The drills for people: what was reached, what was wrong, and where the papers lie."""
    from drmgr.cli.course import show_course
    from drmgr.cli.output import human_seconds, table

    rows = [
        [
            outcome.system.id,
            outcome.point.id[:SHOWN_ID] if outcome.point else "-",
            str(int(outcome.level)),
            f"{human_seconds(outcome.rto.measured)} / {human_seconds(outcome.rto.target)}",
            f"{human_seconds(outcome.rpo.measured)} / {human_seconds(outcome.rpo.target)}",
            str(outcome.verdict),
        ]
        for each in played
        if each.done
        for outcome in each.done.record.outcomes
    ]
    table(console, ["system", "recovery point", "level", "RTO / target", "RPO / target", "verdict"], rows)
    for each in played:
        if each.done:
            show_course(console, each.done.record.outcomes)
            _show_instants(console, each.done.record)
            for outcome in each.done.record.outcomes:
                _show_trouble(console, outcome)
            console.print(f"evidence  {each.done.evidence.path}", markup=False, soft_wrap=True)
        if each.report:
            console.print(f"report    {each.report}", markup=False, soft_wrap=True)
        if each.error:
            console.print(f"{each.name}: {each.error.message}", style="red", markup=False)
            console.print(f"HINT: {each.error.hint}", markup=False)


def _show_instants(console: "Console", record: "DrillRecord") -> None:
    """Of systems that were to go on from their points: to which instant each was brought."""
    from drmgr.cli.output import human_time
    from drmgr.evidence.times import zone_of
    from drmgr.flows.story import WITHOUT_LOGS

    went_on = any(o.point and o.timeline.brought_back != o.point.consistent_at for o in record.outcomes)
    left_behind = {o.system.id for o in record.outcomes for check in o.checks if check.name == WITHOUT_LOGS}
    if not (went_on or left_behind):
        return
    for outcome in record.outcomes:
        if outcome.timeline.brought_back is None:
            continue
        why = (
            ", of its newest recovery point before that: not every source ships logs"
            if outcome.system.id in left_behind
            else ""
        )
        instant = human_time(outcome.timeline.brought_back, zone_of(record.timezone))
        console.print(f"{outcome.system.id}: data of {instant}{why}", markup=False, soft_wrap=True)


def _show_trouble(console: "Console", outcome: "Outcome") -> None:
    from drmgr.cli.output import human_seconds

    system = outcome.system.id
    if outcome.error:
        console.print(f"{system}: {outcome.error['message']}", style="red", markup=False)
        console.print(f"HINT: {outcome.error['hint']}", markup=False)
    for name, measure in (("RTO", outcome.rto), ("RPO", outcome.rpo)):
        if measure.measured is not None and not measure.met:
            missed = f"{name} missed: {human_seconds(measure.measured)}, promised {human_seconds(measure.target)}"
            console.print(f"{system}: {missed}", style="red", markup=False)
    for check in outcome.checks:
        if check.status != "pass":
            what = check.message or f"expected {check.expected}, found {check.actual}"
            console.print(f"{system}: {check.name} {check.status}: {what}", style="red", markup=False)


def list_drills(context: typer.Context) -> None:
    """The drills of this site, and when each was last played."""
    answers = output(context)
    with site(context) as opened:
        rows = []
        for name, declared in sorted(opened.loaded.drills.items()):
            runs = opened.catalog.runs(name, RunKind.DRILL)
            last = runs[0] if runs else None
            rows.append((name, declared, last))
        zone = opened.zone
    document = [
        {
            "drill": name,
            "scenario": declared.scenario,
            "systems": list(declared.systems),
            "level": declared.level,
            "last_run": last.id if last else None,
            "last_run_at": last.started_at.isoformat() if last else None,
            "last_verdict": last.detail.get("verdict") if last else None,
        }
        for name, declared, last in rows
    ]

    def show_list(console: "Console") -> None:
        from drmgr.cli.output import human_time, table

        def when(last: "Run | None") -> str:
            return human_time(last.started_at, zone) if last else "never"

        table(
            console,
            ["drill", "scenario", "systems", "last played", "verdict"],
            [
                [
                    name,
                    drill.scenario,
                    " ".join(drill.systems),
                    when(last),
                    str(last.detail.get("verdict", last.status)) if last else "-",
                ]
                for name, drill, last in rows
            ],
        )

    answers.answer({"drills": document}, show_list)
