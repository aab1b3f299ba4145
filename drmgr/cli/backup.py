"""``drmgr backup`` and ``drmgr points``."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import DrmgrError, IncompleteError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wire import Site
    from drmgr.flows.backup import BackupDone
    from drmgr.flows.bench import Bench
    from drmgr.flows.points import Found


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
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            try:
                results = list(pool.map(lambda name: _one(opened, bench, name), names))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                opened.runner.stop_all()
                raise
    answers.answer({"runs": [_run_json(*result) for result in results]}, lambda console: _show(console, results))
    errors = [error for _, _, error in results if error]
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code if len(results) == 1 else IncompleteError.exit_code)
    if any(done and done.status != "ok" for _, done, _ in results):
        raise typer.Exit(IncompleteError.exit_code)


Result = tuple[str, "BackupDone | None", DrmgrError | None]


def _one(opened: "Site", bench: "Bench", name: str) -> Result:
    from drmgr.flows.backup import backup as run_backup

    try:
        return name, run_backup(bench, opened.system(name)), None
    except DrmgrError as error:
        return name, None, error


def _run_json(name: str, done: "BackupDone | None", error: DrmgrError | None) -> Json:
    from drmgr.flows.bench import error_json
    from drmgr.system.clock import rfc3339

    if done is None:
        fields = ("run", "recovery_point", "started_at", "finished_at")
        failed = error_json(error) if error else None
        return {"system": name, "status": "failed", **dict.fromkeys(fields), "sources": [], "error": failed}
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
    for name, done, _ in results:
        if done is None:
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
    from drmgr.cli.ship import reachable, reachable_json, show_reachable
    from drmgr.flows.points import find

    answers = output(context)
    with site(context) as opened:
        job = opened.loaded.job(system)
        found = find(opened.repository(job.system), opened.catalog, job.system)
        zone = opened.zone
        times = reachable(opened, job, found)
    document = {**_points_json(system, found), **reachable_json(times)}

    def show(console: "Console") -> None:
        _show_points(console, found, zone)
        show_reachable(console, times, zone)

    answers.answer(document, show)
    if found.problems:
        for problem in found.problems:
            answers.note(f"drmgr: {problem}")
        raise typer.Exit(4)


def _points_json(system: str, found: "Found") -> Json:
    from drmgr.system.clock import rfc3339

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
                "protected_until": None,
            }
            for sealed in found.points
        ],
        "pitr": None,
        "problems": list(found.problems),
    }


def _show_points(console: "Console", found: "Found", zone: Json) -> None:
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
