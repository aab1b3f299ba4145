"""Whose turn it is: several systems brought back at once, the important ones first, within what the host has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one drill may take at a time: systems, bytes of memory for its servers, bytes of restored data.

    ``memory_is_set``: a person set the limit of memory. Else it is a guess by what is free now, and a system that needs
    more by itself is played alone rather than not at all.
    """

    parallel: int
    memory: int
    disk: int
    memory_is_set: bool = False


@dataclass(frozen=True)
class Candidate:
    """One system that waits. ``after`` are those that it depends on, ``seconds`` how long it is expected to take."""

    name: str
    tier: int = 1
    after: frozenset[str] = frozenset()
    seconds: float = 0.0
    memory: int = 0
    disk: int = 0


def in_order(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """By tier, then those that others depend on first, then the longest first.

    What a system of a better tier depends on counts as being of that tier. Raises ValueError for dependencies that go
    round.
    """
    known = {each.name: each for each in candidates}
    depths: dict[str, int] = {}
    tiers = {each.name: each.tier for each in candidates}
    for each in candidates:
        _depth(each, known, depths, ())
    for each in sorted(candidates, key=lambda each: -depths[each.name]):
        for name in each.after & known.keys():
            tiers[name] = min(tiers[name], tiers[each.name])
    return tuple(sorted(candidates, key=lambda each: (tiers[each.name], depths[each.name], -each.seconds)))


def _depth(each: Candidate, known: Mapping[str, Candidate], depths: dict[str, int], way: tuple[str, ...]) -> int:
    if each.name in way:
        raise ValueError(f"{each.name} depends on itself")
    if each.name not in depths:
        below = (_depth(known[name], known, depths, (*way, each.name)) for name in each.after & known.keys())
        depths[each.name] = max(below, default=-1) + 1
    return depths[each.name]


class Turns:
    """Says who is next. Nobody overtakes one that waits for room; one that waits for another system is passed over.

    With ``holds`` whoever has ended keeps its memory and disk until all have ended.
    """

    def __init__(self, candidates: Sequence[Candidate], limits: Limits, *, holds: bool = False) -> None:
        self._waiting = list(in_order(candidates))
        self._limits = limits
        self._holds = holds
        self._names = {each.name for each in candidates}
        self._running: dict[str, Candidate] = {}
        self._kept: list[Candidate] = []
        self._there: set[str] = set()

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def running(self) -> bool:
        return bool(self._running)

    def take(self) -> Candidate | None:
        """The one to begin now, which counts as running from here on; None while it is nobody's turn."""
        first = self._first()
        if first is None or len(self._running) >= self._limits.parallel or not self._fits(first):
            return None
        self._waiting.remove(first)
        self._running[first.name] = first
        return first

    def refuse(self) -> Candidate | None:
        """One that will never fit, for nothing runs that could make room: it counts as ended from here on."""
        first = self._first()
        if first is None or self._running or self._fits(first):
            return None
        self._waiting.remove(first)
        self._there.add(first.name)
        return first

    def usable(self, name: str) -> None:
        """Those that depend on it need not wait for it any longer."""
        self._there.add(name)

    def ended(self, name: str) -> None:
        """It came back, or it did not: its place is free."""
        gone = self._running.pop(name)
        self._there.add(name)
        if self._holds:
            self._kept.append(gone)

    def _first(self) -> Candidate | None:
        return next((each for each in self._waiting if each.after & self._names <= self._there), None)

    def _fits(self, one: Candidate) -> bool:
        taken = [*self._running.values(), *self._kept]
        if one.disk + sum(each.disk for each in taken) > self._limits.disk:
            return False
        alone = not self._running and not self._limits.memory_is_set
        return alone or one.memory + sum(each.memory for each in taken) <= self._limits.memory
