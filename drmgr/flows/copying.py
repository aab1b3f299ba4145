"""Copies: whole recovery points taken to another repository with a key of its own, and proven to be there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from drmgr.errors import DrmgrError, RepositoryDamagedError, RepositoryMissingError
from drmgr.flows.acceptance import is_acceptance
from drmgr.flows.bench import Bench, recorded
from drmgr.flows.points import MARK, Found, SealedPoint, find, snapshots_of
from drmgr.interfaces import CaredRepository, Clock, PointMemory
from drmgr.model import PointStatus, RunKind, RunStatus, Snapshot, System
from drmgr.system.clock import rfc3339

POINTS_AT_ONCE = 8
"""How many points are taken before their seals: each restic opens both repositories, which costs seconds."""


@dataclass(frozen=True)
class Copy:
    """A further repository of one system; ``rpo`` is how much may be lost when only it is left."""

    name: str
    repository: CaredRepository
    memory: PointMemory
    rpo: timedelta


@dataclass(frozen=True)
class Standing:
    """What a copy holds: whole points only. ``lag`` is what would be lost now if only it were left; None: all."""

    copy: str
    location: str
    points: tuple[SealedPoint, ...]
    problems: tuple[str, ...]
    lag: timedelta | None
    rpo: timedelta

    @property
    def newest(self) -> SealedPoint | None:
        """The newest complete point."""
        return next((each for each in reversed(self.points) if each.point.status is PointStatus.COMPLETE), None)

    @property
    def met(self) -> bool:
        return self.lag is not None and self.lag <= self.rpo


@dataclass(frozen=True)
class CopyDone:
    """What one run brought over. ``lacking`` says in words why points are not in the copy, though they should be."""

    run: str
    system: str
    made: bool
    copied: tuple[str, ...]
    standing: Standing
    lacking: tuple[str, ...]


def copy(bench: Bench, system: System, source: CaredRepository, to: Copy) -> CopyDone:
    """Takes every point over that is not in the copy yet, the newest first, and the logs that were shipped.

    A point's seal is taken last, so the copy offers a point only when it is whole; a run that was ended in the middle is
    gone on with by the next. Raises LockedError, RepositoryError; what can be copied beside something broken is copied.
    """
    with recorded(bench, RunKind.COPY, system.id) as run, bench.locks.hold(f"copy-{to.name}-{system.id}"):
        run.detail.update(copy=to.name)
        made = _ready(source, to, system.id)
        taking = _Taking(bench, system, find(source, bench.catalog, system.id), source, to)
        copied = taking.all_points()
        held = standing(bench.clock, system.id, to)
        lacking = (*taking.problems, *taking.not_arrived(held))
        newest = held.newest
        run.detail.update(
            points=len(held.points),
            copied=len(copied),
            newest=None if newest is None else rfc3339(newest.point.consistent_at),
            lag=None if held.lag is None else round(held.lag.total_seconds()),
        )
        if lacking or held.problems:
            run.status = RunStatus.INCOMPLETE
        return CopyDone(run.run.id, system.id, made, tuple(copied), held, lacking)


def _ready(source: CaredRepository, to: Copy, system: str) -> bool:
    """Makes the copy's repository if there never was one; True when it was made now."""
    try:
        to.repository.probe()
    except RepositoryMissingError as error:
        if not to.memory.seals(system):
            return to.repository.init_like(source)
        # an empty folder where a disk should be mounted must not become the copy
        raise RepositoryMissingError(
            f"the copy {to.name} of {system} held points, and now there is no repository at its place",
            hint="is its disk mounted? If it is lost for good, begin it anew with: drmgr repo copy --anew",
        ) from error
    return False


def standing(clock: Clock, system: str, copy: Copy) -> Standing:
    """What the copy holds now, as it tells itself. Raises RepositoryError when it cannot be asked."""
    empty = nothing_held(copy)
    try:
        found = find(copy.repository, copy.memory, system)
    except RepositoryMissingError:
        # that nothing was ever copied is known, and is not the same as a copy that has gone
        if copy.memory.seals(system):
            raise
        return empty
    held = replace(empty, points=found.points, problems=found.problems)
    if held.newest is None:
        return held
    return replace(held, lag=max(clock.now() - held.newest.point.consistent_at, timedelta(0)))


def nothing_held(copy: Copy) -> Standing:
    """A copy that nothing was ever taken to."""
    return Standing(copy.name, copy.repository.location, (), (), None, copy.rpo)


