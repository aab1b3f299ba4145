from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from drmgr.errors import ExpireRefusedError, LockedError, RepositoryDamagedError, RepositoryUnreachableError
from drmgr.flows import expire as flow
from drmgr.flows.backup import backup
from drmgr.flows.copying import Copy, Standing, copy, standing
from drmgr.flows.drill import drill
from drmgr.flows.expire import GRACE, ExpirePlan, Place, expire, plan_expire
from drmgr.flows.points import Found, find
from drmgr.flows.retention import Rules
from drmgr.model import Objectives, RecoveryPoint, RunKind, RunStatus
from tests.support.fake_care import FakeCareBook
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site

DAY = timedelta(days=1).total_seconds()
TWO_DAYS = Rules(timedelta(hours=1), 2, 0, 0, 0, timedelta(days=14))


@dataclass
class Aged:
    """A site with one recovery point a day, the oldest first."""

    site: Site
    points: list[RecoveryPoint]
    book: FakeCareBook

    def place(self, **changes: object) -> Place:
        place = Place("", self.site.wired.system, self.site.repository, self.site.catalog)
        return replace(place, **changes)  # type: ignore[arg-type]

    def expire(self, place: Place | None = None, *, prune: bool = False) -> ExpirePlan:
        return expire(self.site.bench, self.book, place or self.place(), TWO_DAYS, prune=prune).plan

    def offered(self) -> list[RecoveryPoint]:
        found = find(self.site.repository, self.site.catalog, "his")
        assert found.problems == ()
        return [sealed.point for sealed in found.points]


@pytest.fixture
def aged(site: Site) -> Aged:
    points = []
    for _ in range(5):
        points.append(backup(site.bench, site.wired).point)
        site.clock.sleep(DAY)
    return Aged(site, points, FakeCareBook(site.catalog))


def kept_words(plan: ExpirePlan) -> dict[str, tuple[str, ...]]:
    return {sealed.point.id: reasons for sealed, reasons in plan.kept}


def test_what_no_rule_keeps_goes_and_the_rest_is_proven_to_be_there(aged: Aged) -> None:
    plan = plan_expire(aged.site.bench, aged.place(), TWO_DAYS)
    assert aged.offered() == aged.points
    assert [sealed.point for sealed in plan.expiring] == aged.points[:3]
    assert kept_words(plan)[aged.points[-1].id] == ("newest of the day 2026-01-09", "the last good point")
    assert aged.expire(prune=True).expiring == plan.expiring
    assert aged.offered() == aged.points[3:]
    # both parts and the seal of each are gone, and its absence is no loss to anybody
    assert len(aged.site.snapshots()) == 2 * 3
    assert aged.site.repository.pruned == 1
    (run,) = aged.site.catalog.runs(kind=RunKind.EXPIRE)
    assert (run.status, run.detail["expired"]) == (RunStatus.OK, [point.id for point in aged.points[:3]])
    assert aged.expire().nothing


def test_what_a_drill_proved_and_what_was_drilled_last_stay(aged: Aged) -> None:
    site = aged.site
    long = {"systems": (replace(site.wired, system=replace(site.wired.system, objectives=_years())),)}
    drill(site.bench, site.plan(point=aged.points[1].id, **long))
    site.engines["main"].raises = {"integrity": RepositoryUnreachableError("away")}
    drill(site.bench, site.plan(point=aged.points[0].id, **long))
    site.engines["main"].raises = {}
    words = kept_words(aged.expire())
    assert words[aged.points[1].id] == ("the last point that a drill or restore proved",)
    assert words[aged.points[0].id] == ("the last point that was drilled",)
    assert aged.offered() == [*aged.points[:2], *aged.points[3:]]


def _years() -> Objectives:
    return Objectives(timedelta(days=999), timedelta(days=999))


def test_a_point_stays_until_every_copy_has_it(aged: Aged) -> None:
    site = aged.site
    to = Copy("fire", FakeRepository(site.folder / "copy"), aged.book.memory("fire"), timedelta(days=1))

    def copies() -> Mapping[str, Standing | None]:
        return {"fire": standing(site.clock, "his", to)}

    assert not aged.expire(aged.place(copies=copies)).expiring
    assert not aged.expire(aged.place(copies=lambda: {"fire": None})).expiring
    copy(site.bench, site.wired.system, site.repository, to)
    assert len(aged.expire(aged.place(copies=copies)).expiring) == 3
    # and those of the copy expire by themselves, when it is asked to
    assert len(standing(site.clock, "his", to).points) == 5
    there = Place("fire", site.wired.system, to.repository, to.memory)
    assert len(aged.expire(there).expiring) == 3
    assert (len(standing(site.clock, "his", to).points), standing(site.clock, "his", to).problems) == (2, ())


