from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from drmgr.errors import RepositoryDamagedError, RepositoryMissingError, RepositoryUnreachableError
from drmgr.flows.backup import backup
from drmgr.flows.copying import Copy, copy, fault_of, nothing_held, standing
from drmgr.flows.drill import drill
from drmgr.flows.points import find
from drmgr.interfaces import Progress
from drmgr.model import RunKind, RunStatus, Verdict
from tests.support.fake_care import FakeCareBook
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site

RPO = timedelta(hours=6)


@dataclass
class Pair:
    """A site, and a copy of it."""

    site: Site
    book: FakeCareBook
    there: FakeRepository
    to: Copy

    def copy(self) -> "object":
        return copy(self.site.bench, self.site.wired.system, self.site.repository, self.to)

    def snapshot_of(self, part: str) -> str:
        """The id of the first point's snapshot with that tag, in the store."""
        tagged = [each.id for each in self.site.repository.snapshots().snapshots if part in each.tags]
        return tagged[0]


@pytest.fixture
def pair(site: Site) -> Pair:
    book = FakeCareBook(site.catalog)
    there = FakeRepository(site.folder / "copy")
    return Pair(site, book, there, Copy("fire", there, book.memory("fire"), RPO))


def test_whole_points_are_taken_once_and_proven(pair: Pair) -> None:
    site = pair.site
    points = [backup(site.bench, site.wired).point for _ in range(3)]
    done = copy(site.bench, site.wired.system, site.repository, pair.to)
    assert done.made
    assert set(done.copied) == {point.id for point in points}
    assert [sealed.point for sealed in done.standing.points] == points
    assert (fault_of(done), done.standing.met) == (None, True)
    (run, *_) = site.catalog.runs(kind=RunKind.COPY)
    assert (run.status, run.detail["copy"], run.detail["points"]) == (RunStatus.OK, "fire", 3)
    again = copy(site.bench, site.wired.system, site.repository, pair.to)
    assert (again.made, again.copied) == (False, ())


def test_lag_is_the_age_of_the_newest_point_in_the_copy(pair: Pair) -> None:
    site = pair.site
    assert not nothing_held(pair.to).met
    assert standing(site.clock, "his", pair.to).lag is None
    backup(site.bench, site.wired)
    copy(site.bench, site.wired.system, site.repository, pair.to)
    site.clock.sleep(RPO.total_seconds())
    backup(site.bench, site.wired)
    held = standing(site.clock, "his", pair.to)
    assert (held.lag, held.met) == (RPO, True)
    site.clock.sleep(1)
    assert not standing(site.clock, "his", pair.to).met


class EndsAfter(FakeRepository):
    """Is away after so many calls of ``take``."""

    left = 10**6

    def take(self, source: FakeRepository, snapshots: Sequence[str], progress: Progress) -> None:
        if self.left <= 0:
            raise RepositoryUnreachableError("gone")
        self.left -= 1
        super().take(source, snapshots, progress)


@pytest.mark.parametrize("calls", range(4))
def test_a_copy_that_was_ended_offers_only_whole_points_and_is_gone_on_with(pair: Pair, calls: int) -> None:
    site = pair.site
    points = [backup(site.bench, site.wired).point for _ in range(3)]
    there = EndsAfter(site.folder / "copy")
    there.left = calls
    to = replace(pair.to, repository=there)
    with pytest.raises(RepositoryUnreachableError):
        copy(site.bench, site.wired.system, site.repository, to)
    held = standing(site.clock, "his", to)
    # the newest point comes first, and its seal after all else of it
    assert [sealed.point for sealed in held.points] == ([] if calls < 2 else [points[-1]])
    assert held.problems == ()
    there.left = 10**6
    done = copy(site.bench, site.wired.system, site.repository, to)
    assert (fault_of(done), len(done.standing.points)) == (None, 3)


def test_what_is_broken_at_home_does_not_keep_the_rest_from_being_copied(pair: Pair) -> None:
    site = pair.site
    first = backup(site.bench, site.wired)
    others = [backup(site.bench, site.wired).point for _ in range(2)]
    broken = first.point.members[0].parts[0].snapshot
    (site.folder / "repository" / broken / "files" / "b.txt").write_text("other")
    done = copy(site.bench, site.wired.system, site.repository, pair.to)
    assert [sealed.point for sealed in done.standing.points] == others
    fault = fault_of(done)
    assert isinstance(fault, RepositoryDamagedError)
    assert first.point.id in fault.message


def test_a_copy_with_other_content_is_never_taken_for_the_same(pair: Pair) -> None:
    site = pair.site
    done = backup(site.bench, site.wired)
    copy(site.bench, site.wired.system, site.repository, pair.to)
    place = site.folder / "copy" / done.point.members[0].parts[0].snapshot / "snapshot.json"
    place.write_text(place.read_text().replace("b.txt", "c.txt"))
    again = copy(site.bench, site.wired.system, site.repository, pair.to)
    assert done.point.id in str(fault_of(again))


def test_a_copy_that_has_gone_is_not_begun_anew_by_itself(pair: Pair) -> None:
    site = pair.site
    backup(site.bench, site.wired)
    copy(site.bench, site.wired.system, site.repository, pair.to)
    (site.folder / "copy").rename(site.folder / "unmounted")
    for act in (pair.copy, lambda: standing(site.clock, "his", pair.to)):
        with pytest.raises(RepositoryMissingError):
            act()
    assert not (site.folder / "copy").exists()
    pair.to.memory.forget_points("his")
    pair.copy()
    assert len(standing(site.clock, "his", pair.to).points) == 1


def test_a_point_that_a_copy_has_lost_is_named(pair: Pair) -> None:
    site = pair.site
    done = backup(site.bench, site.wired)
    copy(site.bench, site.wired.system, site.repository, pair.to)
    pair.there.forget([done.seal])
    assert done.point.id in standing(site.clock, "his", pair.to).problems[0]
    # the next copy brings it back
    assert copy(site.bench, site.wired.system, site.repository, pair.to).copied == (done.point.id,)


def test_shipped_logs_are_copied_too(pair: Pair) -> None:
    site = pair.site
    log = site.repository.store_bytes("wal", b"log", ("drmgr", "system=his", "source=main", "kind=wal"))
    pair.copy()
    assert [each.id for each in pair.there.snapshots(("kind=wal",)).snapshots] == [log.id]
    (site.folder / "repository" / log.id / "files" / "wal").write_text("broken")
    pair.there.forget([log.id])
    done = copy(site.bench, site.wired.system, site.repository, pair.to)
    assert "shipped logs" in str(fault_of(done))


def test_a_drill_is_played_from_a_copy_alone(pair: Pair) -> None:
    site = pair.site
    point = backup(site.bench, site.wired).point
    pair.copy()
    backup(site.bench, site.wired)
    (site.folder / "repository").rename(site.folder / "burnt")
    wired = replace(site.wired, repository=pair.there, copy="fire", memory=pair.to.memory)
    done = drill(site.bench, site.plan(systems=(wired,), copy="fire"))
    assert done.record.verdict is Verdict.PASSED
    assert done.record.outcomes[0].point == point
    assert "from the copy fire" in done.record.reason
    assert done.record.copy == "fire"
    assert find(pair.there, pair.to.memory, "his").problems == ()
