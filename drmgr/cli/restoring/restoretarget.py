"""``--to`` of ``drmgr restore``: which target it names, and what stands before it."""

import re
import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.errors import NotAllowedError, UsageError

if TYPE_CHECKING:
    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.restoreplan import RestorePlan, Target
    from drmgr.model import Rest


def target(opened: "Site", system: str, to: str, sources: tuple[str, ...], keep: str) -> "Target":
    from drmgr.config.values import parse_duration
    from drmgr.flows.restoreplan import ToFolder, ToScratch

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
    if to == "original":
        from drmgr.cli.restoring.inplace import original

        return original(opened, system, sources)
    raise UsageError(f"--to {to}: not a target", hint="use scratch, folder:PATH, connection:NAME or original")


def newest_first(opened: "Site", chosen: "Target", text: str, answers: "Output", *, background: bool) -> "Target":
    from drmgr.flows.restoreplan import ToFolder
    from drmgr.flows.tofolder import NewestFirst

    if not isinstance(chosen, ToFolder):
        raise UsageError("--newer-than is for --to folder:PATH", hint="leave it out; a drill proves all or nothing")
    instant = since(text, opened.clock.now().astimezone(opened.zone))
    newest = NewestFirst(instant, lambda said: answers.note(f"drmgr: {said}"), opened.rest_book, background)
    return replace(chosen, newest=newest)


def gone_on_with(opened: "Site", plan: "RestorePlan", system: str) -> "RestorePlan":
    """The plan, or that for the rest when its folder holds the newest files already."""
    from drmgr.cli.restoring.background import begun, going_on
    from drmgr.flows.restoreplan import ToFolder

    where = plan.target
    if not isinstance(where, ToFolder) or where.newest is None:
        return plan
    left = begun(opened, system, where.path)
    if left is None:
        return plan
    return going_on(plan, replace(where, permit=lambda: _permit_folder(opened, where.path, begun=True)), left)


def left_of(plan: "RestorePlan") -> "Rest | None":
    """What was left of the restore that this one goes on with."""
    from drmgr.flows.restoreplan import ToFolder

    newest = plan.target.newest if isinstance(plan.target, ToFolder) else None
    return None if newest is None else newest.left


def since(text: str, now: datetime) -> datetime:
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


def _permit_folder(opened: "Site", path: Path, *, begun: bool = False) -> None:
    from drmgr.scratch.guard import refuse_outside_folders, refuse_source_folders

    allowed = [opened.place(folder) for folder in opened.config.restore.allow.folders]
    real = refuse_outside_folders(path, allowed, begun=begun)
    connections = opened.config.connections.items()
    refuse_source_folders(
        real, {name: opened.place(where.root) for name, where in connections if where.engine == "files"}
    )


def _connection(opened: "Site", system: str, name: str, sources: tuple[str, ...]) -> "Target":
    from drmgr.flows.restoreplan import ToConnection
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

    return ToConnection(name, engine, permit, _emptied_by(opened, name))


def _emptied_by(opened: "Site", name: str) -> str:
    """What a person types to empty the database of that connection; names are quoted as its engine does it."""
    from drmgr.config.models import MariadbConnection, SqliteConnection, SqlServerConnection
    from drmgr.engines.mariadb.connection import quoted
    from drmgr.system.mssql_names import bracketed

    where = opened.config.connections[name]
    if isinstance(where, SqliteConnection):
        return f"rm {shlex.quote(str(opened.place(where.path)))}"
    database = str(getattr(where, "database", ""))
    if isinstance(where, MariadbConnection):
        named = quoted(database)
    elif isinstance(where, SqlServerConnection):
        named = bracketed(database)
    else:
        named = '"' + database.replace('"', '""') + '"'
    return f"DROP DATABASE {named}; CREATE DATABASE {named};"


def _production(opened: "Site") -> dict[str, str]:
    """The identities of every source that answers now; one that is down cannot be the target that does answer.

    Raises ConfigError and KeystoreError for one whose password is not there: it may well be up.
    """
    from drmgr.errors import ConfigError, DrmgrError, KeystoreError

    identities = {}
    for job in opened.loaded.jobs.values():
        for source in job.sources:
            if source.kind != "database":
                continue
            engine = opened.engine(source.connection, source, job)
            try:
                identities[f"{job.system}/{source.name}"] = engine.identity(engine.target())
            except (ConfigError, KeystoreError):
                raise
            except DrmgrError:
                continue
    return identities
