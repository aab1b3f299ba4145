"""A restore in a system's own place: what gets another name, and how far that has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from drmgr.model.told import NOTHING_TOLD, Told, told_from_json, told_to_json
from drmgr.model.words import Json, OccasionKind


@dataclass(frozen=True)
class Move:
    """One thing of one source gets another name, in the words of its engine: a database, a file, a folder.

    ``kept``: under the new name it is set aside and kept; else it is in use from then on.
    """

    source: str
    old: str
    new: str
    kept: bool = False

    @property
    def back(self) -> "Move":
        """The same the other way round."""
        return Move(self.source, self.new, self.old, not self.kept)


class SwapPhase(StrEnum):
    """How far a restore in place has come. What is ``beside`` may be taken away, from ``proven`` on nothing ever is."""

    BESIDE = "beside"
    PROVEN = "proven"
    SWAPPING = "swapping"
    SWAPPED = "swapped"
    UNDOING = "undoing"
    UNDONE = "undone"
    DROPPED = "dropped"


@dataclass(frozen=True)
class OwnTimes:
    """What drmgr measured itself: T4 restore starts, T5 data usable, T6 verified; None: not reached yet."""

    t4: datetime | None = None
    t5: datetime | None = None
    t6: datetime | None = None


@dataclass(frozen=True)
class Swap:
    """What is on disk before anything gets another name: by it a broken-off restore is found, ended or undone.

    ``accepted`` are the names of checks that did not pass before the swap, and that a person accepted. ``told`` and
    ``occasion`` are those of the command that began; ``brought_back``: everything before that instant is in what it
    restored; None: that is the recovery point's own. ``course`` is what was measured first: a later check in place does
    not move it.
    """

    run: str
    system: str
    phase: SwapPhase
    point: str
    reason: str
    begun_at: datetime
    sources: tuple[str, ...]
    moves: tuple[Move, ...] = ()
    copy: str = ""
    at: str = ""
    accepted: tuple[str, ...] = ()
    told: Told = NOTHING_TOLD
    occasion: OccasionKind = OccasionKind.INCIDENT
    brought_back: datetime | None = None
    undone_at: datetime | None = None
    course: OwnTimes = OwnTimes()

    @property
    def broken_off(self) -> bool:
        """Whether some things may have their new names and others not."""
        return self.phase in (SwapPhase.SWAPPING, SwapPhase.UNDOING)


def swap_to_json(swap: Swap) -> Json:
    """As it is kept on disk and told to programs."""
    return {
        "run": swap.run,
        "system": swap.system,
        "phase": swap.phase.value,
        "point": swap.point,
        "at": swap.at,
        "copy": swap.copy,
        "reason": swap.reason,
        "begun_at": swap.begun_at.isoformat(),
        "sources": list(swap.sources),
        "moves": [move_to_json(move) for move in swap.moves],
        "accepted": list(swap.accepted),
        "told": told_to_json(swap.told),
        "occasion": swap.occasion.value,
        "brought_back": None if swap.brought_back is None else swap.brought_back.isoformat(),
        "undone_at": None if swap.undone_at is None else swap.undone_at.isoformat(),
        "course": {
            name: None if at is None else at.isoformat()
            for name, at in (("t4", swap.course.t4), ("t5", swap.course.t5), ("t6", swap.course.t6))
        },
    }


def move_to_json(move: Move) -> dict[str, Json]:
    return {"source": move.source, "old": move.old, "new": move.new, "kept": move.kept}


def swap_from_json(body: Mapping[str, Json]) -> Swap:
    """Raises KeyError, ValueError, TypeError for anything else."""
    back, undone = body.get("brought_back"), body.get("undone_at")
    return Swap(
        run=str(body["run"]),
        system=str(body["system"]),
        phase=SwapPhase(body["phase"]),
        point=str(body["point"]),
        reason=str(body["reason"]),
        begun_at=datetime.fromisoformat(body["begun_at"]),
        sources=tuple(str(name) for name in body["sources"]),
        moves=tuple(Move(str(m["source"]), str(m["old"]), str(m["new"]), bool(m["kept"])) for m in body["moves"]),
        copy=str(body["copy"]),
        at=str(body["at"]),
        accepted=tuple(str(name) for name in body.get("accepted", ())),
        told=told_from_json(body.get("told", {})),
        occasion=OccasionKind(body.get("occasion", OccasionKind.INCIDENT)),
        brought_back=None if back is None else datetime.fromisoformat(back),
        undone_at=None if undone is None else datetime.fromisoformat(undone),
        course=OwnTimes(**{name: datetime.fromisoformat(at) for name, at in body.get("course", {}).items() if at}),
    )
