"""The rest of a restore: found again by the command that began it, and gone on with by a process that survives the terminal."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.errors import UsageError
from drmgr.model import NOTHING_TOLD, Json, RunKind, RunStatus
from drmgr.system.command import Command

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.restoreplan import RestorePlan, ToFolder
    from drmgr.model import Rest

BEGIN_SECONDS = 60.0
"""How long the other process may take until it is at work."""

POLL_SECONDS = 0.1


def begun(opened: "Site", system: str, target: Path) -> "Rest | None":
    """What an earlier command left to do for that folder. A note of a folder that is gone is struck out."""
    for rest in opened.rest_book.all():
        if (rest.system, rest.target) == (system, target):
            if _there(rest):
                return rest
            opened.rest_book.strike(rest)
    return None


def unfinished(opened: "Site", system: str) -> list[tuple["Rest", bool]]:
    """Restores of that system whose rest is still to come, and whether a run is at work on it."""
    found = [rest for rest in opened.rest_book.all() if rest.system == system and _there(rest)]
    if not found:
        return []
    # those of dead processes were closed when the catalog was opened
    runs = opened.catalog.runs(system, RunKind.RESTORE)
    at_work = {run.id for run in runs if run.status is RunStatus.RUNNING}
    return [(rest, rest.worker in at_work) for rest in found]


def _there(rest: "Rest") -> bool:
    from drmgr.flows.tofolder import FolderTarget

    return rest.target.exists() or FolderTarget(rest.target).partial.exists()


def going_on(plan: "RestorePlan", where: "ToFolder", left: "Rest") -> "RestorePlan":
    """The plan to bring the rest; what people told of the fault when it was begun is told of the rest too.

    Raises UsageError when the command asks for something else than was begun.
    """
    from drmgr.flows.incident import refuse_disorder

    another_point = plan.point != "latest" and not left.point.startswith(plan.point)
    if another_point or set(plan.sources) != set(left.sources):
        raise UsageError(
            f"{where.path} holds the newest files of a restore that is not finished, and this command asks for another one",
            hint="name the same sources and point as before, or restore to another folder",
        )
    assert where.newest is not None
    newest = replace(where.newest, since=left.since, left=left)
    told, occasion = left.told.then(plan.told), plan.occasion if plan.told != NOTHING_TOLD else left.occasion
    refuse_disorder(told, left.t0)
    target = replace(where, newest=newest)
    return replace(plan, point=left.point, sources=left.sources, target=target, told=told, occasion=occasion)


def start(opened: "Site", config: Path, rest: "Rest", reason: str) -> "Rest | None":
    """Starts the process that brings the rest; what it noted once it was at work, None when it did not get that far."""
    from drmgr.cli.scheduling.install import environment_secrets

    argv = [
        sys.executable,
        "-m",
        "drmgr.cli.main",
        "--config",
        str(config.absolute()),
        "--json",
        "restore",
        rest.system,
    ]
    argv += ["--to", f"folder:{rest.target}", "--newer-than", f"{rest.since:%Y-%m-%d}"]
    argv += ["--from-copy", rest.copy] if rest.copy else []
    argv += ["--reason", reason] if reason else []
    argv += [word for source in rest.sources for word in ("--source", source)]
    kept = {name for name in (*environment_secrets(opened), "SUDO_USER", "LOGNAME", "USER") if name in os.environ}
    env = {name: os.environ[name] for name in kept}
    pid = opened.runner.start_daemon(Command(tuple(argv), env), opened.rest_book.log(rest))
    waited = opened.clock.monotonic()
    while opened.clock.monotonic() - waited < BEGIN_SECONDS:
        noted = next((each for each in opened.rest_book.all() if each.run == rest.run), None)
        if noted is None:
            # it has come already
            return rest
        if noted.worker != rest.worker:
            return noted
        if not Path(f"/proc/{pid}").exists():
            return None
        opened.clock.sleep(POLL_SECONDS)
    return None


def rest_json(rest: "Rest", *, at_work: bool) -> Json:
    from drmgr.system.clock import rfc3339

    return {
        "run": rest.run,
        "worker": rest.worker,
        "point": rest.point,
        "target": f"folder:{rest.target}",
        "state": "running" if at_work else "interrupted",
        "newer_than": rfc3339(rest.since),
        "usable_at": rfc3339(rest.t5) if rest.t5 else None,
        "to_come": list(rest.later),
    }


def show_unfinished(console: "Console", found: list[tuple["Rest", bool]], zone: "tzinfo") -> None:
    for rest, at_work in found:
        console.print(rest_text(rest, zone, at_work=at_work), style="" if at_work else "red", markup=False)


def rest_text(rest: "Rest", zone: "tzinfo", *, at_work: bool) -> str:
    from drmgr.cli.output import human_time

    usable = f"usable since {human_time(rest.t5, zone)}" if rest.t5 else "there"
    how = "the rest is on its way" if at_work else "the rest was interrupted: call the same command again"
    return f"restore to {rest.target}: files since {rest.since.astimezone(zone):%Y-%m-%d} are {usable}; {how}"