class _Taking:
    """One copy under way."""

    def __init__(self, bench: Bench, system: System, found: Found, source: CaredRepository, to: Copy) -> None:
        self.problems: list[str] = list(found.problems)
        self._progress = bench.progress(f"{system.id} to {to.name}")
        self._system = system.id
        self._source = source
        self._to = to
        self._points = found.points
        self._here = {snapshot.id: snapshot for snapshot in found.snapshots}
        self._there: Mapping[str, Snapshot] = {}
        self._look()

    def _look(self) -> None:
        listing = self._to.repository.snapshots((MARK, f"system={self._system}"))
        self._there = {snapshot.id: snapshot for snapshot in listing.snapshots}
        self._false = [f"snapshot {each[:8]} of the copy cannot be read" for each in listing.damaged]

    def all_points(self) -> list[str]:
        """The ids of the points that were brought over."""
        missing = [each for each in reversed(self._points) if not self._is_there(each)]
        logs = [each.id for each in self._here.values() if _beside_points(each) and each.id not in self._there]
        copied: list[str] = []
        for some in _batches(missing):
            copied += self._take(some)
            self._take_logs(logs)
            logs = []
        self._take_logs(logs)
        self._look()
        return copied

    def _take(self, points: Sequence[SealedPoint]) -> list[str]:
        """Those of them that were brought over; what one broken point spoils is done again one by one."""
        parts = [each for sealed in points for each in snapshots_of(sealed) if each != sealed.seal]
        try:
            self._to.repository.take(self._source, parts, self._progress)
            self._to.repository.take(self._source, [sealed.seal for sealed in points], self._progress)
        except RepositoryDamagedError as error:
            if len(points) > 1:
                return [point for sealed in points for point in self._take([sealed])]
            self.problems.append(f"recovery point {points[0].point.id} cannot be copied: {error.message}")
            return []
        return [sealed.point.id for sealed in points]

    def _take_logs(self, logs: Sequence[str]) -> None:
        try:
            if logs:
                self._to.repository.take(self._source, logs, self._progress)
        except RepositoryDamagedError as error:
            self.problems.append(f"not all shipped logs can be copied: {error.message}")

    def _is_there(self, sealed: SealedPoint) -> bool:
        return all(self._same(each) for each in snapshots_of(sealed))

    def _same(self, snapshot: str) -> bool:
        """The copy's snapshot has the very content: a tree's id is a hash over all below it."""
        here, there = self._here.get(snapshot), self._there.get(snapshot)
        return here is not None and there is not None and here.tree == there.tree and set(here.tags) == set(there.tags)

    def not_arrived(self, standing: Standing) -> Iterator[str]:
        """In words, what should be in the copy and is not, or is not the same."""
        yield from self._false
        offered = {sealed.seal for sealed in standing.points}
        for sealed in self._points:
            if not self._is_there(sealed) or sealed.seal not in offered:
                yield f"recovery point {sealed.point.id} is not whole in the copy {self._to.name}"
        lacking = [each for each in self._here.values() if _beside_points(each) and not self._same(each.id)]
        if logs := sum(map(is_log, lacking)):
            yield f"{logs} shipped logs are not in the copy {self._to.name}"
        if words := len(lacking) - logs:
            yield f"{words} acceptances of suspicious points are not in the copy {self._to.name}"


def _beside_points(snapshot: Snapshot) -> bool:
    return is_log(snapshot) or is_acceptance(snapshot)


def is_log(snapshot: Snapshot) -> bool:
    """Shipped between recovery points, and belongs to none of them."""
    tags = snapshot.tags
    return any(tag.startswith("kind=") for tag in tags) and not any(tag.startswith("point=") for tag in tags)


def fault_of(done: CopyDone) -> DrmgrError | None:
    """What the command has to say of a copy that ended without an error, but lacks something."""
    wrong = (*done.lacking, *done.standing.problems)
    if not wrong:
        return None
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return RepositoryDamagedError(f"the copy {done.standing.copy} of {done.system}: {wrong[0]}{more}")


def _batches(points: Sequence[SealedPoint]) -> Iterator[Sequence[SealedPoint]]:
    """The first alone: the newest point is what a copy is wanted for most."""
    if points:
        yield points[:1]
    for start in range(1, len(points), POINTS_AT_ONCE):
        yield points[start : start + POINTS_AT_ONCE]
