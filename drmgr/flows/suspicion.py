"""Whether a new recovery point looks like its predecessors: pure rules over what seals hold. Nothing is read, nothing stored.

Two ways of looking at a source. *What was lost*: rows of a table, files of a tree, bytes, against the last point that is
trusted. *What happened*: how many files were replaced since the backup before, how much of the source is new, and whether
the new data can be compressed, against median and median absolute deviation of the trusted points before. Outliers by
the modified z-score above 3.5 of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993), its deviations scaled
by 1.4826 to those of a normal distribution (Hampel 1974). That encryption shows in many files replaced at once by such
that nothing compresses is what CryptoDrop judges by (Scaife and others, ICDCS 2016), there of one program, here of one
night.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from drmgr.model import EVENTS, Doubt, DoubtKind, Judgement, Member, RecoveryPoint

DEVIATIONS = 3.5
MAD_TO_SIGMA = 1.4826

LEAST_CHANGE = 0.15
"""A share or a compressibility that differs from its median by less is never called unusual, however regular it was."""

FAR_ABOVE = 0.25
"""What lies above all that was seen before by more than this is unusual, however much that differed: of few points the
deviation says little."""

INCOMPRESSIBLE = 0.9
"""Stored bytes for each new byte: encrypted content gives 1; a tree's own folders and names, stored with it, a little less."""

TREE = 10
"""Files from which on a source is judged as a tree; a dump is one file, and always replaced as a whole."""

LEARNED = 0.1
"""A loss that is larger by no more than this than one that was seen before and is trusted is nothing new."""

LOSSES = (DoubtKind.SHRUNK, DoubtKind.EMPTIED)
"""Over when what was lost is back, which only a history can tell."""

MOVING = "moving"
"""The group of facts that names tables which changed while they were read."""

CAME_BACK = 0.9
"""The share of what was replaced that must have been replaced again, with content that was stored before."""


@dataclass(frozen=True)
class Sensitivity:
    """From where on something is suspicious. ``points``: how many trusted ones are looked back over.

    Nothing new is doubted before ``after`` of them. ``lost``: share of rows, files or bytes. ``rows``: tables and trees that
    had fewer are left alone. ``replaced``: share of files and of bytes. ``encrypted``: the same where the new data cannot be
    compressed and those before could. ``new_bytes``: what happened is not judged by fewer new ones.
    """

    points: int = 30
    after: int = 3
    lost: float = 0.5
    rows: int = 20
    replaced: float = 0.5
    encrypted: float = 0.1
    new_bytes: int = 1024 * 1024


@dataclass(frozen=True)
class _Seen:
    """One source in one point. Shares are of its files and bytes; None where nothing is known to compare with.

    ``unknown`` are tables that are there and whose rows could not be counted, for they changed meanwhile.
    """

    point: str
    rows: Mapping[str, int]
    files: int
    size: int
    replaced: float | None = None
    fresh: float | None = None
    added: int = 0
    compressed: float | None = None
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class History:
    """The points of a system, oldest first, and the ids of those that a person has accepted."""

    points: Sequence[RecoveryPoint]
    accepted: frozenset[str] = frozenset()


def judge(
    point: str, members: Sequence[Member], history: History, sensitivity: Sensitivity, canaries: Mapping[str, bool]
) -> Judgement:
    """The judgement of a new point of that id. ``canaries`` tells of each source that has one whether it is sound.

    A source is compared with those points in which nothing of it is in doubt. One that the point does not hold is missed when
    the point before did, however short the history.
    """
    compared: dict[str, int] = {}
    doubts = [*_gone(point, members, history)]
    for member in members:
        told = _Source(point, member, history, sensitivity)
        compared[member.source] = len(told.trusted)
        doubts += told.doubts()
        doubts += told.canary(canaries.get(member.source))
    return Judgement(compared, sensitivity.after, tuple(doubts), dict(canaries))


def _gone(point: str, members: Sequence[Member], history: History) -> Iterator[Doubt]:
    """Sources of the point before that the new one has not, and those that were missed there and are not back."""
    if not history.points:
        return
    # an incomplete one too: it lacks files, and names all its sources
    last, here = history.points[-1], {member.source for member in members}
    missed = {
        doubt.source: doubt for doubt in open_doubts(last, history.accepted) if doubt.kind is DoubtKind.SOURCE_GONE
    }
    for source in sorted({*missed, *(member.source for member in last.members)} - here):
        yield missed.get(source) or Doubt(source, DoubtKind.SOURCE_GONE, point)


