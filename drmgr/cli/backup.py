"""``drmgr backup`` and ``drmgr points``."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import anchor_daily
from drmgr.cli.context import output, site
from drmgr.errors import DrmgrError, IncompleteError
from drmgr.model import Json, RunKind

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console

    from drmgr.cli.wire import Site
    from drmgr.flows.backup import BackupDone
    from drmgr.flows.bench import Bench
    from drmgr.flows.horizon import Horizon
    from drmgr.flows.points import Found
    from drmgr.model import Run


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("points")(points)


def backup(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems to back up.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every system, by tier.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="How many systems at the same time.")] = 1,
) -> None:
    """Make recovery points.

    Exit 0: all sealed. 3: some part could not be read, or some of several systems failed. One system that fails gives
    its own error's code.
    """
    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        names = opened.systems(systems or [], everything=everything)
        bench = opened.bench(progress)
        results = _all(opened, bench, names, jobs)
        sealed = any(not isinstance(done, Failed) for _, done in results)
        unanchored = anchor_daily(opened) if sealed else None
    answers.answer({"runs": [_run_json(*result) for result in results]}, lambda console: _show(console, results))
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
    if unanchored is not None:
        answers.note(f"drmgr: the backup is sealed, but: {unanchored.message}")
        raise typer.Exit(unanchored.exit_code)


@dataclass(frozen=True)
class Failed:
    """A backup that made no recovery point; ``run`` None: it failed before it could be recorded."""

    error: DrmgrError
    run: "Run | None"


Result = tuple[str, "BackupDone | Failed"]


def _all(opened: "Site", bench: "Bench", names: list[str], jobs: int) -> list[Result]:
    if jobs == 1 or len(names) == 1:
        # in the main thread: that is where a signal arrives, so it ends whatever is under way there
        return [_one(opened, bench, name) for name in names]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            return list(pool.map(lambda name: _one(opened, bench, name), names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            opened.runner.stop_all()
            raise


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
            }
            for member in done.point.members
        ],
        "error": None,
    }


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


def points(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system.")],
) -> None:
    """List the recovery points of a system, as its repository itself tells them."""
    from drmgr.cli.protection import protected_until
    from drmgr.cli.ship import reachable, reachable_json, show_reachable
    from drmgr.flows.points import find

    answers = output(context)
    with site(context) as opened:
        job = opened.loaded.job(system)
        found = find(opened.repository(job.system), opened.catalog, job.system)
        locked = protected_until(opened, job.system)
        zone = opened.zone
        times = reachable(opened, job, found)
    problems = [*found.problems, *(locked.problems if locked else ())]
    document = {**_points_json(system, found, locked, problems), **reachable_json(times)}

    def show(console: "Console") -> None:
        _show_points(console, found, locked, zone)
        show_reachable(console, times, zone)

    answers.answer(document, show)
    if problems:
        for problem in problems:
            answers.note(f"drmgr: {problem}")
        raise typer.Exit(4)


def _points_json(system: str, found: "Found", locked: "Horizon | None", problems: list[str]) -> Json:
    from drmgr.system.clock import rfc3339

    until = rfc3339(locked.until) if locked and locked.until else None

    return {
        "system": system,
        "points": [
            {
                "id": sealed.point.id,
                "status": str(sealed.point.status),
                "created_at": rfc3339(sealed.point.created_at),
                "consistent_at": rfc3339(sealed.point.consistent_at),
                "sources": [
                    {
                        "name": member.source,
                        "engine": member.engine,
                        "snapshot": member.snapshot,
                        "bytes": member.bytes,
                        "consistent_at": rfc3339(member.consistent_at),
                    }
                    for member in sealed.point.members
                ],
                "copies": [],
                "protected_until": until,
            }
            for sealed in found.points
        ],
        "pitr": None,
        "problems": problems,
    }


def _show_points(console: "Console", found: "Found", locked: "Horizon | None", zone: "tzinfo") -> None:
    from drmgr.cli.output import human_bytes, human_time, table

    rows = [
        [
            sealed.point.id,
            human_time(sealed.point.consistent_at, zone),
            str(sealed.point.status),
            ", ".join(member.source for member in sealed.point.members),
            human_bytes(sum(member.bytes for member in sealed.point.members)),
        ]
        for sealed in found.points
    ]
    table(console, ["recovery point", f"consistent at ({zone})", "status", "sources", "size"], rows)
    if locked is not None and found.points:
        until = human_time(locked.until, zone) if locked.until else "not protected"
        console.print(f"nothing they need can be deleted until: {until}", markup=False)
