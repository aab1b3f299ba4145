"""Where a system can be brought back to: what the site file allows, and of that what its engines can do with this backup."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drmgr.errors import NotAllowedError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job, Source
    from drmgr.model import RecoveryPoint

PHYSICAL = "-physical"


@dataclass(frozen=True)
class Ways:
    """``offered``: target → a word on it. ``not_possible``: what the site file allows, and why it cannot be done."""

    offered: dict[str, str]
    not_possible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What is to be brought back. No sources: all of the job. ``between``: an instant between recovery points."""

    system: str
    sources: tuple[str, ...] = ()
    point: "RecoveryPoint | None" = None
    between: bool = False

    def of(self, job: "Job") -> "list[Source]":
        """Those of the job that are meant."""
        return [source for source in job.sources if not self.sources or source.name in self.sources]


def ways(opened: "Site", wish: Wish) -> Ways:
    """What the site file lets this system be restored to and what works, each with a word on it."""
    allow, refused = opened.config.restore.allow, []
    found = {"scratch": "throw-away, kept 2 h; production is not touched"}
    log = "the log between recovery points is not gone through there"
    for folder in allow.folders:
        if wish.between:
            refused.append(f"folder: {log}")
            break
        found[f"folder:{opened.place(folder)}"] = "the files as they were stored"
    places = pairs(opened, wish)
    for name in empty_places(opened, wish.system):
        into = [source for source, place in places if place == name]
        if wish.between or not into:
            refused.append(
                f"connection:{name}: {log if wish.between else 'a physical backup is no database of a server'}"
            )
        else:
            found[f"connection:{name}"] = f"an empty database, for the source {' or '.join(into)} alone"
    if wish.system in allow.original:
        why = not_in_place(opened, wish)
        if why:
            refused.append(f"original: {why}")
        else:
            found["original"] = "its own place; what is there is renamed and kept"
    return Ways(found, tuple(refused))


def pairs(opened: "Site", wish: Wish) -> list[tuple[str, str]]:
    """(source, connection) for each source whose backup can be loaded into that allowed, empty database."""
    connections, job = opened.config.connections, opened.loaded.job(wish.system)
    return [
        (source.name, name)
        for name in empty_places(opened, wish.system)
        for source in wish.of(job)
        if connections[name].engine == connections[source.connection].engine
        and not is_physical(opened, source, wish.point)
    ]


def empty_places(opened: "Site", system: str) -> list[str]:
    """The connections of its engines that the site file lets be restored into, and that are no source's place."""
    from drmgr.cli.restoring.inplace import same_place

    engines = {opened.config.connections[source.connection].engine for source in opened.loaded.job(system).sources}
    used = {source.connection for job in opened.loaded.jobs.values() for source in job.sources}
    return [
        name
        for name in opened.config.restore.allow.connections
        if opened.config.connections[name].engine in engines
        and not any(same_place(opened, name, each) for each in used)
    ]


def tables_allowed(opened: "Site", system: str) -> bool:
    """Whether single tables may be laid beside live ones of the system."""
    allowed = opened.config.restore.allow.tables
    return any(source.connection in allowed for source in opened.loaded.job(system).sources)


def is_physical(opened: "Site", source: "Source", point: "RecoveryPoint | None" = None) -> bool:
    """Whether the point holds the server's own files; without a point whether the next one will."""
    if point is not None:
        return any(member.source == source.name and member.engine.endswith(PHYSICAL) for member in point.members)
    return getattr(opened.config.connections[source.connection], "method", "") == "physical"


def not_in_place(opened: "Site", wish: Wish) -> str:
    """Why it cannot be restored in its own place; empty when nothing known speaks against it. No server is asked."""
    from drmgr.cli.restoring.inplace import permit_original

    try:
        permit_original(opened, wish.system, wish.sources)
    except NotAllowedError as error:
        return error.message
    for source in wish.of(opened.loaded.job(wish.system)):
        where = opened.config.connections[opened.config.restore.through.get(source.connection, source.connection)]
        by_files = getattr(where, "method", "") == "physical"
        if by_files and getattr(where, "data_directory", None) is None:
            return f"the files of the server of {source.name} lie on another host"
        if by_files != is_physical(opened, source, wish.point):
            return f"the point holds {source.name} by another method than the job has now"
        if wish.between and not (by_files or where.engine == "sqlserver"):
            return f"the log of {source.name} is only gone through on scratch"
    return ""


def lost_server_advice(opened: "Site", system: str) -> str:
    """What stands before a restore of a system whose server is lost, by what its backups are."""
    said = []
    for source in opened.loaded.job(system).sources:
        where = opened.config.connections[source.connection]
        if is_physical(opened, source):
            said.append(
                f"{source.name}: install the same server, and do not start it: the backup is the server's own files, "
                "which are laid in its data directory; no running server can load them."
            )
        elif where.engine in ("files", "sqlite"):
            said.append(f"{source.name}: mount a disk in its place first, with the folder above it.")
        else:
            said.append(f"{source.name}: start an empty server in its place first, with the accounts of the site file.")
    return "\n".join((*dict.fromkeys(said), "The newest point, or the newest time that a log reaches, loses least."))
