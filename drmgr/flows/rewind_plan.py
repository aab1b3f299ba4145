"""What a rewind would do to each key, decided from the versions alone. Pure: nothing is read or changed here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from drmgr.model import Json, ObjectKind, Stored, Version


class Act(StrEnum):
    """``uncover``: it was deleted. ``cover``: it was overwritten. ``hide``: it was not there then. ``absent``: nor now.

    ``lost``: no version of it is good.
    """

    KEEP = "keep"
    UNCOVER = "uncover"
    COVER = "cover"
    HIDE = "hide"
    ABSENT = "absent"
    LOST = "lost"


CHANGES = (Act.UNCOVER, Act.COVER, Act.HIDE)


@dataclass(frozen=True)
class Decision:
    """What to do with one key. ``good``: the versions that may be the one of that time, the likeliest first."""

    stored: Stored
    act: Act
    good: tuple[Version, ...] = ()

    @property
    def changed_at(self) -> datetime:
        """When the key became what it is now."""
        return self.stored.versions[0].modified

    @property
    def size(self) -> int:
        shown = self.good[0] if self.good else self.stored.current
        return 0 if shown is None else shown.size


def decide(stored: Stored, cut: datetime) -> Decision:
    """What brings the key back to how it was at ``cut`` (the store's clock; what was written in that second counts)."""
    before = [version for version in stored.versions if version.modified <= cut]
    existed = bool(before) and not before[0].marker and stored.kind is not ObjectKind.LOCKS
    if not existed:
        return Decision(stored, Act.ABSENT if stored.current is None else Act.HIDE)
    wanted = Stored(stored.key, tuple(before)).contents
    # a right name proves a content whenever it was written, so newer ones are better than none
    later = tuple(each for each in stored.contents if not any(each.equals(other) for other in wanted))
    good = (*wanted, *later) if stored.digest else wanted
    current = stored.current
    if current is not None and (current.id == wanted[0].id or current.equals(wanted[0])):
        return Decision(stored, Act.KEEP, good)
    return Decision(stored, act_for(stored, wanted[0]), good)


def act_for(stored: Stored, version: Version) -> Act:
    """How that version becomes current."""
    newest = stored.contents[0]
    if newest.id != version.id and not newest.equals(version):
        return Act.COVER
    return Act.KEEP if stored.current is not None else Act.UNCOVER


@dataclass
class Sum:
    """Objects of one act, their bytes, and when the first and the last of them was changed."""

    objects: int = 0
    bytes: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, decision: Decision) -> None:
        at = decision.changed_at
        self.objects += 1
        self.bytes += decision.size
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)


@dataclass
class Plan:
    """The sums of all decisions; memory does not grow with the objects. ``config``: whether there was a repository."""

    cut: datetime
    sums: dict[Act, Sum] = field(default_factory=lambda: {act: Sum() for act in Act})
    config: bool = False

    def add(self, decision: Decision) -> None:
        self.sums[decision.act].add(decision)
        if decision.stored.kind is ObjectKind.CONFIG and decision.good:
            self.config = True

    @property
    def changes(self) -> int:
        return sum(self.sums[act].objects for act in CHANGES)

    def counts(self) -> dict[str, Json]:
        """Objects and bytes of each act, as records and answers show them."""
        return {
            act.value: {"objects": found.objects, "bytes": found.bytes}
            for act, found in self.sums.items()
            if act is not Act.ABSENT
        }


def plan_of(stored: Iterable[Stored], cut: datetime) -> Plan:
    """Reads through all keys once."""
    plan = Plan(cut)
    for each in stored:
        plan.add(decide(each, cut))
    return plan
