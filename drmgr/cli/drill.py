"""``drmgr drill run`` and ``drmgr drill list``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.report import Language, report_path, write_report
from drmgr.cli.restore import check_json
from drmgr.errors import ConfigError, ObjectiveMissedError, UsageError
from drmgr.model import Json, Level, RunKind, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wire import Site
    from drmgr.flows.drill import DrillDone
    from drmgr.model import Measure, Outcome, Run


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Play drills: restore on scratch, check, measure, seal evidence.", no_args_is_help=True)
    group.command("run")(run)
    group.command("list")(list_drills)
    app.add_typer(group, name="drill")


def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Drills to play.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every drill.")] = False,
    lang: Annotated[Language, typer.Option(help="Language of the report.")] = "zh",
) -> None:
    """Play drills.

    Exit 0: all passed. 4: a check or an objective failed. Another code: the drill could not be played, for that reason.
    """
    from drmgr.flows.drill import drill

    answers = output(context)
    played: list[tuple[DrillDone, Path]] = []
    with site(context) as opened, answers.progress() as progress:
        bench = opened.bench(progress)
        for name in _names(opened, names or [], everything=everything):
            done = drill(bench, _plan(opened, name))
            report = report_path(opened, Path(done.evidence.path), "drill", lang, None)
            played.append((done, write_report(opened, Path(done.evidence.path), "drill", lang, report)))
    answers.answer(
        {"drills": [_drill_json(done, report) for done, report in played]}, lambda console: show(console, played)
    )
    code = exit_code([done for done, _ in played])
    if code:
        raise typer.Exit(code)


def exit_code(played: "list[DrillDone]") -> int:
    """0 when all passed, 4 when something was proven not to hold, else the code of what kept us from proving."""
    verdicts = {done.record.verdict for done in played}
    if verdicts == {Verdict.PASSED}:
        return 0
    if Verdict.FAILED not in verdicts:
        for done in played:
            for outcome in done.record.outcomes:
                if outcome.error:
                    return int(outcome.error["exit_code"])
    return ObjectiveMissedError.exit_code


def _names(opened: "Site", names: list[str], *, everything: bool) -> list[str]:
    if bool(names) == everything:
        raise UsageError("name the drills, or say --all")
    if everything and not opened.loaded.drills:
        raise ConfigError("there is no drill", hint="write one file per drill into drills/")
    return sorted(opened.loaded.drills) if everything else [opened.loaded.drill(name).drill for name in names]


def _plan(opened: "Site", name: str) -> Json:
    from drmgr.config.models import text_of
    from drmgr.flows.drill import DrillPlan

    declared = opened.loaded.drill(name)
    return DrillPlan(
        name=declared.drill,
        title=text_of(declared.title),
        scenario=declared.scenario,
        form=declared.form,
        systems=tuple(opened.system(system, cold=True) for system in declared.systems),
        point=declared.point,
        level=Level(declared.level),
        approval=declared.approval,
    )


def _drill_json(done: "DrillDone", report: Path) -> Json:
    record = done.record
    return {
        "run": record.run,
        "drill": record.name,
        "scenario": record.scenario,
        "verdict": str(record.verdict),
        "level": int(record.level),
        "systems": [_outcome_json(outcome) for outcome in record.outcomes],
        "evidence": done.evidence.path,
        "report": str(report),
    }


def _outcome_json(outcome: "Outcome") -> Json:
    return {
        "system": outcome.system.id,
        "point": outcome.point.id if outcome.point else None,
        "verdict": str(outcome.verdict),
        "level": int(outcome.level),
        "rto": _measure_json(outcome.rto),
        "rpo": _measure_json(outcome.rpo),
        "checks": [check_json(check) for check in outcome.checks],
        "error": outcome.error,
    }


def _measure_json(measure: "Measure") -> Json:
    return {"target": measure.target, "measured": measure.measured, "met": measure.met}


def show(console: "Console", played: "list[tuple[DrillDone, Path]]") -> None:
    """The drills for people: what was reached, what was wrong, and where the papers lie."""
    from drmgr.cli.output import human_seconds, table

    rows = [
        [
            outcome.system.id,
            outcome.point.id if outcome.point else "-",
            str(int(outcome.level)),
            f"{human_seconds(outcome.rto.measured)} / {human_seconds(outcome.rto.target)}",
            f"{human_seconds(outcome.rpo.measured)} / {human_seconds(outcome.rpo.target)}",
            str(outcome.verdict),
        ]
        for done, _ in played
        for outcome in done.record.outcomes
    ]
    table(console, ["system", "recovery point", "level", "RTO / target", "RPO / target", "verdict"], rows)
    for done, report in played:
        for outcome in done.record.outcomes:
            _show_trouble(console, outcome)
        console.print(f"evidence  {done.evidence.path}", markup=False, soft_wrap=True)
        console.print(f"report    {report}", markup=False, soft_wrap=True)


def _show_trouble(console: "Console", outcome: "Outcome") -> None:
    system = outcome.system.id
    if outcome.error:
        console.print(f"{system}: {outcome.error['message']}", style="red", markup=False)
        console.print(f"HINT: {outcome.error['hint']}", markup=False)
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