@pytest.mark.parametrize("damage", ["seal", "part", "unreadable"])
def test_nothing_expires_while_the_repository_has_problems(aged: Aged, damage: str) -> None:
    seal = find(aged.site.repository, aged.site.catalog, "his").points[-1].seal
    if damage == "unreadable":
        (aged.site.folder / "repository" / seal / "snapshot.json").write_text("{")
    else:
        aged.site.repository.forget([seal if damage == "seal" else aged.points[-1].members[0].snapshot])
    before = aged.site.snapshots()
    with pytest.raises(ExpireRefusedError):
        aged.expire()
    with pytest.raises(ExpireRefusedError):
        plan_expire(aged.site.bench, aged.place(), TWO_DAYS)
    assert aged.site.snapshots() == before


def test_nothing_expires_while_the_newest_point_is_suspicious(aged: Aged) -> None:
    def newest(found: Found) -> Mapping[str, str]:
        return {found.points[-1].seal: "half as large as ever"}

    with pytest.raises(ExpireRefusedError, match="half as large"):
        aged.expire(aged.place(doubts=newest))

    def older(found: Found) -> Mapping[str, str]:
        return {found.points[3].seal: "half as large as ever"}

    assert kept_words(aged.expire(aged.place(doubts=older)))[aged.points[4].id][-1] == "the last good point"


def test_leftovers_of_killed_backups_go_after_their_grace(aged: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    site = aged.site
    tags = ("drmgr", "point=01LEFT", "system=his", "source=main")
    left = site.repository.store_bytes("dump", b"half", tags)
    monkeypatch.setattr(site.clock, "now", lambda: left.time + GRACE)
    assert plan_expire(site.bench, aged.place(), TWO_DAYS).leftovers == ()
    monkeypatch.setattr(site.clock, "now", lambda: left.time + GRACE + timedelta(seconds=1))
    aged.expire()
    assert left.id not in {path.name for path in site.snapshots()}


def test_logs_stay_as_long_as_a_point_that_stays_needs_them(aged: Aged) -> None:
    site, bench = aged.site, aged.site.bench
    for number in range(5):
        site.repository.store_bytes("wal", bytes([number]), ("drmgr", "system=his", "source=main", "kind=wal"))
    logs = site.repository.snapshots(("kind=wal",)).snapshots
    ends = {each.id: aged.points[0].consistent_at + timedelta(days=day, hours=1) for day, each in enumerate(logs)}
    found = find(site.repository, site.catalog, "his")
    dated = tuple(replace(each, time=ends[each.id]) if each.id in ends else each for each in found.snapshots)
    found = replace(found, snapshots=dated)

    def gone(days_back: int, kept: int) -> list[int]:
        horizon = bench.clock.now() - timedelta(days=days_back)
        going = flow._logs(found, found.points[-kept:], horizon)
        return [list(ends).index(each.id) for each in going]

    # five days of points, kept from the fourth on: its own day and a day's margin stay
    assert gone(days_back=1, kept=2) == [0, 1, 2]
    assert gone(days_back=2, kept=2) == [0, 1]
    assert gone(days_back=100, kept=2) == [0, 1]
    assert gone(days_back=100, kept=5) == []


class Ends(FakeRepository):
    """Is away after so many calls of ``forget``."""

    left = 10**6

    def forget(self, snapshots: Sequence[str]) -> None:
        if self.left <= 0:
            raise RepositoryUnreachableError("gone")
        self.left -= 1
        super().forget(snapshots)


@pytest.mark.parametrize("calls", [0, 1])
def test_an_expire_that_was_ended_offers_only_whole_points_and_is_finished_by_the_next(
    aged: Aged, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Ends(aged.site.folder / "repository")
    ends.left = calls
    with pytest.raises(RepositoryUnreachableError):
        aged.expire(aged.place(repository=ends))
    assert aged.offered() == (aged.points if calls == 0 else aged.points[3:])
    assert find(aged.site.repository, FakeCatalog(), "his").problems == ()
    # snapshots of fakes carry this host's real time
    newest = max(each.time for each in aged.site.repository.snapshots().snapshots)
    monkeypatch.setattr(aged.site.clock, "now", lambda: newest + 2 * GRACE)
    aged.expire()
    assert len(aged.site.snapshots()) == 2 * 3


class Forgetful(FakeRepository):
    """Takes away one more than it was asked to."""

    def forget(self, snapshots: Sequence[str]) -> None:
        super().forget(snapshots)
        rest = [each.id for each in self.snapshots().snapshots if "seal" in each.tags]
        super().forget(rest[-1:])


def test_a_point_that_goes_though_it_was_to_stay_is_told(aged: Aged) -> None:
    with pytest.raises(RepositoryDamagedError):
        aged.expire(aged.place(repository=Forgetful(aged.site.folder / "repository")))


def test_not_while_a_backup_is_under_way(aged: Aged) -> None:
    with aged.site.bench.locks.hold("system-his"), pytest.raises(LockedError):
        aged.expire()
