"""``drmgr repo copy``: whole recovery points in further repositories, and what is known of them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.errors import DrmgrError, KeystoreError, ObjectiveMissedError, RepositoryError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.bench import Bench
    from drmgr.flows.copying import Copy, CopyDone, Standing
    from drmgr.flows.horizon import Horizon
    from drmgr.flows.points import SealedPoint


@dataclass(frozen=True)
class _Row:
    """One copy of one system: what was done, or why nothing was."""

    system: str
    copy: str
    done: "CopyDone | None"
    error: DrmgrError | None


def copy(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="NAME", help="Only to this copy.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin again a copy that is lost for good.")] = False,
) -> None:
    """Take recovery points that are not there yet to the copies that the site file names.

    Exit 0: every point is whole in every copy, and no copy is older than its RPO. 4: one is older. 21: something could
    not be copied.
    """
    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        names = opened.systems(systems or [], everything=not systems)
        copies = list(dict.fromkeys(to)) if to else sorted(opened.config.copies)
        if not copies:
            raise UsageError("the site file names no copies", hint="add one under copies")
        bench = opened.bench(progress)
        rows = [_one(opened, bench, name, each, anew=anew) for each in copies for name in names]
        unkept = keep_safe(opened, *dict.fromkeys(row.copy for row in rows if row.done))
    documents = [_row_json(row) for row in rows]
    answers.answer({"ok": not _worst(rows), "copies": documents}, lambda console: _show(console, rows))
    if worst := _worst(rows):
        if not answers.wants_json:
            answers.error(worst)
        raise typer.Exit(worst.exit_code)
    if unkept is not None:
        answers.note(f"drmgr: the points are copied, but: {unkept.message}")
        raise typer.Exit(unkept.exit_code)


def copy_of(opened: "Site", system: str, name: str) -> "Copy":
    """That copy of the system. Raises UsageError when the site file has no such one."""
    from drmgr.flows.copying import Copy

    repository = opened.cared(system, name)
    return Copy(name, repository, opened.care_book.memory(name), opened.config.copies[name].rpo)


def _one(opened: "Site", bench: "Bench", system: str, name: str, *, anew: bool) -> _Row:
    from drmgr.config.models import system_of
    from drmgr.flows.copying import copy as run_copy

    try:
        to = copy_of(opened, system, name)
        if not to.memory.seals(system):
            _ensure_bucket(opened, name)
        opened.keystore.ensure_repository_password(system, name)
        if anew:
            to.memory.forget_points(system)
        done = run_copy(bench, system_of(opened.loaded.job(system)), opened.cared(system), to)
    except UsageError:
        raise
    except DrmgrError as error:
        return _Row(system, name, None, error)
    return _Row(system, name, done, None)


def _ensure_bucket(opened: "Site", name: str) -> None:
    """The copy's bucket, versioned and locked as declared: restic would make one that protects nothing.

    Raises RepositoryError for one that does not lock what it should.
    """
    from drmgr.repository.lifecycle import ensure_rule

    bucket = opened.stores[name].bucket
    if bucket is not None:
        bucket.ensure()
        if bucket.settings.object_lock is not None:
            ensure_rule(bucket)


def _worst(rows: list[_Row]) -> DrmgrError | None:
    from drmgr.flows.copying import fault_of

    errors = [row.error or (fault_of(row.done) if row.done else None) for row in rows]
    late = [row for row in rows if row.done and not row.done.standing.met]
    behind = ObjectiveMissedError(
        f"{len(late)} of {len(rows)} copies are older than their RPO",
        hint="back up and copy more often, or raise the RPO",
    )
    return next((error for error in errors if error), behind if late else None)


def _row_json(row: _Row) -> Json:
    from drmgr.flows.bench import error_json

    if row.done is None:
        error = None if row.error is None else error_json(row.error)
        run = None if row.error is None else row.error.run
        return {"run": run, "system": row.system, **standing_json(row.copy, None), "copied": [], "error": error}
    done = row.done
    return {
        "run": done.run,
        "system": row.system,
        **standing_json(row.copy, done.standing),
        "made": done.made,
        "copied": list(done.copied),
        "problems": [*done.lacking, *done.standing.problems],
        "error": None,
    }


def standing_json(name: str, held: "Standing | None") -> dict[str, Json]:
    """What a copy holds; ``state`` is unknown for one that could not be asked."""
    from drmgr.system.clock import rfc3339

    if held is None:
        unknown = dict.fromkeys(("location", "points", "newest", "lag", "rpo_met"))
        return {"copy": name, "state": "unknown", **unknown}
    newest = held.newest
    return {
        "copy": name,
        "state": "damaged" if held.problems else "ok" if held.met else "behind",
        "location": held.location,
        "points": len(held.points),
        "newest": None if newest is None else rfc3339(newest.point.consistent_at),
        "lag": None if held.lag is None else round(held.lag.total_seconds(), 3),
        "rpo": held.rpo.total_seconds(),
        "rpo_met": held.met,
    }


def _show(console: "Console", rows: list[_Row]) -> None:
    from drmgr.cli.output import table
    from drmgr.flows.copying import fault_of

    table(
        console,
        ["system", "copy", "copied", "points", "lag / RPO", "state"],
        [
            [
                row.system,
                row.copy,
                str(len(row.done.copied)) if row.done else "-",
                str(len(row.done.standing.points)) if row.done else "-",
                lag_text(row.done.standing if row.done else None),
                "failed" if row.done is None or fault_of(row.done) else "ok" if row.done.standing.met else "behind",
            ]
            for row in rows
        ],
    )
    for row in rows:
        problems = (
            [row.error.message] if row.error else [*row.done.lacking, *row.done.standing.problems] if row.done else []
        )
        for problem in problems:
            console.print(f"{row.system} to {row.copy}: {problem}", style="red", markup=False)


def lag_text(held: "Standing | None") -> str:
    """What would be lost with only this copy left, and what may be."""
    from drmgr.cli.output import human_seconds

    if held is None:
        return "-"
    lag = "everything" if held.lag is None else human_seconds(held.lag.total_seconds())
    return f"{lag} / {human_seconds(held.rpo.total_seconds())}"


@dataclass(frozen=True)
class Copies:
    """What is known of all copies of one system: None for one that could not be asked, and why."""

    held: dict[str, "Standing | None"]
    errors: dict[str, DrmgrError]
    locked: dict[str, "Horizon | None"] = field(default_factory=dict)
    """Until when each is locked, where somebody asked for that; None for one that locks nothing."""

    def with_point(self, sealed: "SealedPoint") -> list[str]:
        """The copies that hold this point whole."""
        return [
            name
            for name, held in self.held.items()
            if held is not None and any(each.seal == sealed.seal for each in held.points)
        ]

    def document(self) -> list[dict[str, Json]]:
        from drmgr.flows.bench import error_json

        return [
            {
                **standing_json(name, held),
                "protected_until": self._until(name),
                "error": error_json(self.errors[name]) if name in self.errors else None,
            }
            for name, held in self.held.items()
        ]

    def _until(self, name: str) -> str | None:
        from drmgr.system.clock import rfc3339

        far = self.locked.get(name)
        return None if far is None or far.until is None else rfc3339(far.until)


def ask_copies(opened: "Site", system: str) -> Copies:
    """Asks every copy of the system; one that does not answer is unknown, never up to date."""
    asked = Copies({}, {})
    for name in sorted(opened.config.copies):
        try:
            asked.held[name] = ask_copy(opened, system, copy=name)
        except (RepositoryError, KeystoreError) as error:
            asked.held[name], asked.errors[name] = None, error
    return asked


def ask_copy(opened: "Site", system: str, copy: str) -> "Standing":
    """What that copy holds of the system, as it tells itself. Raises RepositoryError, KeystoreError."""
    from drmgr.flows.copying import standing

    return never_begun(opened, system, copy) or standing(opened.clock, system, copy_of(opened, system, copy))


def never_begun(opened: "Site", system: str, copy: str) -> "Standing | None":
    """That nothing of the system was ever taken there, which is known without asking; None when something was."""
    from drmgr.flows.copying import nothing_held
    from drmgr.keystore.store import repository_entry

    asked = copy_of(opened, system, copy)
    begun = repository_entry(system, copy) in opened.keystore.names() or asked.memory.seals(system)
    return None if begun else nothing_held(asked)
