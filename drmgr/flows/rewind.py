"""Brings a repository back to how it was at a time, out of the versions that the bucket still holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from drmgr.errors import (
    NotAllowedError,
    PreflightError,
    RepositoryAccessError,
    RepositoryError,
    RepositoryMissingError,
    UsageError,
)
from drmgr.flows.bench import Bench, recorded
from drmgr.flows.points import find
from drmgr.flows.protect import WORKERS
from drmgr.flows.rewind_plan import CHANGES, Act, Decision, Plan, act_for, decide, plan_of
from drmgr.interfaces import Objects, Progress, Repository
from drmgr.model import ObjectKind, RecoveryPoint, RunKind, RunStatus, Stored, Version
from drmgr.system.parallel import in_parallel

EXAMPLES: Final = 20


@dataclass(frozen=True)
class Order:
    """Back to how it was at ``cut``, by the store's clock, and why."""

    cut: datetime
    reason: str


@dataclass(frozen=True)
class Target:
    """Where the repository comes back: ``into`` None means in its own place. ``repository`` is the one found there then."""

    repository: Repository
    into: Objects | None = None


@dataclass
class Done:
    """What was done. ``lost`` counts objects without any good version, ``examples`` names some of them.

    ``older``: the version of that time was no good, and another one was.
    """

    plan: Plan
    changed: int = 0
    bytes_proven: int = 0
    older: int = 0
    lost: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rewound:
    """``problems`` empty: the repository is as it was, sound, and its points can be read.

    ``gone`` are points that the catalog knew and that are not there at this time.
    """

    run: str
    done: Done
    points: tuple[str, ...]
    gone: tuple[str, ...]
    problems: tuple[str, ...]


def plan_only(objects: Objects, cut: datetime, into: Objects | None) -> Plan:
    """What a rewind would change; reads names, sizes and times only.

    Raises UsageError for a time to come, PreflightError when there was no repository at that time, NotAllowedError when
    ``into`` holds something else.
    """
    if cut >= objects.now():
        raise UsageError("the time to rewind to is not past by the object store's clock", hint="give an earlier --to")
    if into is None:
        plan = plan_of(objects.all(), cut)
    else:
        plan = Plan(cut)
        for decision in _decisions_into(objects, into, cut):
            plan.add(decision)
    if not plan.config:
        raise PreflightError(
            f"there was no repository in {objects.location} at that time, as far as its versions tell",
            hint="choose a later time; see what happened when with --dry-run",
        )
    return plan


def _decisions_into(objects: Objects, into: Objects, cut: datetime) -> Iterator[Decision]:
    """The same decisions for an empty place; what an earlier call put there already is kept."""
    if objects.location == into.location:
        raise NotAllowedError("the clean prefix is the damaged one", hint="name another one with --into")
    there = _Merged(into)
    for stored in objects.all():
        decision = decide(stored, cut)
        present = there.at(stored.key)
        if not decision.good:
            if present is not None and stored.kind is not ObjectKind.LOCKS:
                raise _not_clean(into)
            continue
        if present is None:
            yield Decision(stored, Act.COVER, decision.good)
        elif any(present.equals(good) for good in decision.good):
            yield Decision(stored, Act.KEEP, decision.good)
        else:
            raise _not_clean(into)
    there.end()


def _not_clean(into: Objects) -> NotAllowedError:
    return NotAllowedError(
        f"{into.location} holds other objects already", hint="name an empty prefix with --into BUCKET/PREFIX"
    )


class _Merged:
    """Walks over the target beside the source, for both come in the order of their keys."""

    def __init__(self, into: Objects) -> None:
        self._into = into
        self._rest: Iterator[Stored] = iter(into.all())
        try:
            self._next = next(self._rest, None)
        except RepositoryMissingError:
            # a bucket that is still to be made is as clean as can be
            self._next = None

    def at(self, key: str) -> Version | None:
        """The current version of that key there. Raises NotAllowedError for keys before it that nobody asked for."""
        while self._next is not None and self._next.key.encode() < key.encode():
            self._skip()
        found = self._next
        if found is None or found.key != key:
            return None
        self._next = next(self._rest, None)
        return found.current

    def end(self) -> None:
        while self._next is not None:
            self._skip()

    def _skip(self) -> None:
        passed, self._next = self._next, next(self._rest, None)
        if passed is not None and passed.current is not None and passed.kind is not ObjectKind.LOCKS:
            raise _not_clean(self._into)


def rewind(bench: Bench, system: str, order: Order, objects: Objects, target: Target) -> Rewound:
    """Does it, in parallel, and proves it: by the names of the objects, by restic's check, by reading the points.

    It can be stopped and called again: what is right already is left alone. Raises as ``plan_only``, before anything is
    changed; RepositoryError when the store fails or refuses.
    """
    cut = order.cut
    with recorded(bench, RunKind.REWIND, system, order.reason) as record, bench.locks.hold(system):
        plan = plan_only(objects, cut, target.into)
        where = target.into or objects
        record.detail.update(to=cut.isoformat(), place=where.location, plan=plan.counts())
        rewinder = _Rewinder(objects, target.into, cut, bench.progress(system))
        done = rewinder.run(plan)
        left = rewinder.left()
        known = {} if target.into else bench.catalog.seals(system)
        points, problems = _look(bench, system, target, whole=not done.lost and not left)
        gone = tuple(sorted(set(known.values()) - set(points)))
        if done.lost:
            problems.insert(0, f"{done.lost} objects have no version that is good")
        if left:
            problems.insert(0, f"{left} objects are still not as they were")
        record.detail.update(changed=done.changed, lost=done.lost, points_gone=list(gone), problems=problems)
        record.status = RunStatus.INCOMPLETE if problems else RunStatus.OK
        return Rewound(record.run.id, done, points, gone, tuple(problems))


