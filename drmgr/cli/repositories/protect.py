"""``drmgr repo protect``: keep what recovery points need from being deleted, before the locks run out."""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import ConfigError, DrmgrError, UnprotectedError
from drmgr.model import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.bench import Bench
    from drmgr.flows.protect import Protected, Wish
    from drmgr.repository.versions import BucketObjects


def protect(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36500, help="Lock everything for that many days from now; else see below."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be extended, and what it costs.")] = False,
) -> None:
    """Extend the locks of every object that recovery points need, before they run out. Run it daily.

    Of the store, and of every copy whose bucket locks objects; each by the days of its own object_lock: without --days,
    locks with less than half of them left are extended to all of them. It also looks
    for what was overwritten or taken away, and then holds every version that is left. It can be stopped and started again.

    Exit 0: all is locked. 4: something had drifted out of protection, or is damaged. 21: the store failed.
    """
    from drmgr.flows.protect import Wish

    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        places = _locked_places(opened)
        bench = opened.bench(progress)
        done: list[Row] = []
        for copy, full in places.items():
            wanted = timedelta(days=days or full)
            # a little less than asked for need not be extended: so a second call goes on where the first one was stopped
            floor = wanted - min(wanted / 10, timedelta(days=1)) if days else wanted / 2
            wish = Wish(wanted, floor, dry_run)
            names = opened.systems(systems or [], everything=not systems)
            done += [_one(opened, bench, name, copy, wish) for name in names if not copy or _copied(opened, name, copy)]
            done += [] if systems else _records(opened, bench, copy, wish)
        rows, errors = [row for row, _ in done], [error for _, error in done if error is not None]
        zone = opened.zone
    document = {"ok": not errors, "dry_run": dry_run, "systems": rows}
    answers.answer(document, lambda console: _show(console, rows, zone, dry_run=dry_run))
    _end(answers, errors)


def _end(answers: "Output", errors: list[DrmgrError]) -> None:
    if not errors:
        return
    if not answers.wants_json:
        for error in errors:
            answers.error(error)
    # a store that failed says less than one that answered, so its code is the one to act on first
    raise typer.Exit(max(error.exit_code for error in errors))


def _locked_places(opened: "Site") -> dict[str, int]:
    """The store (its name is empty) and the copies that lock objects, and for how many days."""
    from drmgr.cli.repositories.protection import lock_days

    days = {copy: lock_days(opened, copy) for copy in opened.stores}
    found = {copy: each for copy, each in days.items() if each is not None}
    if not found:
        raise ConfigError(
            "the store of this site locks no objects, so there is nothing to protect",
            hint="set store.object_lock in the site file, with a bucket that was made for it: drmgr repo init",
        )
    return found


def _copied(opened: "Site", system: str, copy: str) -> bool:
    """Whether anything of the system was ever taken there."""
    return bool(opened.care_book.memory(copy).seals(system))


Row = tuple[dict[str, Json], DrmgrError | None]


def _one(opened: "Site", bench: "Bench", name: str, copy: str, wish: "Wish") -> Row:
    from drmgr.cli.repositories.protection import objects_of, state
    from drmgr.flows.protect import Guarded
    from drmgr.flows.protect import protect as run_protect

    objects = objects_of(opened, name, copy)
    assert objects is not None
    memory = opened.care_book.memory(copy) if copy else opened.catalog
    repository = opened.cared(name, copy) if copy else opened.repository(name)

    def act() -> "Protected":
        done = run_protect(bench, name, Guarded(repository, objects, memory, copy), wish)
        if not wish.dry_run:
            state(opened, done)
        return done

    return _row(name, copy, objects, wish, act)


def _records(opened: "Site", bench: "Bench", copy: str, wish: "Wish") -> "Iterator[Row]":
    """What drmgr keeps beside the repositories: kits, evidence, audit log, anchors."""
    from drmgr.flows.protect import protect_records
    from drmgr.repository.bucket import AUDIT_FOLDER, EVIDENCE_FOLDER
    from drmgr.repository.shelf import FOLDER
    from drmgr.repository.versions import BucketObjects

    place = opened.stores[copy]
    assert place.bucket is not None
    # audit log and evidence are anchored in the store's own bucket alone
    for folder in (FOLDER,) if copy else (FOLDER, AUDIT_FOLDER, EVIDENCE_FOLDER):
        objects = BucketObjects(place.bucket, f"{place.prefix.strip('/')}/{folder}")
        yield _row(folder, copy, objects, wish, partial(protect_records, bench, folder, objects, wish))


def _row(name: str, copy: str, objects: "BucketObjects", wish: "Wish", act: "Callable[[], Protected]") -> Row:
    from drmgr.flows.bench import error_json
    from drmgr.system.clock import rfc3339

    before = objects.bucket.requests
    try:
        done = act()
    except DrmgrError as error:
        return {"system": name, "copy": copy or None, "ok": False, "run": error.run, "error": error_json(error)}, error
    row: dict[str, Json] = {
        "system": name,
        "copy": copy or None,
        "ok": not done.problems,
        "run": done.run,
        "protected_until": rfc3339(done.tally.until) if done.tally.until and not done.tally.unlocked else None,
        **done.tally.to_json(),
        "requests": objects.bucket.requests - before,
        "problems": list(done.problems),
        "error": None,
    }
    if not wish.dry_run and done.tally.until is not None:
        row["protected_until"] = rfc3339(done.tally.until)
    label = f"{name} in the copy {copy}" if copy else name
    alarm = UnprotectedError(f"{label}: {'; '.join(done.problems)}") if done.problems else None
    return row, alarm


def _show(console: "Console", rows: list[dict[str, Json]], zone: "tzinfo", *, dry_run: bool) -> None:
    from datetime import datetime

    from drmgr.cli.output import human_bytes, human_time, table

    lines = []
    for row in rows:
        name = f"{row['system']} ({row['copy']})" if row["copy"] else row["system"]
        if row["error"] is not None:
            lines.append([name, "failed", "-", "-", "-", "-", "-"])
            continue
        until = row["protected_until"]
        lines.append(
            [
                name,
                "ok" if row["ok"] else "fail",
                str(row["objects"]),
                human_bytes(row["bytes"]),
                str(row["extended"]),
                str(row["requests"]),
                human_time(datetime.fromisoformat(until), zone)[:16] if until else "-",
            ]
        )
    changed = "would extend" if dry_run else "extended"
    headings = ["system", "state", "objects", "size", changed, "requests", "locked until"]
    table(console, headings, lines, only="system")
    for row in rows:
        for example in row.get("examples", []):
            console.print(f"  {row['system']}/{example}", markup=False, soft_wrap=True)
