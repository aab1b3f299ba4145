"""``drmgr points``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.repositories.repo_copy import Copies
    from drmgr.flows.acceptance import Acceptance
    from drmgr.flows.horizon import Horizon
    from drmgr.flows.points import Found
    from drmgr.interfaces import Repository
    from drmgr.model import RecoveryPoint


def register(app: typer.Typer) -> None:
    app.command("points")(points)


def points(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system.")],
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="Those of this copy.")] = "",
    accept: Annotated[str, typer.Option(metavar="POINT", help="This suspicious point is as it should be.")] = "",
    reason: Annotated[str, typer.Option(help="Why it is accepted; kept in the repository and in the audit log.")] = "",
) -> None:
    """List the recovery points of a system, as its repository itself tells them, and what its copies hold.

    A point that differs from those before it as after an encryption or a lost table is suspicious, and nothing expires
    while the newest one is. Look at the system; if all is well there, accept the point.
    """
    if accept or reason:
        _accept(context, system, accept, reason, from_copy)
        return
    from drmgr.cli.repositories.protection import protected_until
    from drmgr.cli.repositories.repo_copy import ask_copies
    from drmgr.cli.restoring.background import rest_json, show_unfinished, unfinished
    from drmgr.cli.ship import reachable, reachable_json, show_reachable
    from drmgr.flows.points import find

    answers = output(context)
    with site(context) as opened:
        job = opened.loaded.job(system)
        if from_copy:
            repository: Repository = opened.cared(job.system, from_copy)
            found = find(repository, opened.care_book.memory(from_copy), job.system)
        else:
            repository = opened.repository(job.system)
            found = find(repository, opened.catalog, job.system)
        judged = Judged.of(repository, found)
        locked = None if from_copy else protected_until(opened, job.system)
        copies, zone = ask_copies(opened, job.system), opened.zone
        copies.locked.update(
            {
                copy: protected_until(opened, job.system, copy)
                for copy, held in copies.held.items()
                if held and held.points
            }
        )
        times = reachable(opened, job, found, from_copy)
        rests = unfinished(opened, job.system)
    problems = [*found.problems, *(locked.problems if locked else ())]
    problems += [problem for held in copies.held.values() if held for problem in held.problems]
    problems += [f"copy {copy}: {each}" for copy, far in copies.locked.items() if far for each in far.problems]
    document = {**_points_json(system, found, locked, copies, problems, judged), **reachable_json(times)}
    document["restores"] = [rest_json(rest, at_work=at_work) for rest, at_work in rests]

    def show(console: "Console") -> None:
        _show_points(console, found, locked, copies, zone, judged)
        show_reachable(console, times, zone)
        show_unfinished(console, rests, zone)

    answers.answer(document, show)
    for name, error in copies.errors.items():
        answers.note(f"drmgr: the copy {name} cannot be asked: {error.message}")
    for problem in problems:
        answers.note(f"drmgr: {problem}")
    if problems:
        raise typer.Exit(4)


def _accept(context: typer.Context, system: str, point: str, reason: str, from_copy: str) -> None:
    """Keeps a person's word on a suspicious point."""
    from drmgr.cli.audit import audited
    from drmgr.cli.wiring.wire import operator
    from drmgr.flows.acceptance import Acceptance, accept, doubt_json, in_words
    from drmgr.flows.points import choose, find

    if not (point and reason.strip()):
        raise UsageError("to accept a point, name it and say why", hint="use --accept POINT --reason TEXT")
    if from_copy:
        raise UsageError(
            "points are accepted in the store itself", hint="leave --from-copy out; repo copy takes it over"
        )
    answers = output(context)
    with site(context) as opened:
        name = opened.loaded.job(system).system
        with audited(opened, "points.accept", system=name, why=reason) as said:
            repository = opened.repository(name)
            found = find(repository, opened.catalog, name)
            chosen = choose(found.points, name, point).point.id
            said["point"] = chosen
            doubts = accept(repository, found, name, Acceptance(chosen, operator(), opened.clock.now(), reason))
            said["doubts"] = [str(doubt.kind) for doubt in doubts]
    document = {"system": name, "accepted": chosen, "reason": reason, "doubts": [doubt_json(each) for each in doubts]}

    def show(console: "Console") -> None:
        console.print(f"{chosen} is accepted: {reason}", markup=False)
        console.print(f"it was doubted for: {in_words(doubts)}", markup=False)

    answers.answer(document, show)