def open_doubts(point: RecoveryPoint, accepted: frozenset[str]) -> tuple[Doubt, ...]:
    """Those that nobody has accepted, in this point or in the one where they were seen first."""
    if point.judgement is None or point.id in accepted:
        return ()
    return tuple(doubt for doubt in point.judgement.doubts if doubt.since not in accepted)


class _Source:
    """One source of the new point beside the same in the points before it."""

    def __init__(self, point: str, member: Member, history: History, sensitivity: Sensitivity) -> None:
        self._point = point
        self._source = member.source
        self._rules = sensitivity
        ours = [(each, found) for each in history.points if (found := _same(each, member)) is not None]
        seen = [*_sights([*((each.id, found) for each, found in ours), (point, member)])]
        self._now = seen[-1]
        doubted = {
            each.id: [doubt for doubt in open_doubts(each, history.accepted) if doubt.source == self._source]
            for each, _ in ours
        }
        whole = [
            sight for sight, (each, found) in zip(seen, ours, strict=False) if found.complete and not doubted[each.id]
        ]
        self.trusted = whole[-sensitivity.points :]
        trusted_ids = {sight.point for sight in self.trusted}
        self._canaries = [
            each.judgement.canaries[self._source]
            for each, _ in ours
            if each.id in trusted_ids and each.judgement is not None and self._source in each.judgement.canaries
        ]
        self._last = _last_doubts(self._source, history)

    def doubts(self) -> Iterator[Doubt]:
        found = [*self._lost(), *self._happened()]
        yield from found
        # what was doubted in the point before is not over because nothing more has happened since
        again = any(doubt.kind in EVENTS for doubt in found)
        yield from (doubt for doubt in self._last if doubt.kind in EVENTS and not again and not self._came_back(doubt))
        if len(self.trusted) < self._rules.after:
            # nothing to judge by, as after a change of the method: what was lost is not known to be back
            yield from (doubt for doubt in self._last if doubt.kind in LOSSES)

    def canary(self, sound: bool | None) -> Iterator[Doubt]:
        """One that was never there is not missed: it was not planted yet."""
        missed = any(doubt.kind is DoubtKind.CANARY for doubt in self._last)
        if sound is False and (missed or (self._canaries and self._canaries[-1])):
            yield self._doubt(DoubtKind.CANARY, "", {})

    def _doubt(self, kind: DoubtKind, subject: str, figures: Mapping[str, float]) -> Doubt:
        """Seen since the point before, if it was in doubt there and has not become worse."""
        key = (self._source, kind, subject)
        earlier = next((doubt for doubt in self._last if doubt.key == key), None)
        same = earlier is not None and figures.get("now", 0) >= earlier.figures.get("now", 0) * (1 - LEARNED)
        since = earlier.since if earlier is not None and same and kind not in EVENTS else self._point
        return Doubt(self._source, kind, since, subject, {name: round(value, 4) for name, value in figures.items()})

    # --- what was lost ---

    def _lost(self) -> Iterator[Doubt]:
        if len(self.trusted) < self._rules.after:
            return
        last = self.trusted[-1]
        sizes = [sight.size for sight in self.trusted]
        if self._fell(self._now.size, sizes, self._rules.new_bytes):
            yield self._doubt(DoubtKind.SHRUNK, "", {"before": last.size, "now": self._now.size})
        if self._fell(self._now.files, [sight.files for sight in self.trusted], self._rules.rows):
            yield self._doubt(DoubtKind.EMPTIED, "", {"before": last.files, "now": self._now.files})
        for table, rows in sorted(last.rows.items()):
            counts = [sight.rows[table] for sight in self.trusted if table in sight.rows]
            now = self._now.rows.get(table)
            if now is None and (table in self._now.unknown or not self._family_fell(table)):
                continue
            if self._fell(now or 0, counts, self._rules.rows):
                yield self._doubt(DoubtKind.EMPTIED, table, {"before": rows, "now": now or 0})

    def _family_fell(self, table: str) -> bool:
        """A table with a date in its name goes when its time has come, and others like it have come meanwhile."""
        family = _family(table)
        sums = [sum(_of_family(sight.rows, family)) for sight in (*self.trusted, self._now)]
        return family == table or self._fell(sums[-1], sums[:-1], self._rules.rows)

    def _fell(self, now: int, before: Sequence[int], least: int) -> bool:
        """Most of what the last one had is gone, and it never lost about as much before.

        So a table that is cleared every week is learned once, by its first points or by a person who accepts it.
        """
        loss = _loss(before[-1], now, least)
        usual = max((_loss(one, then, least) for one, then in pairwise(before)), default=0.0)
        return loss >= self._rules.lost and loss > usual + LEARNED

    # --- what happened ---

    def _happened(self) -> Iterator[Doubt]:
        now, rules = self._now, self._rules
        if len(self.trusted) < rules.after or now.added < rules.new_bytes:
            return
        if now.fresh is None or now.compressed is None or now.replaced is None:
            return
        tree = now.files >= TREE
        usual = [sight.compressed for sight in self.trusted if sight.added >= rules.new_bytes and sight.compressed]
        figures = {"replaced": now.replaced, "new": now.fresh, "compressed": now.compressed}
        # of the first backup everything is new: it tells what the content is like, not what a night is
        suddenly = _unusual(now.fresh, [sight.fresh for sight in self.trusted if sight.replaced is not None])
        collapsed = bool(usual) and now.compressed >= INCOMPRESSIBLE and _unusual(now.compressed, usual)
        enough = rules.encrypted if tree else rules.replaced
        if collapsed and suddenly and now.fresh >= enough and now.replaced >= rules.encrypted:
            yield self._doubt(DoubtKind.ENCRYPTED, "", {**figures, "usual": median(usual)})
            return
        all_at_once = _unusual(now.replaced, [sight.replaced for sight in self.trusted])
        if tree and suddenly and all_at_once and min(now.replaced, now.fresh) >= rules.replaced:
            yield self._doubt(DoubtKind.REWRITTEN, "", figures)

    def _came_back(self, doubt: Doubt) -> bool:
        """Whether as many files were replaced once more, by content that the repository had already.

        Of a dump nothing tells that, and only a person can say so.
        """
        now = self._now
        if now.replaced is None or now.fresh is None or now.files < TREE:
            return False
        return now.replaced >= doubt.figures.get("replaced", 1.0) * CAME_BACK and now.fresh < self._rules.encrypted


