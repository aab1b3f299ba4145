"""``drmgr repo rewind``: bring a repository back whose objects were deleted, overwritten, or both."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.errors import NotAllowedError, RewindIncompleteError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.rewind import Rewound
    from drmgr.flows.rewind_plan import Plan
    from drmgr.repository.versions import BucketObjects

WORDS = {
    "keep": "as it was",
    "uncover": "was deleted",
    "cover": "was overwritten",
    "hide": "came later",
}
INTO_WORDS = {"keep": "there already", "cover": "to be copied"}


def rewind(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system.")],
    to: Annotated[str, typer.Option(metavar="TIME", help="For instance 2026-01-05T14:00, in the site's time zone.")],
    into: Annotated[
        str, typer.Option(metavar="BUCKET/PREFIX", help="A clean place for it; the old one is only read then.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change, how much, and from when.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the record.")] = "",
    confirm: Annotated[str, typer.Option(help="The system's name once more.")] = "",
) -> None:
    """Bring the repository back to how it was at a time, out of the versions that the bucket still holds.

    Each object gets its newest version from before that time, proven by its name (SHA-256) where restic names it so.
    Nothing is lost by it: what came later is hidden, not deleted, and may be brought back the same way. Then the repository
    is checked and its points are read. Begin with --dry-run.

    Exit 0: as it was, and sound. 4: not all of it came back. 13: not confirmed, or the clean place is not clean.
    """
    from drmgr.flows import rewind as flow

    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        opened.loaded.job(system)
        cut = _instant(to, opened.zone)
        objects, place = _places(opened, system, into)
        if dry_run:
            with audited(opened, "rewind.dry-run", system=system, why=reason) as said:
                plan = flow.plan_only(objects, cut, place.objects if place else None)
                said["plan"] = plan.counts()
            document = _plan_json(system, plan, objects, place)
            answers.answer(document, lambda console: _show_plan(console, plan, opened.zone, into=bool(into)))
            return
        _insist(system, reason, confirm)
        began = time.monotonic()
        target = flow.Target(opened.repository(system, cold=True), None)
        if place is not None:
            place.objects.bucket.ensure()
            target = flow.Target(opened.repository(system, cold=True, at=place.location), place.objects)
        done = flow.rewind(opened.bench(progress), system, flow.Order(cut, reason), objects, target)
        seconds = time.monotonic() - began
        zone = opened.zone
    document = {**_plan_json(system, done.done.plan, objects, place), **_done_json(done, seconds)}
    answers.answer(document, lambda console: _show(console, done, zone, into))
    if done.problems:
        error = RewindIncompleteError(f"{system}: {'; '.join(done.problems)}")
        if not answers.wants_json:
            answers.error(error)
        raise typer.Exit(error.exit_code)


@dataclass(frozen=True)
class _Place:
    """The clean place: its objects, and its location in restic's notation."""

    objects: "BucketObjects"
    location: str


def _places(opened: "Site", system: str, into: str) -> tuple["BucketObjects", _Place | None]:
    from drmgr.cli.repositories.protection import objects_of
    from drmgr.repository.bucket import Bucket
    from drmgr.repository.versions import BucketObjects

    objects = objects_of(opened, system)
    if objects is None:
        raise UsageError(
            "a repository in a folder keeps no older versions, so it cannot be rewound",
            hint="bring it back from a copy, or from the snapshots of the disk it lies on",
        )
    if not into:
        return objects, None
    name, _, prefix = into.strip("/").partition("/")
    bucket = Bucket(replace(objects.bucket.settings, name=name))
    folder = "/".join(part for part in (prefix.strip("/"), system) if part)
    location = f"s3:{bucket.settings.endpoint.rstrip('/')}/{name}/{folder}"
    return objects, _Place(BucketObjects(bucket, folder), location)


def _instant(text: str, zone: "tzinfo") -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--to {text} is no time", hint="write it as 2026-01-05T14:00 or 2026-01-05T14:00:00+08:00"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _insist(system: str, reason: str, confirm: str) -> None:
    if confirm != system:
        raise NotAllowedError(
            f"to rewind a repository, confirm the system: --confirm {system}",
            hint="see what it would do with --dry-run",
        )
    if not reason.strip():
        raise NotAllowedError("to rewind a repository, say why", hint="add --reason TEXT; it goes into the record")


def _plan_json(system: str, plan: "Plan", objects: "BucketObjects", place: _Place | None) -> dict[str, Json]:
    from drmgr.flows.rewind_plan import CHANGES
    from drmgr.system.clock import rfc3339

    changed = [plan.sums[act] for act in CHANGES]
    firsts, lasts = ([at for at in times if at] for times in ((s.first for s in changed), (s.last for s in changed)))
    requests = objects.bucket.requests + (place.objects.bucket.requests if place else 0)
    return {
        "system": system,
        "to": rfc3339(plan.cut),
        "place": (place.objects if place else objects).location,
        "dry_run": True,
        "plan": plan.counts(),
        "changed_from": rfc3339(min(firsts)) if firsts else None,
        "changed_until": rfc3339(max(lasts)) if lasts else None,
        "requests": requests,
    }


def _done_json(done: "Rewound", seconds: float) -> dict[str, Json]:
    return {
        "dry_run": False,
        "ok": not done.problems,
        "run": done.run,
        "changed": done.done.changed,
        "bytes_proven": done.done.bytes_proven,
        "older": done.done.older,
        "lost": {"objects": done.done.lost, "examples": list(done.done.examples)},
        "points": list(done.points),
        "points_gone": list(done.gone),
        "problems": list(done.problems),
        "seconds": round(seconds, 3),
    }


def _show_plan(console: "Console", plan: "Plan", zone: "tzinfo", *, into: bool) -> None:
    from drmgr.cli.output import human_bytes, human_time, table

    rows = []
    for act, word in (INTO_WORDS if into else WORDS).items():
        found = next(each for name, each in plan.sums.items() if name.value == act)
        times = [
            human_time(at, zone) if at and not (into or act == "keep") else "-" for at in (found.first, found.last)
        ]
        rows.append([word, str(found.objects), human_bytes(found.bytes), *times])
    table(console, ["objects", "count", "size", "changed from", "until"], rows, only="size")
    if not into:
        console.print(
            f"what was deleted or overwritten comes back, what came later is hidden; times: {zone}", markup=False
        )


def _show(console: "Console", done: "Rewound", zone: "tzinfo", into: str) -> None:
    _show_plan(console, done.done.plan, zone, into=bool(into))
    console.print(f"{done.done.changed} objects changed, {len(done.points)} recovery points can be read", markup=False)
    for point in done.gone:
        console.print(f"  not there at that time: {point}", markup=False)
    for key in done.done.examples:
        console.print(f"  lost: {key}", markup=False, soft_wrap=True)
    if into and not done.problems:
        bucket, _, prefix = into.strip("/").partition("/")
        console.print(
            f"to work with it: in the site file set store.bucket to {bucket}, store.prefix to '{prefix}'", markup=False
        )
    console.print("now: drmgr repo check --read-data, then a new backup, then drmgr repo protect", markup=False)
