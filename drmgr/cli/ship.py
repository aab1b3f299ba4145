"""``drmgr ship``, and the times between recovery points that ``drmgr points`` shows."""

from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.scheduling.due import held_json, run_due
from drmgr.errors import DrmgrError, IncompleteError, UsageError
from drmgr.model import Json, RunKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job, Source
    from drmgr.flows.bench import Bench, ProgressFor
    from drmgr.flows.due import Decision
    from drmgr.flows.points import Found
    from drmgr.flows.reach import Window
    from drmgr.flows.ship_logs import Shipped


def register(app: typer.Typer) -> None:
    app.command("ship")(ship)


Result = tuple[str, str, "Shipped | None", DrmgrError | None]
Windows = dict[str, "tuple[Window, ...]"]


def ship(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped.")] = False,
    every: Annotated[str, typer.Option(help="How often, with --follow: 30s, 5m.")] = "5m",
    due: Annotated[bool, typer.Option("--due", help="What the schedules in jobs/ ask for now; often nothing.")] = False,
) -> None:
    """Ship what the sources have logged since the last time: point in time restore reaches that far.

    Fails as long as no recovery point reaches what is shipped; before the first point it only ships.

    PostgreSQL: makes a replication slot at its first call. The server keeps its log for the slot, so go on shipping, or
    drop the slot. SQL Server: takes a log backup; nothing else may take any. MariaDB: the server removes its log by its
    own rule, so ship more often than that.
    """
    answers = output(context)
    if due and (follow or systems):
        raise UsageError("--due decides itself which systems it takes, and when")
    with site(context) as opened, answers.progress() as progress:
        if due:
            results, held = _due(opened, progress)
            _answer(answers, results, held_json(held), opened.zone)
            return
        bench = opened.bench(progress)
        chosen = [source for name in _names(opened, systems or []) for source in _logged(opened, name)]
        if not chosen:
            raise UsageError(
                "no source has a log to ship",
                hint="method: physical (PostgreSQL, MariaDB) and ship_logs: true (SQL Server, MariaDB) have one",
            )
        if follow:
            _follow(opened, bench, chosen, every, answers.error)
            return
        results = [_one(opened, bench, system, source) for system, source in chosen]
    _answer(answers, results, [], opened.zone)


def _due(opened: "Site", progress: "ProgressFor") -> "tuple[list[Result], list[Decision]]":
    def act(name: str) -> list[Result]:
        bench = opened.bench(progress)
        return [_one(opened, bench, system, source) for system, source in _logged(opened, name)]

    results, held = run_due(opened, RunKind.SHIP, act)
    return [each for of_system in results for each in of_system], held


def _answer(answers: "Output", results: list[Result], held: Json, zone: tzinfo) -> None:
    """Tells what was done, and leaves with the exit code that fits."""
    document = {"shipped": [_json(*result) for result in results], "waiting": held}
    answers.answer(document, lambda console: _show(console, results, zone) if results else None)
    errors = [error for *_, error in results if error]
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code if len(results) == 1 else IncompleteError.exit_code)


def _names(opened: "Site", systems: list[str]) -> list[str]:
    return opened.systems(systems, everything=not systems)


def _logged(opened: "Site", system: str) -> "list[tuple[str, Source]]":
    job, wired = opened.loaded.job(system), opened.system(system)
    return [(system, source) for source in job.sources if wired.source(source.name).logs is not None]


def _one(opened: "Site", bench: "Bench", system: str, source: "Source") -> Result:
    from drmgr.flows.ship_logs import ship as run_ship

    wired = opened.system(system)
    try:
        return (
            system,
            source.name,
            run_ship(bench, wired, wired.source(source.name), opened.spool(system, source)),
            None,
        )
    except DrmgrError as error:
        return system, source.name, None, error


def _follow(
    opened: "Site",
    bench: "Bench",
    chosen: "list[tuple[str, Source]]",
    every: str,
    tell: "Callable[[DrmgrError], None]",
) -> None:
    from drmgr.config.values import parse_duration
    from drmgr.flows.ship_logs import follow

    try:
        pause = parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every {every}: {error}") from error

    def act() -> None:
        results = [_one(opened, bench, system, source) for system, source in chosen]
        errors = [error for *_, error in results if error]
        for error in errors[1:]:
            tell(error)
        if errors:
            raise errors[0]

    follow(bench, act, pause, tell)


def _json(system: str, source: str, done: "Shipped | None", error: DrmgrError | None) -> Json:
    from drmgr.flows.bench import error_json
    from drmgr.system.clock import rfc3339

    return {
        "run": done.run if done else None,
        "system": system,
        "source": source,
        "status": "ok" if error is None else "failed",
        "files": done.files if done else 0,
        "bytes": done.bytes if done else 0,
        "until": rfc3339(done.until) if done and done.until else None,
        "error": error_json(error) if error else None,
    }


def _show(console: "Console", results: list[Result], zone: tzinfo) -> None:
    from drmgr.cli.output import human_bytes, human_time, table

    rows = []
    for system, source, done, _ in results:
        until = human_time(done.until, zone) if done and done.until else "-"
        size = human_bytes(done.bytes) if done else "-"
        rows.append([f"{system}/{source}", "ok" if done else "failed", str(done.files) if done else "-", size, until])
    table(console, ["source", "status", "files", "size", f"restorable to before ({zone})"], rows)


def reachable(opened: "Site", job: "Job", found: "Found", copy: str = "") -> Windows:
    """The times between recovery points that can be restored, from a copy if one is named, for each source with a log."""
    from drmgr.flows.reach import windows
    from drmgr.flows.shipped import ranges_in

    wired = opened.system(job.system, copy=copy)
    names = [source.name for source in wired.sources if source.logs is not None]
    return {name: windows(found.points, ranges_in(found.snapshots, name), name) for name in names}


def reachable_json(times: Windows) -> Json:
    """``pitr`` is the newest window that all these sources have; ``pitr_windows`` are all of each source."""
    from drmgr.system.clock import rfc3339

    newest = [found[-1] for found in times.values() if found]
    common = None
    if newest and len(newest) == len(times):
        since, until = max(each.since for each in newest), min(each.newest for each in newest)
        common = {"from": rfc3339(since), "to": rfc3339(until)} if since < until else None
    every = {
        name: [{"from": rfc3339(each.since), "to": rfc3339(each.newest)} for each in found]
        for name, found in times.items()
    }
    return {"pitr": common, "pitr_windows": every}


def show_reachable(console: "Console", times: Windows, zone: Json) -> None:
    from drmgr.cli.output import human_time, table

    rows = [
        [name, human_time(each.since, zone), human_time(each.newest, zone)]
        for name, found in times.items()
        for each in found
    ]
    if rows:
        table(console, ["source", f"any time from ({zone})", "to"], rows)
