"""``drmgr backup``."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.safekeeping import keep_safe
from drmgr.errors import DrmgrError, IncompleteError
from drmgr.model import Json, RunKind

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wire import Site
    from drmgr.flows.backup import BackupDone
    from drmgr.flows.bench import Bench
    from drmgr.model import Run


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


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
        unkept = keep_safe(opened) if sealed else None
    answers.answer({"runs": [_run_json(*result) for result in results]}, lambda console: _show(console, results))
    for note in [note for _, done in results if not isinstance(done, Failed) for note in done.notes]:
        answers.note(f"drmgr: {note}")
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
                "consistent_at": rfc3339(member.consistent_at),
            }
            for member in done.point.members
        ],
        "notes": list(done.notes),
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