def _last_doubts(source: str, history: History) -> list[Doubt]:
    """Those of the last point that has the source, whatever method took it: another one makes nothing well."""
    having = (each for each in reversed(history.points) if any(member.source == source for member in each.members))
    last = next(having, None)
    return [] if last is None else [doubt for doubt in open_doubts(last, history.accepted) if doubt.source == source]


def _same(point: RecoveryPoint, member: Member) -> Member | None:
    """The same source in that point; None if another engine took it: its figures are of another kind."""
    return next(
        (each for each in point.members if (each.source, each.engine) == (member.source, member.engine)),
        None,
    )


def _sights(members: Sequence[tuple[str, Member]]) -> Iterator[_Seen]:
    files_before: int | None = None
    for point, member in members:
        yield _seen(point, member, files_before)
        files_before = sum(part.files for part in member.parts)


def _seen(point: str, member: Member, files_before: int | None) -> _Seen:
    tables = member.facts.groups.get("tables", {})
    rows = {name: int(item["rows"]) for name, item in tables.items() if isinstance(item, Mapping) and "rows" in item}
    unknown = frozenset(member.facts.groups.get(MOVING, {}))
    files = sum(part.files for part in member.parts)
    changes = [part.change for part in member.parts if part.change is not None]
    if len(changes) < len(member.parts):
        return _Seen(point, rows, files, member.bytes, unknown=unknown)
    added = sum(change.added for change in changes)
    unmodified = sum(change.unmodified for change in changes)
    return _Seen(
        point,
        rows,
        files,
        member.bytes,
        replaced=1 - min(1.0, unmodified / files_before) if files_before else None,
        fresh=min(1.0, added / member.bytes) if member.bytes else None,
        added=added,
        compressed=member.bytes_added / added if added else None,
        unknown=unknown,
    )


def _family(table: str) -> str:
    return re.sub(r"\d{4,}", "#", table)


def _of_family(rows: Mapping[str, int], family: str) -> Iterator[int]:
    return (count for table, count in rows.items() if _family(table) == family)


def _loss(before: int, now: int, least: int) -> float:
    """The share that is gone; nothing where there was little before."""
    return max(0.0, 1 - now / before) if before >= max(least, 1) else 0.0


def _unusual(value: float, before: Sequence[float | None]) -> bool:
    """Whether the value lies above those before it by more than their own spread, and by no small amount."""
    known = [each for each in before if each is not None]
    if not known:
        return False
    middle = median(known)
    spread = MAD_TO_SIGMA * median(abs(each - middle) for each in known)
    outlier = middle + max(LEAST_CHANGE, DEVIATIONS * spread)
    return value > min(outlier, max(known) + FAR_ABOVE)
