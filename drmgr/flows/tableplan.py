"""Which tables are to be laid beside the live ones: what is asked for, and what is refused before anything is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from drmgr.errors import PointNotFoundError, UsageError
from drmgr.flows.aim import Aim
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.bringback import family
from drmgr.flows.restoreplan import RestorePlan, ToScratch, planned
from drmgr.interfaces import Engine, TableEngine
from drmgr.model import NOTHING_TOLD, CheckResult, OccasionKind, RecoveryPoint, TableShape, Told


@dataclass(frozen=True)
class Beside:
    """The database that takes the tables. ``name`` as the command line writes it; ``permit`` raises NotAllowedError."""

    name: str
    engine: Engine
    tables: TableEngine
    permit: Callable[[], None]


@dataclass(frozen=True)
class TablePlan:
    """Which tables of one source, of when, and where to.

    ``beside`` None lays nothing: the source stays on scratch for ``keep``, and is compared from there. ``source`` empty
    takes the only one that has tables. ``point``, ``at``, ``reason``, ``occasion``, ``told``: as in RestorePlan.
    """

    tables: tuple[str, ...]
    source: str
    beside: Beside | None
    keep: timedelta
    point: str = "latest"
    at: str = ""
    reason: str = ""
    occasion: OccasionKind = OccasionKind.SIMULATION
    told: Told = NOTHING_TOLD

    @property
    def target(self) -> str:
        return "scratch" if self.beside is None else self.beside.name


@dataclass(frozen=True)
class TablesPlanned:
    """What ``--dry-run`` tells. ``tables`` are as asked; the names are those that the tables would get."""

    point: RecoveryPoint
    source: str
    bytes: int
    names: Mapping[str, str]


def plan_tables(bench: Bench, wired: WiredSystem, plan: TablePlan) -> TablesPlanned:
    """Permission, point and tables are looked at, and nothing is written. Raises as ``lay_tables`` does."""
    source, aim, _ = planned_tables(bench, wired, plan)
    names = {}
    for asked in plan.tables:
        live = live_table(source, asked)
        if plan.beside is not None and live is not None:
            place = plan.beside.engine.target()
            names[asked] = plan.beside.tables.free_name(place, live, ending(bench, aim, source))
    return TablesPlanned(aim.point, source.name, aim.point.member(source.name).bytes, names)


def planned_tables(bench: Bench, wired: WiredSystem, plan: TablePlan) -> tuple[Source, Aim, tuple[CheckResult, ...]]:
    """The source, the point, and what fails already now. Raises as ``lay_tables`` does."""
    if plan.beside is not None:
        plan.beside.permit()
    source = _source(wired, plan)
    as_restore = RestorePlan(plan.point, ToScratch(plan.keep), (source.name,), at=plan.at)
    aim, doubts = planned(bench, wired, as_restore)
    _refuse_unknown(aim, source, plan)
    return source, aim, doubts


def _source(wired: WiredSystem, plan: TablePlan) -> Source:
    able = [source for source in wired.sources if source.tables is not None]
    chosen = [wired.source(plan.source)] if plan.source else able
    if len(chosen) != 1:
        names = ", ".join(source.name for source in chosen) or "none"
        raise UsageError(f"--table takes one source with tables, not {names}", hint="choose it with --source NAME")
    source = chosen[0]
    if source.tables is None:
        raise UsageError(
            f"single tables of the source {source.name} cannot be laid: it is {source.engine.name}",
            hint="restore it with --to scratch or --to folder:PATH, and look there",
        )
    if plan.beside is not None and family(plan.beside.engine.name) != family(source.engine.name):
        raise UsageError(f"the source {source.name} is {source.engine.name}, {plan.beside.name} is another engine")
    return source


def _refuse_unknown(aim: Aim, source: Source, plan: TablePlan) -> None:
    """A slip of the finger is told before an hour of restoring; what may still be there is looked for on scratch."""
    known = aim.point.member(source.name).facts.groups.get("tables", {})
    if aim.replays or not known:
        return
    for asked in plan.tables:
        if live_table(source, asked) is None and not any(
            asked.strip('"`[]').rpartition(".")[2] in name for name in known
        ):
            raise not_there(aim.point, source, asked)


def not_there(point: RecoveryPoint, source: Source, asked: str) -> PointNotFoundError:
    return PointNotFoundError(
        f"recovery point {point.id} has no table {asked} in its source {source.name}",
        hint="names are as the database writes them, with the schema where several have one: SCHEMA.TABLE",
    )


def live_table(source: Source, asked: str) -> TableShape | None:
    """The live table of that name. Raises UsageError, SourceError."""
    assert source.tables is not None
    return source.tables.table(source.engine.target(), asked)


def ending(bench: Bench, aim: Aim, source: Source) -> str:
    """What the name of a laid table ends with: the instant of its rows, in the site's time."""
    instant = aim.instant or aim.point.member(source.name).consistent_at
    return f"__drmgr_{instant.astimezone(ZoneInfo(bench.timezone)):%Y%m%d_%H%M}"
