"""``drmgr backup``."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.points import Judged
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.scheduling.due import held_json, run_due, show_held, slot
from drmgr.errors import DrmgrError, IncompleteError, UsageError
from drmgr.model import Json, RunKind

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.backup import BackupDone
    from drmgr.flows.bench import Bench, ProgressFor
    from drmgr.flows.due import Decision
    from drmgr.model import Run

BENCH_ONCE = threading.Lock()


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


def backup(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems to back up.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every system, by tier.")] = False,
    due: Annotated[bool, typer.Option("--due", help="What the schedules in jobs/ ask for now; often nothing.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many systems at the same time; default 1, with --due the site's limit."),
    ] = None,
) -> None:
    """Make recovery points.

    Exit 0: all sealed, or nothing was due. 3: some part could not be read, or some of several systems failed. One
    system that fails gives its own error's code.
    """
    answers = output(context)
    held: list[Decision] = []
    with site(context) as opened, answers.progress() as progress:
        if due:
            results, held = _due(opened, systems or [], progress, everything=everything, jobs=jobs)
        else:
            names = opened.systems(systems or [], everything=everything)
            results = _all(opened, opened.bench(progress), names, jobs or 1)
        sealed = any(not isinstance(done, Failed) for _, done in results)
        unkept = keep_safe(opened) if sealed else None
        zone = opened.zone
    document = {"runs": [_run_json(*result) for result in results], "waiting": held_json(held)}
    answers.answer(document, lambda console: _show_all(console, results, held, zone))
    for note in [note for _, done in results if not isinstance(done, Failed) for note in done.notes]:
        answers.note(f"drmgr: {note}")
    _end(answers, results, unkept)


def _due(
    opened: "Site", named: list[str], progress: "ProgressFor", *, everything: bool, jobs: int | None
) -> "tuple[list[Result], list[Decision]]":
    if named or everything:
        raise UsageError("--due decides itself which systems it takes")
    bench: list[Bench] = []

    def act(name: str) -> Result:
        # made for the first that is due: mostly nothing is, and then it would cost a start of restic for nothing
        with BENCH_ONCE:
            if not bench:
                bench.append(opened.bench(progress))
        return _one(opened, bench[0], name)

    return run_due(opened, RunKind.BACKUP, act, jobs=jobs or opened.config.schedule.parallel)


def _end(answers: "Output", results: "list[Result]", unkept: DrmgrError | None) -> None:
    """Tells the errors, and leaves with the exit code that fits."""
    errors = [done.error for _, done in results if isinstance(done, Failed)]
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code if len(results) == 1 else IncompleteError.exit_code)
    unread = sum(
        member.unreadable for _, done in results if not isinstance(done, Failed) for member in done.point.members
    )
    if any(not isinstance(done, Failed) and done.status != "ok" for _, done in results):
        if not answers.wants_json:
            answers.error(IncompleteError(f"{unread} files or folders could not be read"))
        raise typer.Exit(IncompleteError.exit_code)
    if unkept is not None:
        answers.note(f"drmgr: the backup is sealed, but: {unkept.message}")
        raise typer.Exit(unkept.exit_code)


@dataclass(frozen=True)
class Failed:
    """A backup that made no recovery point; ``run`` None: it failed before it could be recorded."""

    error: DrmgrError
    run: "Run | None"


Result = tuple[str, "BackupDone | Failed"]


def _all(opened: "Site", bench: "Bench", names: list[str], jobs: int) -> list[Result]:
    if jobs == 1 or len(names) == 1:
        # in the main thread: that is where a signal arrives, so it ends whatever is under way there
        return [_by_hand(opened, bench, name) for name in names]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            return list(pool.map(lambda name: _by_hand(opened, bench, name), names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            opened.runner.stop_all()
            raise


def _by_hand(opened: "Site", bench: "Bench", name: str) -> Result:
    with slot(opened):
        return _one(opened, bench, name)


def _one(opened: "Site", bench: "Bench", name: str) -> Result:
    from drmgr.flows.backup import backup as run_backup

    try:
        return name, run_backup(bench, opened.system(name))
    except DrmgrError as error:
        if error.run is None:
            return name, Failed(error, None)
        runs = bench.catalog.runs(name, RunKind.BACKUP)
        return name, Failed(error, next((run for run in runs if run.id == error.run), None))


def _failed_json(name: str, failed: Failed) -> Json:
    from drmgr.flows.bench import error_json
    from drmgr.system.clock import rfc3339

    run = failed.run
    return {
        "run": run.id if run else None,
        "system": name,
        "status": "failed",
        "recovery_point": None,
        "started_at": rfc3339(run.started_at) if run else None,
        "finished_at": rfc3339(run.finished_at) if run and run.finished_at else None,
        "sources": [],
        "error": error_json(failed.error),
    }


def _run_json(name: str, done: "BackupDone | Failed") -> Json:
    from drmgr.system.clock import rfc3339

    if isinstance(done, Failed):
        return _failed_json(name, done)
    return {
        "run": done.run,
        "system": name,
        "status": str(done.status),
        "recovery_point": done.point.id,
        "started_at": rfc3339(done.started_at),
        "finished_at": rfc3339(done.finished_at),
        "consistent_at": rfc3339(done.point.consistent_at),
        "sources": [
            {
                "name": member.source,
                "snapshot": member.snapshot,
                "bytes_processed": member.bytes,
                "bytes_added": member.bytes_added,
                "seconds": round(member.seconds, 3),
                "facts_seconds": round(member.facts.seconds, 3),
                "unreadable": member.unreadable,
                "consistent_at": rfc3339(member.consistent_at),
            }
            for member in done.point.members
        ],
        "notes": list(done.notes),
        "suspicion": Judged(frozenset(), {}).document(done.point),
        "error": None,
    }


def _show_all(console: "Console", results: list[Result], held: "list[Decision]", zone: Json) -> None:
    if results:
        _show(console, results)
    # cron sends what is printed by mail: when nothing was due nothing is said
    show_held(zone, console, held if results else [])


def _show(console: "Console", results: list[Result]) -> None:
    from drmgr.cli.output import human_bytes, human_seconds, table

    rows = []
    for name, done in results:
        if isinstance(done, Failed):
            rows.append([name, "failed", "-", "-", "-", "-"])
            continue
        for member in done.point.members:
            cost = human_seconds(member.seconds)
            added = human_bytes(member.bytes_added)
            rows.append(
                [f"{name}/{member.source}", str(done.status), done.point.id, human_bytes(member.bytes), added, cost]
            )
    table(console, ["source", "status", "recovery point", "read", "stored", "time"], rows)
