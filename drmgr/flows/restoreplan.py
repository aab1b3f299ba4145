"""What a restore is asked for: the point, the targets there are, and what is refused before anything is written."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from drmgr.errors import ScratchError, UsageError
from drmgr.flows.acceptance import mistrusted
from drmgr.flows.aim import NEWEST, Aim, aim, newest
from drmgr.flows.bench import Bench, WiredSystem
from drmgr.flows.bringback import family, lacking, left_out, members, readable
from drmgr.flows.original import ToOriginal, refuse_original
from drmgr.flows.points import Found, SealedPoint, believed, choose, find
from drmgr.flows.tofolder import FolderTarget, NewestFirst, refuse_folder
from drmgr.interfaces import Engine
from drmgr.model import NOTHING_TOLD, CheckResult, Member, OccasionKind, Told
from drmgr.system.files import free_bytes


@dataclass(frozen=True)
class ToScratch:
    """Fresh scratch instances, kept for so long."""

    keep: timedelta


@dataclass(frozen=True)
class ToFolder:
    """The stored files as they are, below an empty folder; databases as dumps. ``permit`` raises NotAllowedError."""

    path: Path
    permit: Callable[[], None]
    newest: NewestFirst | None = None

    @property
    def folder(self) -> FolderTarget:
        return FolderTarget(self.path, self.newest)


@dataclass(frozen=True)
class ToConnection:
    """One source into an empty database. ``engine`` is bound to that connection; ``permit`` raises NotAllowedError.

    ``emptied_by``: what a person types to empty it again, when a restore was stopped in its middle.
    """

    name: str
    engine: Engine
    permit: Callable[[], None]
    emptied_by: str = ""


Target = ToScratch | ToFolder | ToConnection | ToOriginal


@dataclass(frozen=True)
class RestorePlan:
    """What to bring back, where to, and why (the reason goes into the record).

    ``at`` is a time, a position or a named instant between recovery points, as a person writes it; empty for the point
    itself. ``told`` is what people say of the incident; only a real one has it.
    """

    point: str
    target: Target
    sources: tuple[str, ...] = ()
    reason: str = ""
    occasion: OccasionKind = OccasionKind.SIMULATION
    at: str = ""
    told: Told = NOTHING_TOLD


def describe(target: Target) -> str:
    """The target as the command line writes it."""
    match target:
        case ToScratch():
            return "scratch"
        case ToFolder(path=path):
            return f"folder:{path}"
        case ToConnection(name=name):
            return f"connection:{name}"
        case ToOriginal():
            return "original"


def planned(bench: Bench, wired: WiredSystem, plan: RestorePlan) -> tuple[Aim, tuple[CheckResult, ...]]:
    """The point, and what fails already now: it is not whole, or perhaps not the latest that there was.

    Permission, point and room are looked at, and nothing is written. Raises as ``restore`` does.
    """
    _permit(plan.target)
    offered = find(wired.repository, wired.memory or bench.catalog, wired.system.id)
    found = _aim(bench, wired, plan, offered)
    point = found.point
    chosen = members(point, wired, plan.sources)
    _fits_target(plan, chosen, wired)
    _refuse_small_disk(plan.target, chosen)
    older = (readable(offered.problems),) if plan.point == "latest" and offered.problems else ()
    missing = () if plan.sources else left_out(point, wired, "name what is wanted with --source")
    return found, (*older, *missing, *lacking(chosen), *mistrusted(offered, point, chosen))


def _aim(bench: Bench, wired: WiredSystem, plan: RestorePlan, offered: Found) -> Aim:
    if not plan.at:
        return Aim(believed(wired.repository, choose(offered.points, wired.system.id, plan.point)), {})
    if not isinstance(plan.target, ToScratch | ToOriginal):
        raise UsageError("an instant between recovery points is restored on scratch", hint="use --to scratch")
    points: list[SealedPoint] = list(offered.points)
    if plan.point != "latest":
        points = [choose(points, wired.system.id, plan.point)]
    if plan.at == NEWEST:
        found = newest(wired, points, bench.clock.now(), plan.sources)
    else:
        sources = plan.sources or tuple(source.name for source in wired.sources)
        found = aim(wired, points, plan.at, sources, bench.timezone)
    sealed = next(each for each in points if each.point is found.point)
    return replace(found, point=believed(wired.repository, sealed))


def _permit(target: Target) -> None:
    if not isinstance(target, ToScratch):
        target.permit()


def _fits_target(plan: RestorePlan, chosen: tuple[Member, ...], wired: WiredSystem) -> None:
    target = plan.target
    if isinstance(target, ToOriginal):
        refuse_original(target, wired, chosen, at=plan.at)
    if isinstance(target, ToFolder):
        refuse_folder(target.folder, chosen, wired)
    if isinstance(target, ToConnection):
        if len(chosen) != 1:
            names = ", ".join(member.source for member in chosen)
            raise UsageError(f"a connection takes one source; choose one of {names} with --source")
        if chosen[0].engine.endswith("-physical"):
            raise UsageError(
                f"the source {chosen[0].source} is a physical backup, which is no server's but its own",
                hint="use --to scratch or --to folder:PATH",
            )
        if family(chosen[0].engine) != family(target.engine.name):
            raise UsageError(
                f"the source {chosen[0].source} is {chosen[0].engine}, {target.name} is {target.engine.name}"
            )


def _refuse_small_disk(target: Target, chosen: tuple[Member, ...]) -> None:
    """Before anything is written. Scratch refuses by itself, for what it needs beside the stored bytes."""
    if isinstance(target, ToFolder):
        needed, free = sum(member.bytes for member in chosen), free_bytes(target.path)
        if free < needed:
            raise ScratchError(
                f"the restore needs {needed} bytes, and {target.path} has {free} bytes free",
                hint="free some space, or name a folder on a larger disk",
            )
