"""Level 3: what is true of the restored data equals what was true at the very instant of the backup."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drmgr.interfaces import Engine
from drmgr.model import CheckResult, CheckStatus, Facts, Json, Level, Restored, Text

OWNERS_NOT_COMPARED = "not-compared"

MOST_MOVING = 0.1
"""The share of a tree's files that may change while it is stored: of more, equal facts would say too little."""

MOST_NAMES = 8
"""How many differing items a message names."""


@dataclass(frozen=True)
class Comparison:
    """Per group of facts: how many items there were, how many are equal now, and the names of those that are not."""

    items: Mapping[str, int]
    equal: Mapping[str, int]
    differing: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """All equal, and there was something to compare."""
        return not self.differing and sum(self.items.values()) > 0


def compare(stored: Facts, found: Facts) -> Comparison:
    """Compares group by group; an item that only one side has is a difference."""
    items: dict[str, int] = {}
    equal: dict[str, int] = {}
    differing: list[str] = []
    for group in sorted({*stored.groups, *found.groups}):
        before, now = stored.groups.get(group, {}), found.groups.get(group, {})
        agrees = _RULES.get(group, _same)
        names = sorted({*before, *now})
        wrong = [name for name in names if name not in before or name not in now or not agrees(before[name], now[name])]
        items[group], equal[group] = len(names), len(names) - len(wrong)
        differing += [f"{group} {name}" for name in wrong]
    return Comparison(items, equal, tuple(differing))


def _same(before: Json, now: Json) -> bool:
    return bool(before == now)


def _within(before: Json, now: Json) -> bool:
    """Sequences are not transactional: the dump's value lies between those read before and after it."""
    bounds = sorted((before["low"], before["high"]))
    return bool(bounds[0] <= now["low"] <= bounds[1])


def _same_owners(before: Json, now: Json) -> bool:
    """Only root can give files back to whom they belonged; whoever is not says that he did not compare."""
    return bool(now in {before, OWNERS_NOT_COMPARED})


_RULES: Mapping[str, Callable[[Json, Json], bool]] = {"sequences": _within, "owners": _same_owners}


class FactsCheck:
    """Takes the facts of the restored source again, by the same code, and compares.

    Of a file tree it says of how many files the contents were compared. ``sampled``: the job asks for some of them; else a
    point that knows fewer than all that stood still does not pass.
    """

    level = Level.FACTS

    def __init__(self, source: str, engine: Engine, *, sampled: bool = False) -> None:
        self.name = f"facts-{source}"
        self._source = source
        self._engine = engine
        self._sampled = sampled

    def run(self, restored: Restored) -> CheckResult:
        stored = restored.point.member(self._source).facts
        found = self._engine.facts(restored.instance(self._source), stored)
        result, read = compare(stored, found), _read(stored)
        unread = read.lacks(sampled=self._sampled) if read else ""
        proven = result.holds and not unread and not _tables_all_moving(stored)
        told = (_naming(result.differing), unread, _not_compared(stored, read), _owners(found), _nearness(stored))
        return CheckResult(
            self.name,
            CheckStatus.PASS if proven else CheckStatus.FAIL,
            self.level,
            expected={**result.items, **({"contents_compared": read.files} if read else {})},
            actual={**result.equal, **({"contents_compared": read.known} if read else {})},
            source=self._source,
            title=_title(read),
            message="; ".join(filter(None, told)),
        )


@dataclass(frozen=True)
class _Read:
    """Of how many files of a tree the contents are known, and how many changed while they were stored."""

    files: int
    known: int
    moving: int

    def lacks(self, *, sampled: bool) -> str:
        """Why this is not the reading that the job asks for; empty when it is."""
        if self.files and not self.known:
            return "nothing is known of any content"
        if self.moving > self.files * MOST_MOVING:
            return f"more than {MOST_MOVING:.0%} of the files changed while they were stored"
        if not sampled and self.known + self.moving < self.files:
            return "the job asks for every content, and this point was made by samples"
        return ""


def _read(stored: Facts) -> _Read | None:
    files = stored.groups.get("files", {})
    count, known, moving = files.get("count"), files.get("hashed"), files.get("moving", 0)
    if isinstance(count, int) and isinstance(known, int) and isinstance(moving, int):
        return _Read(count, known, moving)
    return None


def _title(read: _Read | None) -> Text:
    if read is None or read.known >= read.files:
        return Text("与备份时刻的事实一致", "facts equal those of the backup's instant")
    of = read.files, read.known
    return Text(
        "与备份时刻的事实一致（{} 个文件中比对了 {} 个的内容）".format(*of),
        "facts equal those of the backup's instant (of {} files the contents of {} were compared)".format(*of),
    )


def _tables_all_moving(stored: Facts) -> bool:
    """Every table changed while it was stored, so that nothing is known of any content."""
    return bool(stored.groups.get("moving")) and not stored.groups.get("tables")


def _not_compared(stored: Facts, read: _Read | None) -> str:
    """What the facts say nothing of, so that nobody takes a pass for more than it is."""
    if read is not None and read.known < read.files:
        return f"contents compared of {read.known} of {read.files} files; {read.moving} changed while they were stored"
    tables = stored.groups.get("tables", {})
    counted = sum(isinstance(item, Mapping) and "fingerprint" not in item for item in tables.values())
    return f"contents not compared of {counted} tables, only counted" if counted else ""


def _nearness(stored: Facts) -> str:
    """How near the facts are to the backup's instant, where the engine cannot ask at that very instant."""
    between, moving = stored.groups.get("instant"), sorted(stored.groups.get("moving", {}))
    if not between:
        return ""
    told = f"the backup's instant lies between {between['not_before']} and {between['not_after']}"
    if not moving:
        return f"{told}, and no table changed meanwhile"
    return f"{told}; contents not compared of {len(moving)} tables that changed meanwhile: {', '.join(moving[:MOST_NAMES])}"


def _owners(found: Facts) -> str:
    unknown = OWNERS_NOT_COMPARED in found.groups.get("owners", {}).values()
    return "owners of files not compared: drmgr is not root here" if unknown else ""


def _naming(differing: tuple[str, ...]) -> str:
    if not differing:
        return ""
    more = f" and {len(differing) - MOST_NAMES} more" if len(differing) > MOST_NAMES else ""
    return "differs: " + ", ".join(differing[:MOST_NAMES]) + more
