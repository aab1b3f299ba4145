"""Suspicious points: which they are now, in words, and a person's word that one of them is as it should be.

What is doubtful stands in a point's own seal. That somebody has accepted it is a small snapshot beside it, so the
repository tells both, to every host and from every copy.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drmgr.errors import PreflightError, RepositoryDamagedError, RepositoryError
from drmgr.flows.points import MARK, Found, SealedPoint, choose
from drmgr.flows.suspicion import History, open_doubts
from drmgr.interfaces import Repository
from drmgr.model import CheckResult, CheckStatus, Doubt, DoubtKind, Json, Level, Member, RecoveryPoint, Snapshot, Text
from drmgr.system.clock import rfc3339

ACCEPTS = "accepts="
FILE_NAME = "acceptance.json"
SCHEMA = "drmgr/acceptance/1"


@dataclass(frozen=True)
class Acceptance:
    """Who has looked at a suspicious point, when, and why it is well."""

    point: str
    by: str
    at: datetime
    reason: str


def is_acceptance(snapshot: Snapshot) -> bool:
    return any(tag.startswith(ACCEPTS) for tag in snapshot.tags)


def accepted_in(snapshots: Iterable[Snapshot]) -> frozenset[str]:
    """The ids of the points that a person has accepted."""
    return frozenset(
        tag.removeprefix(ACCEPTS) for snapshot in snapshots for tag in snapshot.tags if tag.startswith(ACCEPTS)
    )


def history_of(found: Found) -> History:
    """What a new point is compared with."""
    return History([sealed.point for sealed in found.points], accepted_in(found.snapshots))


def doubted(found: Found) -> Mapping[str, str]:
    """The suspicious points that nobody has accepted, by their seals, and why, in words."""
    accepted = accepted_in(found.snapshots)
    doubts = {sealed.seal: open_doubts(sealed.point, accepted) for sealed in found.points}
    return {seal: in_words(some) for seal, some in doubts.items() if some}


def standing(point: RecoveryPoint, accepted: frozenset[str]) -> str:
    """``suspicious``, ``accepted``, ``ok``, ``short-history`` (too few points to judge by) or ``not-judged``."""
    if point.judgement is None:
        return "not-judged"
    if open_doubts(point, accepted):
        return "suspicious"
    if point.judgement.doubts:
        return "accepted"
    return "short-history" if point.judgement.short else "ok"


def accept(repository: Repository, found: Found, system: str, accepted: Acceptance) -> tuple[Doubt, ...]:
    """Keeps a person's word in the repository; gives back what was doubtful.

    Raises PointNotFoundError, PreflightError when nothing is doubted, RepositoryError.
    """
    sealed = choose(found.points, system, accepted.point)
    doubts = open_doubts(sealed.point, accepted_in(found.snapshots))
    if not doubts:
        raise PreflightError(
            f"recovery point {sealed.point.id} is not suspicious, there is nothing to accept",
            hint=f"see which are with: drmgr points {system}",
        )
    document = {
        "schema": SCHEMA,
        "point": sealed.point.id,
        "by": accepted.by,
        "at": rfc3339(accepted.at),
        "reason": accepted.reason,
        "doubts": [_with_figures(doubt) for doubt in doubts],
    }
    tags = (MARK, f"system={system}", f"{ACCEPTS}{sealed.point.id}")
    content = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
    if not repository.store_bytes(FILE_NAME, content, tags).complete:
        raise RepositoryError("the acceptance was not stored whole")
    return doubts


def read_acceptance(repository: Repository, found: Found, point: str) -> Acceptance | None:
    """The newest word on that point; None when there is none. Raises RepositoryError."""
    tag = f"{ACCEPTS}{point}"
    kept = next((snapshot for snapshot in reversed(found.snapshots) if tag in snapshot.tags), None)
    if kept is None:
        return None
    try:
        told = json.loads(repository.read_bytes(kept.id, FILE_NAME))
        return Acceptance(told["point"], told["by"], datetime.fromisoformat(told["at"]), told["reason"])
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryDamagedError(f"the acceptance of recovery point {point} cannot be read") from error


_TRUSTED = Text("恢复点未见可疑变化", "nothing about the recovery point is suspicious")


def mistrusted(found: Found, point: RecoveryPoint, chosen: Sequence[Member]) -> tuple[CheckResult, ...]:
    """What fails when the point is suspicious: all that was stored may come back, and still be what nobody wants."""
    accepted, sources = accepted_in(found.snapshots), {member.source for member in chosen}
    if sources >= {member.source for member in point.members}:
        # all of the point is wanted, and so is what it lacks
        sources |= {doubt.source for doubt in open_doubts(point, accepted) if doubt.kind is DoubtKind.SOURCE_GONE}
    doubts = tuple(doubt for doubt in open_doubts(point, accepted) if doubt.source in sources)
    if not doubts:
        return ()
    good = _last_good(found.points, accepted, point)
    message = f"suspicious: {in_words(doubts)}; {f'the last good point before it is {good}' if good else 'no good one'}"
    return (
        CheckResult("point-trusted", CheckStatus.FAIL, Level.BUSINESS, 0, len(doubts), title=_TRUSTED, message=message),
    )


def _last_good(points: Sequence[SealedPoint], accepted: frozenset[str], before: RecoveryPoint) -> str:
    good = [
        sealed.point.id
        for sealed in points
        if sealed.point.consistent_at < before.consistent_at and not open_doubts(sealed.point, accepted)
    ]
    return good[-1] if good else ""


def in_words(doubts: Iterable[Doubt]) -> str:
    """For the screen: it names tables."""
    return "; ".join(map(_words, doubts))


def _words(doubt: Doubt) -> str:
    what, figures = f"{doubt.source}: ", doubt.figures
    if doubt.kind is DoubtKind.EMPTIED:
        name = f"table {doubt.subject} has" if doubt.subject else "it has"
        kind = "rows" if doubt.subject else "files"
        return f"{what}{name} {figures['now']:.0f} {kind} left of {figures['before']:.0f}"
    if doubt.kind is DoubtKind.SHRUNK:
        return f"{what}{figures['now']:.0f} bytes are left of {figures['before']:.0f}"
    if doubt.kind is DoubtKind.CANARY:
        return f"{what}the canary has changed or is gone"
    if doubt.kind is DoubtKind.SOURCE_GONE:
        return f"{what}the recovery point before holds this source, and the job has it no more"
    new = f"{figures['new']:.0%} of its bytes are new and {figures['replaced']:.0%} of its files were replaced at once"
    if doubt.kind is DoubtKind.REWRITTEN:
        return f"{what}{new}"
    size = f"{figures['compressed']:.0%} of its size is left by compression, {figures['usual']:.0%} before"
    return f"{what}{new}; what is new looks encrypted: {size}"


def _with_figures(doubt: Doubt) -> dict[str, Json]:
    return doubt_json(doubt) | {"figures": dict(doubt.figures)}


def doubt_json(doubt: Doubt) -> dict[str, Json]:
    """As answers show it; ``since`` is the point in which it was seen first."""
    return {
        "source": doubt.source,
        "kind": str(doubt.kind),
        "subject": doubt.subject,
        "since": doubt.since,
        "message": _words(doubt),
    }
