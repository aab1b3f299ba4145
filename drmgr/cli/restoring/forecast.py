"""The plan of a restore, told before anything is done: what is read, written and renamed, how long, and what is lost."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from drmgr.cli.restoring.ask import NEWEST
from drmgr.cli.restoring.measured import Proven, Took, measured
from drmgr.cli.restoring.restored import check_json
from drmgr.model import CheckResult, Json, Member, Move, move_to_json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.aim import Aim
    from drmgr.flows.bench import Bench, WiredSystem
    from drmgr.flows.restoreplan import RestorePlan, Target
    from drmgr.model import RecoveryPoint

RUN = "<run>"
"""Stands in names for the id that the run will have."""


@dataclass(frozen=True)
class Room:
    """A disk, what the restore will take of it at most, and what is free, in bytes; None: drmgr cannot see it."""

    place: str
    needed: int
    free: int | None


@dataclass(frozen=True)
class Forecast:
    """``instant``: all that was committed before it comes back. ``touched``: production is, and loses what came after.

    ``failing`` are checks that fail already now, before anything was brought back: the restore will end with 4.
    """

    system: str
    target: str
    point: "RecoveryPoint"
    instant: datetime
    now: datetime
    members: tuple[Member, ...]
    touched: bool
    rto: float
    at: str = ""
    moves: tuple[Move, ...] = ()
    rooms: tuple[Room, ...] = ()
    users: int = 0
    expected: Took | None = None
    proven: Proven | None = None
    failing: tuple[CheckResult, ...] = ()
    between: bool = True
    """Whether the target can go to an instant between recovery points."""
    reaches: datetime | None = None
    """How far the shipped logs would go from this point, where that is further than what was asked for."""

    @property
    def aside(self) -> tuple[str, ...]:
        """The sources of which something is there to be set aside."""
        return tuple(dict.fromkeys(move.source for move in self.moves if move.kept))

    @property
    def lost(self) -> float:
        """Seconds between what comes back and now."""
        return max(0.0, (self.now - self.instant).total_seconds())

    @property
    def reads(self) -> int:
        return sum(member.bytes for member in self.members)


def forecast(opened: "Site", bench: "Bench", wired: "WiredSystem", plan: "RestorePlan") -> Forecast:
    """Raises as the restore itself would before it writes anything."""
    from drmgr.flows.bringback import members
    from drmgr.flows.original import ToOriginal
    from drmgr.flows.restoreplan import ToConnection, describe, planned

    aim, failing = planned(bench, wired, plan)
    chosen, target = members(aim.point, wired, plan.sources), plan.target
    known = measured(opened, wired.system.id)
    oldest = min(member.consistent_at for member in chosen)
    moves: tuple[Move, ...] = ()
    if isinstance(target, ToOriginal):
        moves = tuple(move for name, place in target.places.items() for move in place.moves(RUN, name))
    return Forecast(
        system=wired.system.id,
        target=describe(target),
        point=aim.point,
        instant=aim.instant or oldest,
        now=bench.clock.now(),
        members=chosen,
        touched=isinstance(target, ToOriginal | ToConnection),
        rto=wired.system.objectives.rto.total_seconds(),
        at=plan.at,
        moves=moves,
        rooms=_rooms(opened, plan, chosen),
        users=sum(place.users() for place in target.places.values()) if isinstance(target, ToOriginal) else 0,
        expected=known.expected(),
        proven=known.proven.get(aim.point.id),
        failing=failing,
        between=_between(target, chosen),
        reaches=_reaches(wired, aim, plan, bench.clock.now()),
    )


def _between(target: "Target", chosen: tuple[Member, ...]) -> bool:
    from drmgr.flows.original import ToOriginal
    from drmgr.flows.restoreplan import ToScratch

    if isinstance(target, ToOriginal):
        places = [target.places[member.source] for member in chosen]
        return all(place.by_scratch or place.replays for place in places)
    return isinstance(target, ToScratch)


def _reaches(wired: "WiredSystem", aim: "Aim", plan: "RestorePlan", now: datetime) -> datetime | None:
    from drmgr.errors import PointNotFoundError
    from drmgr.flows.aim import newest
    from drmgr.flows.points import SealedPoint

    chosen = [source for source in wired.sources if not plan.sources or source.name in plan.sources]
    if plan.at or not all(source.logs for source in chosen):
        return None
    try:
        return newest(wired, [SealedPoint(aim.point, "")], now, tuple(source.name for source in chosen)).instant
    except PointNotFoundError:
        # its clock was set back: nobody can tell which of two equal times is meant
        return None


def _rooms(opened: "Site", plan: "RestorePlan", chosen: tuple[Member, ...]) -> tuple[Room, ...]:
    from drmgr.flows.bringback import needed_bytes
    from drmgr.flows.original import ToOriginal, room
    from drmgr.flows.restoreplan import ToConnection, ToFolder

    match plan.target:
        case ToFolder(path=path):
            return (_room(path, sum(member.bytes for member in chosen)),)
        case ToConnection(name=name):
            return (_staging(opened, chosen), Room(f"connection {name}", sum(map(room, chosen)), None))
        case ToOriginal(places=places):
            found = []
            for member in chosen:
                disk = places[member.source].disk()
                found.append(
                    Room(f"the server of {member.source}", room(member), None)
                    if disk is None
                    else _room(disk, room(member))
                )
            return (*found, _staging(opened, chosen))
    return (_room(opened.place(opened.config.scratch.directory), needed_bytes(chosen)),)


def _staging(opened: "Site", chosen: tuple[Member, ...]) -> Room:
    from drmgr.flows.bringback import needed_bytes

    return _room(opened.place(opened.config.scratch.directory), needed_bytes(chosen))


def _room(path: Path, needed: int) -> Room:
    from drmgr.system.files import free_bytes

    return Room(str(path), needed, free_bytes(path))


def forecast_json(plan: Forecast) -> Json:
    from drmgr.system.clock import rfc3339

    expected, proven = plan.expected, plan.proven
    return {
        "system": plan.system,
        "status": "planned",
        "target": plan.target,
        "point": plan.point.id,
        "at": plan.at or rfc3339(plan.point.consistent_at),
        "reads": plan.reads,
        "sources": [member.source for member in plan.members],
        "instant": rfc3339(plan.instant),
        "lost": {"seconds": plan.lost, "production": plan.touched, "kept_of": list(plan.aside)},
        "log_reaches": None if plan.reaches is None else rfc3339(plan.reaches),
        "rto": plan.rto,
        "expected": None
        if expected is None
        else {"seconds": expected.seconds, "bytes": expected.size, "at": rfc3339(expected.at), "from": expected.name},
        "drilled": None if proven is None else {"level": proven.level, "at": rfc3339(proven.at), "from": proven.name},
        "renames": [move_to_json(move) for move in plan.moves],
        "sessions": plan.users,
        "failing": [check_json(check) for check in plan.failing],
        "disk": [{"place": room.place, "needed": room.needed, "free": room.free} for room in plan.rooms],
    }


def show_forecast(console: "Console", opened: "Site", plan: Forecast) -> None:
    from drmgr.cli.output import human_bytes

    zone = opened.zone
    as_of = as_of_text(plan.at, plan.instant, zone)
    lines: list[tuple[str, str]] = [
        ("recovery point", plan.point.id),
        ("as of", f"{as_of} ({zone})"),
        ("will be lost", _lost(plan)),
        *(() if plan.reaches is None else (("log reaches", _log(plan, zone)),)),
        ("drilled", _drilled(plan, opened)),
        *(("BEWARE", f"{check.name}: {check.message}") for check in plan.failing),
        ("sources", ", ".join(member.source for member in plan.members)),
        ("to read", human_bytes(plan.reads)),
        ("target", plan.target),
        *(("set aside" if move.kept else "in place", f"{move.old} -> {move.new}") for move in plan.moves),
        *(("disk", _disk(room)) for room in plan.rooms),
        ("expected", _expected(plan, opened)),
    ]
    if plan.users:
        lines.append(("cut off", f"{plan.users} sessions or programs that work in it now (--end-sessions)"))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        first, more = f"{name:<{width}}  ", " " * (width + 2)
        folded = wrap(text, console.width, initial_indent=first, subsequent_indent=more, break_long_words=False)
        console.print("\n".join(folded), markup=False, soft_wrap=True)


def as_of_text(at: str, instant: datetime, zone: tzinfo) -> str:
    """The target of a restore for people, in that zone; a name or a position in a log as it was given."""
    from drmgr.cli.output import human_time

    if at in ("", NEWEST):
        return human_time(instant, zone)
    try:
        asked = datetime.fromisoformat(at)
    except ValueError:
        return at
    # one without a zone was meant in the site's
    return human_time(asked if asked.tzinfo else asked.replace(tzinfo=zone), zone)


def show_dry_run(console: "Console", opened: "Site", plan: Forecast) -> None:
    show_forecast(console, opened, plan)
    console.print("nothing written: this was a dry run", markup=False)


def _lost(plan: Forecast) -> str:
    from drmgr.cli.output import human_seconds

    age = human_seconds(plan.lost)
    if plan.target == "original":
        return f"the last {age}: {_kept(plan)}"
    return f"nothing in production; what comes back lacks the last {age}"


def _kept(plan: Forecast) -> str:
    gone = [member.source for member in plan.members if member.source not in plan.aside]
    if not gone:
        return "written since then, it is kept only in what is set aside"
    if not plan.aside:
        return "nothing is there that could be set aside, so what was written since then is nowhere"
    kept = ", ".join(plan.aside)
    return f"what was written to {kept} since then is kept only in what is set aside; of {', '.join(gone)} nothing is there"


def _log(plan: Forecast, zone: tzinfo) -> str:
    from drmgr.cli.output import human_seconds, human_time

    assert plan.reaches is not None
    age = human_seconds(max(0.0, (plan.now - plan.reaches).total_seconds()))
    return f"{human_time(plan.reaches, zone)}: --at newest lacks only the last {age}{_where(plan)}"


def _where(plan: Forecast) -> str:
    """Where the log is gone through, if not by the target of the plan."""
    return "" if plan.between else " (with --to scratch)"


def _drilled(plan: Forecast, opened: "Site") -> str:
    from drmgr.cli.output import human_time

    if plan.proven is None:
        return "no: this very point was never brought back"
    return f"to level {plan.proven.level}, {human_time(plan.proven.at, opened.zone)} ({plan.proven.name})"


def _disk(room: Room) -> str:
    from drmgr.cli.output import human_bytes

    free = "what is free there is not known" if room.free is None else f"{human_bytes(room.free)} free"
    return f"{room.place}: at most {human_bytes(room.needed)}, {free}"


def _expected(plan: Forecast, opened: "Site") -> str:
    from drmgr.cli.output import human_seconds, human_time

    rto = f"RTO {human_seconds(plan.rto)}"
    if plan.expected is None:
        return f"not known: no drill or restore of it was measured yet; {rto}"
    took = human_seconds(plan.expected.seconds)
    late = "" if plan.expected.seconds <= plan.rto else ", which it misses"
    when = human_time(plan.expected.at, opened.zone)
    return f"{took}, as {plan.expected.name} took {when}; {rto}{late}"
