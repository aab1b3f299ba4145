"""What ``drmgr doctor`` says of the targets that the site file allows restores into: better now than in an incident."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.cli.checkup.doctor_logs import Found
from drmgr.cli.restoring.ways import Wish, is_physical, not_in_place
from drmgr.errors import DrmgrError
from drmgr.system.files import free_bytes

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job, Source
    from drmgr.interfaces import SqlEngine

GIB = 1 << 30
LEAST_FREE = GIB
"""Bytes below which a disk is a warning."""

TABLES = (
    "SELECT count(*) FROM information_schema.tables "
    "WHERE table_schema NOT IN ('information_schema', 'pg_catalog', 'sys', 'mysql', 'performance_schema')"
)
TABLES_OF_ONE = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()"


def look_at_targets(opened: "Site") -> Iterator[Found]:
    """Folders, connections, systems in their own place and connections for tables. Changes nothing."""
    allow = opened.config.restore.allow
    for folder in allow.folders:
        yield _folder(f"target folder:{folder}", opened.place(folder))
    for name in allow.connections:
        yield _connection(opened, name)
    for system in allow.original:
        yield _original(opened, system)
    for name in allow.tables:
        if name not in allow.connections:
            yield _reached(opened, f"target tables:{name}", opened.config.restore.through.get(name, name))


def _folder(name: str, path: Path) -> Found:
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Found(
            name, "fail", f"nothing can be made in {there}", "give drmgr's account rights on it, or mount its disk"
        )
    free, made = free_bytes(there), "" if there == path else ", made when it is needed"
    if free < LEAST_FREE:
        return Found(
            name, "warn", f"{free / GIB:.1f} GiB free{made}", "make room; a restore needs what was stored, whole"
        )
    return Found(name, "ok", f"{free / GIB:.1f} GiB free{made}")


def _connection(opened: "Site", name: str) -> Found:
    from drmgr.cli.restoring.inplace import same_place

    what = f"target connection:{name}"
    sources = {f"{job.system}/{each.name}": each for job in opened.loaded.jobs.values() for each in job.sources}
    for label, source in sources.items():
        if same_place(opened, name, source.connection):
            hint = (
                "name an empty database, or take it out of restore.allow.connections; nothing is restored over a source"
            )
            return Found(what, "warn", f"it is the place of {label}, which is backed up", hint)
    found = _fitting(opened, name)
    if found is None:
        hint = "a physical backup goes to original, scratch or a folder; take the connection out of restore.allow.connections"
        return Found(what, "warn", "no source has backups that can be loaded into it", hint)
    reached = _reached(opened, what, name)
    return reached if reached.state != "ok" else _emptiness(opened, what, name, found)


def _fitting(opened: "Site", name: str) -> "tuple[Job, Source] | None":
    """A source whose backups can be loaded into that connection."""
    connections = opened.config.connections
    for job in opened.loaded.jobs.values():
        for source in job.sources:
            if connections[source.connection].engine == connections[name].engine and not is_physical(opened, source):
                return job, source
    return None


def _reached(opened: "Site", what: str, name: str) -> Found:
    found = _of_engine(opened, name)
    if found is None:
        return Found(what, "warn", "no source is of its kind", "take it out of restore.allow in the site file")
    job, source = found
    try:
        engine = opened.engine(name, source, job)
        engine.identity(engine.target())
    except DrmgrError as error:
        hint = error.hint or "start the server, or mend the connection in the site file, before it is needed"
        return Found(what, "warn", error.message, hint)
    return Found(what, "ok", "answers")


def _of_engine(opened: "Site", name: str) -> "tuple[Job, Source] | None":
    connections = opened.config.connections
    every = ((job, source) for job in opened.loaded.jobs.values() for source in job.sources)
    return next((each for each in every if connections[each[1].connection].engine == connections[name].engine), None)


def _emptiness(opened: "Site", what: str, name: str, found: "tuple[Job, Source]") -> Found:
    job, source = found
    engine: SqlEngine = opened.engine(name, source, job)  # type: ignore[assignment]
    query = TABLES_OF_ONE if opened.config.connections[name].engine == "mariadb" else TABLES
    try:
        ((count,),) = list(engine.rows(engine.target(), query))
    except DrmgrError as error:
        return Found(what, "warn", f"answers, but cannot be looked at: {error.message}", error.hint)
    if count:
        return Found(what, "warn", f"answers, and is not empty: {count} tables", "empty it; nothing is written over")
    return Found(what, "ok", "answers, and is empty")


def _original(opened: "Site", system: str) -> Found:
    what = f"target original: {system}"
    why = not_in_place(opened, Wish(system))
    if why:
        return Found(what, "warn", why, "take it out of restore.allow.original, or mend what is in its way")
    through: Mapping[str, str] = opened.config.restore.through
    for source in opened.loaded.job(system).sources:
        reached = _reached(opened, what, through[source.connection]) if source.connection in through else None
        if reached is not None and reached.state != "ok":
            return reached
    return Found(what, "ok", f"allowed; to be sure: drmgr restore {system} --to original --dry-run")
