"""``drmgr points``."""

from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.repo_copy import Copies
    from drmgr.flows.horizon import Horizon
    from drmgr.flows.points import Found


def register(app: typer.Typer) -> None:
    app.command("points")(points)


def points(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system.")],
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="Those of this copy.")] = "",
) -> None:
    """List the recovery points of a system, as its repository itself tells them, and what its copies hold."""
    from drmgr.cli.background import rest_json, show_unfinished, unfinished
    from drmgr.cli.protection import protected_until
    from drmgr.cli.repo_copy import ask_copies
    from drmgr.cli.ship import reachable, reachable_json, show_reachable
    from drmgr.flows.points import find

    answers = output(context)
    with site(context) as opened:
        job = opened.loaded.job(system)
        if from_copy:
            repository, memory = opened.cared(job.system, from_copy), opened.care_book.memory(from_copy)
            found = find(repository, memory, job.system)
        else:
            found = find(opened.repository(job.system), opened.catalog, job.system)
        locked = None if from_copy else protected_until(opened, job.system)
        copies, zone = ask_copies(opened, job.system), opened.zone
        times = reachable(opened, job, found, from_copy)
        rests = unfinished(opened, job.system)
    problems = [*found.problems, *(locked.problems if locked else ())]
    problems += [problem for held in copies.held.values() if held for problem in held.problems]
    document = {**_points_json(system, found, locked, copies, problems), **reachable_json(times)}
    document["restores"] = [rest_json(rest, at_work=at_work) for rest, at_work in rests]

    def show(console: "Console") -> None:
        _show_points(console, found, locked, copies, zone)
        show_reachable(console, times, zone)
        show_unfinished(console, rests, zone)

    answers.answer(document, show)
    for name, error in copies.errors.items():
        answers.note(f"drmgr: the copy {name} cannot be asked: {error.message}")
    for problem in problems:
        answers.note(f"drmgr: {problem}")
    if problems:
        raise typer.Exit(4)


def _points_json(
    system: str, found: "Found", locked: "Horizon | None", copies: "Copies", problems: list[str]
) -> dict[str, Json]:
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
                "copies": copies.with_point(sealed),
                "protected_until": until,
            }
            for sealed in found.points
        ],
        "copies": copies.document(),
        "pitr": None,
        "problems": problems,
    }


def _show_points(
    console: "Console", found: "Found", locked: "Horizon | None", copies: "Copies", zone: "tzinfo"
) -> None:
    from drmgr.cli.output import human_bytes, human_time, table
    from drmgr.cli.repo_copy import lag_text

    headings = ["recovery point", f"consistent at ({zone})", "status", "sources", "size"]
    rows = [
        [
            sealed.point.id,
            human_time(sealed.point.consistent_at, zone),
            str(sealed.point.status),
            ", ".join(member.source for member in sealed.point.members),
            human_bytes(sum(member.bytes for member in sealed.point.members)),
            *([" ".join(copies.with_point(sealed)) or "-"] if copies.held else []),
        ]
        for sealed in found.points
    ]
    table(console, [*headings, *(["copies"] if copies.held else [])], rows)
    if locked is not None and found.points:
        until = human_time(locked.until, zone) if locked.until else "not protected"
        console.print(f"nothing they need can be deleted until: {until}", markup=False)
    for name, held in copies.held.items():
        what = "cannot be asked" if held is None else f"{len(held.points)} points, lag / RPO {lag_text(held)}"
        late = held is None or not held.met
        console.print(f"copy {name}: {what}", style="red" if late else "", markup=False)
