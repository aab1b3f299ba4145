"""``drmgr restore``."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.safekeeping import keep_safe
from drmgr.errors import NotAllowedError, UsageError
from drmgr.model import Json, OccasionKind

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wire import Site
    from drmgr.flows.restore import RestoreDone, Target
    from drmgr.model import Instance, RecoveryPoint


def register(app: typer.Typer) -> None:
    app.command("restore")(restore)


def restore(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system to bring back.")],
    to: Annotated[str, typer.Option(help="scratch | folder:PATH | connection:NAME. There is no default.")],
    point: Annotated[str, typer.Option(help="Recovery point: latest, or an id or its beginning.")] = "latest",
    at: Annotated[str, typer.Option(help="A time, log position or restore point after a recovery point.")] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given more than once.")] = None,
    keep: Annotated[str, typer.Option(help="How long a scratch restore stays: 90s, 30m, 2h, 1d.")] = "2h",
    from_copy: Annotated[str, typer.Option("--from-copy", metavar="NAME", help="From this copy of the store.")] = "",
    newer_than: Annotated[
        str,
        typer.Option(
            metavar="AGE|DATE", help="To a folder: files since then first (1y, 30d, 2026-01-31), then the rest."
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, write nothing.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the record. Needed for a connection.")] = "",
    confirm: Annotated[str, typer.Option(help="The system's name once more; needed for a connection.")] = "",
    occasion: Annotated[OccasionKind | None, typer.Option(help="What the record calls it.")] = None,
) -> None:
    """Bring a system back, verify it, and seal evidence of it.

    Only targets that the site file allows (restore.allow) are written to, never a source's own database or folder.
    """
    from drmgr.flows import restore as flow

    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        opened.loaded.job(system)
        chosen = tuple(source or ())
        target = _target(opened, system, to, chosen, keep)
        if newer_than:
            target = _newest_first(opened, target, newer_than, answers)
        touches_database = isinstance(target, flow.ToConnection)
        if touches_database and not dry_run:
            _insist(system, reason, confirm)
        kind = occasion or (OccasionKind.INCIDENT if touches_database else OccasionKind.SIMULATION)
        plan = flow.RestorePlan(point, target, chosen, reason, kind, at)
        bench, wired = opened.bench(progress), opened.system(system, cold=True, copy=from_copy)
        if dry_run:
            found = flow.plan_only(bench, wired, plan)
            answers.answer(
                _plan_json(system, to, found, chosen),
                lambda console: _show_plan(console, to, found, chosen, opened.zone),
            )
            return
        done = flow.restore(bench, wired, plan)
        unkept = keep_safe(opened)
    answers.answer(_done_json(system, done, at), lambda console: _show(console, done))
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    if done.record.verdict != "passed":
        raise typer.Exit(4)


def _insist(system: str, reason: str, confirm: str) -> None:
    if confirm != system:
        raise NotAllowedError(
            f"to write into a database, confirm the system: --confirm {system}", hint="add it to the command"
        )
    if not reason.strip():
        raise NotAllowedError("to write into a database, say why", hint="add --reason TEXT; it goes into the record")


def _target(opened: "Site", system: str, to: str, sources: tuple[str, ...], keep: str) -> "Target":
    from drmgr.config.values import parse_duration
    from drmgr.flows.restore import ToFolder, ToScratch

    kind, _, rest = to.partition(":")
    if to == "scratch":
        try:
            duration: timedelta = parse_duration(keep)
        except ValueError as error:
            raise UsageError(f"--keep {keep}: {error}") from error
        return ToScratch(duration)
    if kind == "folder" and rest:
        path = Path(rest).absolute()
        return ToFolder(path, lambda: _permit_folder(opened, path))
    if kind == "connection" and rest:
        return _connection(opened, system, rest, sources)
    raise UsageError(f"--to {to}: not a target", hint="use scratch, folder:PATH or connection:NAME")


def _newest_first(opened: "Site", target: "Target", text: str, answers: "Output") -> "Target":
    from drmgr.flows.restore import ToFolder
    from drmgr.flows.tofolder import NewestFirst

    if not isinstance(target, ToFolder):
        raise UsageError("--newer-than is for --to folder:PATH", hint="leave it out; a drill proves all or nothing")
    since = _since(text, opened.clock.now().astimezone(opened.zone))
    return replace(target, newest=NewestFirst(since, lambda said: answers.note(f"drmgr: {said}")))


def _since(text: str, now: datetime) -> datetime:
    """The instant that an age (``30d``, ``1y``) or a date (``2026-01-31``) speaks of. Raises UsageError."""
    from drmgr.config.values import parse_duration

    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.fromisoformat(text).replace(tzinfo=now.tzinfo)
        years = re.fullmatch(r"(\d{1,3})y", text)
        return now - (timedelta(days=366) * int(years[1]) if years else parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--newer-than {text}: not an age or a date", hint="for instance 1y, 30d or 2026-01-31"
        ) from error


def _permit_folder(opened: "Site", path: Path) -> None:
    from drmgr.scratch.guard import refuse_outside_folders, refuse_source_folders

    real = refuse_outside_folders(path, [opened.place(folder) for folder in opened.config.restore.allow.folders])
    connections = opened.config.connections.items()
    refuse_source_folders(
        real, {name: opened.place(where.root) for name, where in connections if where.engine == "files"}
    )


def _connection(opened: "Site", system: str, name: str, sources: tuple[str, ...]) -> "Target":
    from drmgr.flows.restore import ToConnection
    from drmgr.scratch.guard import refuse_outside_connections, refuse_production

    if name not in opened.config.connections:
        raise UsageError(f"there is no connection {name}", hint="connections are named in the site file")
    job = opened.loaded.job(system)
    wanted = [source for source in job.sources if not sources or source.name in sources]
    if len(wanted) != 1:
        names = ", ".join(source.name for source in wanted) or "none"
        raise UsageError(f"a connection takes one source, not {names}", hint="choose it with --source NAME")
    refuse_outside_connections(name, opened.config.restore.allow.connections)
    engine = opened.engine(name, wanted[0], job)

    def permit() -> None:
        used = {source.connection for each in opened.loaded.jobs.values() for source in each.sources}
        if name in used:
            raise NotAllowedError(f"{name} is the source of a backup: production is never restored over")
        refuse_production(engine.identity(engine.target()), _production(opened))

    return ToConnection(name, engine, permit)


def _production(opened: "Site") -> dict[str, str]:
    """The identities of every source that answers now; one that is down cannot be the target that does answer."""
    from drmgr.errors import DrmgrError

    identities = {}
    for job in opened.loaded.jobs.values():
        for source in job.sources:
            if source.kind != "database":
                continue
            engine = opened.engine(source.connection, source, job)
            try:
                identities[f"{job.system}/{source.name}"] = engine.identity(engine.target())
            except DrmgrError:
                continue
    return identities


def _plan_json(system: str, to: str, point: "RecoveryPoint", sources: tuple[str, ...]) -> Json:
    from drmgr.system.clock import rfc3339

    members = [member for member in point.members if not sources or member.source in sources]
    return {
        "system": system,
        "status": "planned",
        "target": to,
        "point": point.id,
        "at": rfc3339(point.consistent_at),
        "reads": sum(member.bytes for member in members),
        "sources": [member.source for member in members],
    }


def _show_plan(console: "Console", to: str, point: "RecoveryPoint", sources: tuple[str, ...], zone: "ZoneInfo") -> None:
    from drmgr.cli.output import human_bytes, human_time, pairs

    members = [member for member in point.members if not sources or member.source in sources]
    pairs(
        console,
        {
            "recovery point": point.id,
            "as of": f"{human_time(point.consistent_at, zone)} ({zone})",
            "sources": ", ".join(member.source for member in members),
            "to read": human_bytes(sum(member.bytes for member in members)),
            "target": to,
            "nothing written": "this was a dry run",
        },
    )


def check_json(check: Json) -> Json:
    return {
        "name": check.name,
        "status": str(check.status),
        "level": int(check.level),
        "expected": check.expected,
        "actual": check.actual,
        "seconds": check.seconds,
        "message": check.message,
    }


def _done_json(system: str, done: "RestoreDone", at: str = "") -> Json:
    from drmgr.system.clock import rfc3339

    outcome = done.outcome
    instances = {name: _instance_json(instance) for name, instance in done.instances.items()}
    databases = [value for value in instances.values() if value["database"]]
    return {
        "run": done.record.run,
        "system": system,
        "status": "ok" if done.record.verdict == "passed" else "failed",
        "target": done.record.target,
        "point": outcome.point.id if outcome.point else None,
        "at": at or (rfc3339(outcome.point.consistent_at) if outcome.point else None),
        "seconds": outcome.rto.measured,
        "phases": [
            {"name": phase.name, "source": phase.source, "seconds": round(phase.seconds, 3)} for phase in outcome.phases
        ],
        "verified": {"level": int(outcome.level), "checks": [check_json(check) for check in outcome.checks]},
        "instance": databases[0] if databases else None,
        "instances": instances,
        "evidence": done.evidence.path,
    }


def _instance_json(instance: "Instance") -> Json:
    return {
        "engine": instance.engine,
        "socket": str(instance.socket) if instance.socket else None,
        "host": instance.host,
        "port": instance.port,
        "database": instance.database or None,
        "user": instance.user or None,
        # that of a connection is drmgr's own and ends with the command
        "passfile": str(instance.passfile) if instance.passfile and instance.passfile.exists() else None,
        "path": str(instance.path) if instance.path else None,
    }


def _show(console: "Console", done: "RestoreDone") -> None:
    from drmgr.cli.output import human_seconds, pairs, table

    outcome = done.outcome
    table(
        console,
        ["check", "level", "status", "finding"],
        [[check.name, str(int(check.level)), str(check.status), _finding(check)] for check in outcome.checks],
        only="finding",
    )
    console.print()
    pairs(
        console,
        {
            "verdict": str(done.record.verdict),
            "recovery point": outcome.point.id if outcome.point else "-",
            "verified to level": str(int(outcome.level)),
            "took": human_seconds(outcome.rto.measured),
            "evidence": done.evidence.path,
        },
    )
    for name, instance in done.instances.items():
        shown = {key: str(value) for key, value in _instance_json(instance).items() if value is not None}
        console.print(f"\n{name}:", markup=False)
        pairs(console, shown)
        if instance.socket and instance.passfile and shown.get("passfile"):
            console.print(f"open it   {_opening(instance)}", markup=False, soft_wrap=True)


def _opening(instance: "Instance") -> str:
    """What a person types to look into a kept instance."""
    if instance.engine == "mariadb":
        place = f"--user={instance.user} --socket={instance.socket}/mysqld.sock {instance.database}"
        return f"mariadb --defaults-file={instance.passfile} {place}"
    place = f"host={instance.socket} user={instance.user} dbname={instance.database}"
    return f'psql "{place} passfile={instance.passfile}"'


def _finding(check: Json) -> str:
    """What was found; what was expected too where the check did not pass."""
    if check.message:
        return str(check.message)
    found = _short(check.actual)
    return found if check.status in {"pass", "skipped"} else f"{found}; expected {_short(check.expected)}"


def _short(value: Json) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(each)}" for key, each in value.items() if each)
    return "-" if value is None else str(value)