def _look(bench: Bench, system: str, target: Target, *, whole: bool) -> tuple[tuple[str, ...], list[str]]:
    """The points that can be read now, and whatever is not sound."""
    try:
        target.repository.probe()
        if target.into is None and whole:
            # what it remembers are the points of before; of a part that is lost it has to tell for ever
            bench.catalog.forget_points(system)
        found = find(target.repository, _Forgetful() if target.into else bench.catalog, system)
        report = target.repository.check(0.0)
    except RepositoryError as error:
        return (), [error.message]
    problems = list(found.problems)
    if not report.ok:
        problems.append(f"the repository that came back is damaged: {report.errors} errors; try an earlier time")
    if not found.points:
        problems.append("it holds no recovery point")
    return tuple(sealed.point.id for sealed in found.points), problems


class _Forgetful:
    """Remembers no point: of a repository in another place each is to be read from its own seal."""

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        return

    def point(self, seal: str) -> RecoveryPoint | None:
        del seal
        return None

    def seals(self, system: str) -> Mapping[str, str]:
        del system
        return {}

    def forget_points(self, system: str) -> None:
        return


@dataclass(frozen=True)
class _Settled:
    """A decision once contents were read: ``version`` is the good one, None where there is none or none is wanted."""

    decision: Decision
    act: Act
    version: Version | None = None
    bytes_read: int = 0


class _Rewinder:
    """Acts on every key that must change; several at a time."""

    def __init__(self, objects: Objects, into: Objects | None, cut: datetime, progress: Progress) -> None:
        self._objects = objects
        self._into = into
        self._cut = cut
        self._progress = progress

    def run(self, plan: Plan) -> Done:
        done = Done(plan)
        for settled in in_parallel(self._perform, self._worth_a_look(), WORKERS):
            done.bytes_proven += settled.bytes_read
            done.changed += settled.act in CHANGES
            done.older += settled.version is not None and settled.version is not settled.decision.good[0]
            if settled.act is Act.LOST:
                done.lost += 1
                if len(done.examples) < EXAMPLES:
                    done.examples.append(settled.decision.stored.key)
            self._progress(min(1.0, done.changed / max(1, plan.changes)), f"{done.changed} objects")
        return done

    def left(self) -> int:
        """How many objects would still have to be changed."""
        return sum(settled.act in CHANGES for settled in in_parallel(self._settle, self._worth_a_look(), WORKERS))

    def _worth_a_look(self) -> Iterator[Decision]:
        if self._into is not None:
            decisions = _decisions_into(self._objects, self._into, self._cut)
        else:
            decisions = (decide(stored, self._cut) for stored in self._objects.all())
        for decision in decisions:
            # one content that nobody ever covered is what restic once wrote
            if decision.act in CHANGES or (decision.act is Act.KEEP and len(decision.stored.contents) > 1):
                yield decision

    def _perform(self, decision: Decision) -> _Settled:
        settled = self._settle(decision)
        stored, version = decision.stored, settled.version
        if settled.act is Act.HIDE:
            self._objects.hide(stored.key)
        elif version is None or settled.act is Act.KEEP:
            pass
        elif self._into is not None:
            self._objects.copy_to(version, self._into)
        elif settled.act is Act.UNCOVER:
            self._uncover(stored, version)
        else:
            self._objects.bring_forward(version)
        return settled

    def _settle(self, decision: Decision) -> _Settled:
        if decision.act is Act.HIDE:
            return _Settled(decision, Act.HIDE)
        if self._into is not None and decision.act is Act.KEEP:
            return _Settled(decision, Act.KEEP)
        version, read = self._prove(decision)
        if version is None:
            return _Settled(decision, Act.LOST, None, read)
        act = Act.COVER if self._into is not None else act_for(decision.stored, version)
        return _Settled(decision, act, version, read)

    def _prove(self, decision: Decision) -> tuple[Version | None, int]:
        """The version whose content has the right name, and how many bytes were read to know it."""
        digest, read = decision.stored.digest, 0
        if digest is None:
            return decision.good[0], 0
        current = decision.stored.current if self._into is None else None
        first = () if current is None else tuple(each for each in decision.good if each.id == current.id)
        for version in (*first, *(each for each in decision.good if each not in first)):
            read += version.size
            if self._objects.proves(version, digest):
                return version, read
        return None, read

    def _uncover(self, stored: Stored, version: Version) -> None:
        # of one second nobody can tell which came first
        markers = [each for each in stored.versions if each.marker and each.modified >= version.modified]
        try:
            self._objects.uncover(version, markers)
        except RepositoryAccessError:
            # to delete markers is a right that a key need not have; a copy on top of them does as well
            self._objects.bring_forward(version)