@dataclass(frozen=True)
class Judged:
    """What is suspicious, and what a person said of it."""

    accepted: frozenset[str]
    words: "Mapping[str, Acceptance]"

    @classmethod
    def of(cls, repository: "Repository", found: "Found") -> "Judged":
        """Reads the words on points that are there. Raises RepositoryError."""
        from drmgr.flows.acceptance import accepted_in, read_acceptance

        accepted = accepted_in(found.snapshots)
        ids = [sealed.point.id for sealed in found.points if sealed.point.id in accepted]
        words = {point: word for point in ids if (word := read_acceptance(repository, found, point)) is not None}
        return cls(accepted, words)

    def document(self, point: "RecoveryPoint") -> Json:
        from drmgr.flows.acceptance import doubt_json, standing
        from drmgr.system.clock import rfc3339

        word = self.words.get(point.id)
        return {
            "state": standing(point, self.accepted),
            "doubts": [doubt_json(doubt) for doubt in point.judgement.doubts] if point.judgement else [],
            "accepted": None if word is None else {"by": word.by, "at": rfc3339(word.at), "reason": word.reason},
        }

    def status(self, point: "RecoveryPoint") -> str:
        """As the table shows it."""
        from drmgr.flows.acceptance import standing

        return "suspicious" if standing(point, self.accepted) == "suspicious" else str(point.status)

    def lines(self, found: "Found") -> "Iterator[tuple[str, str]]":
        """For people: each point that is or was suspicious, and its colour."""
        from drmgr.flows.acceptance import in_words
        from drmgr.flows.suspicion import open_doubts

        for point in (sealed.point for sealed in found.points):
            doubts, word = open_doubts(point, self.accepted), self.words.get(point.id)
            if doubts:
                yield f"{point.id} is suspicious: {in_words(doubts)}", "red"
            elif word is not None:
                yield f"{point.id} was suspicious; accepted by {word.by}: {word.reason}", ""


def _points_json(
    system: str, found: "Found", locked: "Horizon | None", copies: "Copies", problems: list[str], judged: Judged
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
                "suspicion": judged.document(sealed.point),
                "protected_until": until,
            }
            for sealed in found.points
        ],
        "copies": copies.document(),
        "pitr": None,
        "problems": problems,
    }


def _show_points(
    console: "Console", found: "Found", locked: "Horizon | None", copies: "Copies", zone: "tzinfo", judged: Judged
) -> None:
    from drmgr.cli.output import human_bytes, human_time, table
    from drmgr.cli.repositories.repo_copy import lag_text

    headings = ["recovery point", f"consistent at ({zone})", "status", "sources", "size"]
    rows = [
        [
            sealed.point.id,
            human_time(sealed.point.consistent_at, zone),
            judged.status(sealed.point),
            ", ".join(member.source for member in sealed.point.members),
            human_bytes(sum(member.bytes for member in sealed.point.members)),
            *([" ".join(copies.with_point(sealed)) or "-"] if copies.held else []),
        ]
        for sealed in found.points
    ]
    table(console, [*headings, *(["copies"] if copies.held else [])], rows)
    for line, style in judged.lines(found):
        console.print(line, style=style, markup=False)
    if locked is not None and found.points:
        until = human_time(locked.until, zone) if locked.until else "not protected"
        console.print(f"nothing they need can be deleted until: {until}", markup=False)
    for name, held in copies.held.items():
        what = "cannot be asked" if held is None else f"{len(held.points)} points, lag / RPO {lag_text(held)}"
        late = held is None or not held.met
        far = copies.locked.get(name)
        until = "" if far is None else f", locked until {human_time(far.until, zone) if far.until else 'NOT PROTECTED'}"
        console.print(f"copy {name}: {what}{until}", style="red" if late else "", markup=False)
