from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.errors import RepositoryDamagedError, RepositoryError, RepositoryMissingError
from drmgr.flows.backup import backup
from drmgr.flows.copying import Copy, copy
from drmgr.flows.expire import Place
from drmgr.flows.verify import BEGUN, coverage, due, groups_of, look, repair, rotate
from drmgr.model import Readback, RecoveryPoint, RunKind, RunStatus
from tests.support.fake_care import FakeCareBook
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import START
from tests.unit.flows.conftest import Site

WEEK = timedelta(days=7)


@given(st.lists(st.integers(min_value=1, max_value=30), min_size=40, max_size=60), st.integers(1, 40))
def test_daily_looks_read_all_within_the_period(hours: list[int], days: int) -> None:
    """However unevenly the looks come, up to 30 hours apart, no group is ever older than the period and one gap."""
    period = timedelta(days=days)
    groups, now = groups_of(period), START
    read = {BEGUN: Readback(START, True)}
    times = 0
    for gap in hours * 3:
        chosen = due(read, groups, now, period)
        read |= {number: Readback(now, True) for number in chosen}
        told = coverage(read, groups, now, period)
        assert told.within or now - START < period
        times += len(chosen)
        now += timedelta(hours=gap)
    # and none is read again before its time
    rest = period - period / groups
    assert days == 1 or times <= groups * ((now - START) / rest + 1)


def test_what_is_not_read_or_not_sound_or_from_the_future_is_not_covered() -> None:
    now = START
    read = {BEGUN: Readback(now - WEEK, True), **{number: Readback(now, True) for number in range(1, 8)}}
    assert coverage(read, 7, now, WEEK).within
    assert coverage(read, 7, now + WEEK, WEEK).within
    late = coverage(read, 7, now + WEEK + timedelta(seconds=1), WEEK)
    assert (late.within, late.read, late.since) == (False, 0, now)
    without = {number: each for number, each in read.items() if number != 3}
    broken = {**read, 3: Readback(now, False)}
    future = {**read, 3: Readback(now + timedelta(days=400), True)}
    for odd in (without, broken, future):
        told = coverage(odd, 7, now, WEEK)
        assert (told.within, told.read, told.since) == (False, 6, None)
        assert 3 in due(odd, 7, now, WEEK)
    assert not coverage({}, 7, now, WEEK).within


@dataclass
class Two:
    """A system with two points, and a copy of both."""

    site: Site
    book: FakeCareBook
    points: list[RecoveryPoint]
    place: Place
    to: Copy

    def break_one(self, number: int) -> str:
        """Changes what the point's first part holds; the name of that part."""
        snapshot = self.points[number].members[0].snapshot
        (self.folder / snapshot / "files" / "b.txt").write_text("other")
        return snapshot

    @property
    def folder(self) -> Path:
        return self.site.folder / "repository"


@pytest.fixture
def two(site: Site) -> Two:
    book = FakeCareBook(site.catalog)
    points = [backup(site.bench, site.wired).point for _ in range(2)]
    to = Copy("fire", FakeRepository(site.folder / "copy"), book.memory("fire"), timedelta(days=1))
    copy(site.bench, site.wired.system, site.repository, to)
    return Two(site, book, points, Place("", site.wired.system, site.repository, site.catalog), to)


def test_damage_is_told_by_the_points_that_it_touches(two: Two) -> None:
    assert look(two.site.bench, two.place, 1.0).ok
    broken = two.break_one(0)
    found = look(two.site.bench, two.place, 1.0)
    assert (found.ok, found.packs, found.points) == (False, (broken,), (two.points[0].id,))
    (run, *_) = two.site.catalog.runs(kind=RunKind.REPO_CHECK)
    assert (run.status, run.detail["points"]) == (RunStatus.FAILED, [two.points[0].id])


class CannotTell(FakeRepository):
    def touched_by(self, packs: object) -> frozenset[str]:
        raise RepositoryError("the index is broken")


def test_where_it_cannot_be_told_all_points_may_be_damaged(two: Two) -> None:
    two.break_one(0)
    found = look(two.site.bench, replace(two.place, repository=CannotTell(two.folder)), 1.0)
    assert found.points == tuple(sorted(point.id for point in two.points))


@pytest.mark.parametrize("gone", ["seal", "member"])
def test_a_point_that_is_gone_is_damage_though_restic_calls_all_sound(two: Two, gone: str) -> None:
    (seal, _) = (each.id for each in two.site.repository.snapshots(("seal",)).snapshots)
    two.site.repository.forget([seal if gone == "seal" else two.points[0].members[1].snapshot])
    found = look(two.site.bench, two.place, 1.0)
    assert (found.ok, found.points) == (False, (two.points[0].id,))


def test_rotation_reads_every_group_and_finds_what_is_broken_within_the_period(two: Two) -> None:
    two.break_one(1)
    found: list[str] = []
    covered = []
    for _ in range(WEEK.days):
        looked = rotate(two.site.bench, two.book, two.place, WEEK)
        assert looked.coverage is not None
        found += looked.points
        covered.append(looked.coverage.read)
        two.site.clock.sleep(24 * 3600)
    assert set(found) == {two.points[1].id}
    # a group that is broken is read each time, and never counts as covered
    assert covered[-1] == WEEK.days - 1


@pytest.mark.parametrize("damage", ["pack", "seal", "unreadable", "all"])
def test_repair_brings_back_from_a_copy_and_proves_it(two: Two, damage: str) -> None:
    seal = two.site.repository.snapshots(("seal",)).snapshots[0].id
    if damage == "pack":
        two.break_one(0)
    elif damage == "unreadable":
        (two.folder / seal / "snapshot.json").write_text("{")
    else:
        every = [each.id for each in two.site.repository.snapshots().snapshots]
        two.site.repository.forget([seal] if damage == "seal" else every)
    done = repair(two.site.bench, two.place, two.to)
    assert done.ok
    assert two.points[0].id in done.repaired
    assert look(two.site.bench, two.place, 1.0).ok
    assert repair(two.site.bench, two.place, two.to).repaired == ()


def test_what_the_copy_does_not_have_is_not_called_repaired(two: Two) -> None:
    newest = backup(two.site.bench, two.site.wired).point
    two.points.append(newest)
    two.break_one(2)
    with pytest.raises(RepositoryDamagedError, match=newest.id):
        repair(two.site.bench, two.place, two.to)
    (run, *_) = two.site.catalog.runs(kind=RunKind.REPO_CHECK)
    assert run.status is RunStatus.FAILED


def test_a_repository_that_does_not_open_is_no_finding_but_an_error(two: Two) -> None:
    two.folder.rename(two.site.folder / "gone")
    with pytest.raises(RepositoryMissingError):
        look(two.site.bench, two.place, 0.0)
    with pytest.raises(RepositoryMissingError):
        repair(two.site.bench, two.place, two.to)
