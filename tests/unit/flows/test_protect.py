"""``repo protect`` without a store: what is extended, what is an alarm, and that it never says less than it should."""

from datetime import timedelta

import pytest

from drmgr.errors import RepositoryAccessError, RepositoryUnreachableError
from drmgr.flows.horizon import Statement, horizon
from drmgr.flows.protect import Guarded, Protected, Wish, protect
from drmgr.model import CheckReport, ObjectKind, RunStatus, Stored
from tests.support.fake_objects import LOCK_DAYS, FakeObjects
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site

FULL = timedelta(days=LOCK_DAYS)
WISH = Wish(FULL, FULL / 2)
DAY = 86400.0


@pytest.fixture
def objects(site: Site) -> FakeObjects:
    """A repository of twelve objects, and one lock of restic's."""
    made = FakeObjects(site.clock)
    made.put("config", b"config")
    made.put_hashed(ObjectKind.KEYS, b"key")
    made.put_hashed(ObjectKind.INDEX, b"index")
    made.put_hashed(ObjectKind.SNAPSHOTS, b"snapshot")
    for number in range(8):
        made.put_hashed(ObjectKind.DATA, b"pack %d" % number)
    made.put("locks/" + "a" * 64, b"lock")
    return made


def run(site: Site, objects: FakeObjects, wish: Wish = WISH) -> Protected:
    return protect(site.bench, "his", Guarded(site.repository, objects, site.catalog), wish)


def pack(objects: FakeObjects, number: int = 0) -> Stored:
    return [stored for stored in objects.all() if stored.kind is ObjectKind.DATA][number]


def test_locks_are_extended_before_they_run_out_and_not_sooner(site: Site, objects: FakeObjects) -> None:
    site.clock.sleep(10 * DAY)
    early = run(site, objects)
    assert (early.problems, early.tally.objects, early.tally.extended) == ((), 12, 0)
    site.clock.sleep(10 * DAY)
    objects.put_hashed(ObjectKind.DATA, b"a new pack")
    told = run(site, objects, Wish(FULL, FULL / 2, dry_run=True))
    assert (told.tally.objects, told.tally.extended) == (13, 12)
    assert objects.calls.get("retain", 0) == 0
    done = run(site, objects)
    assert (done.problems, done.tally.extended, done.tally.until) == ((), 12, objects.now() + FULL)
    assert run(site, objects).tally.extended == 0
    assert {run.status for run in site.catalog.runs("his")} == {RunStatus.OK}


def test_more_days_than_the_bucket_gives_are_given_to_all(site: Site, objects: FakeObjects) -> None:
    year = timedelta(days=365)
    assert run(site, objects, Wish(year, year)).tally.extended == 12
    assert all(
        objects.locks[stored.versions[0].id].until == objects.now() + year
        for stored in objects.all()
        if stored.kind is not ObjectKind.LOCKS
    )
    # never shorter
    assert run(site, objects).tally.extended == 0


def test_what_drifted_out_is_an_alarm_once_and_locked_again(site: Site, objects: FakeObjects) -> None:
    site.clock.sleep((LOCK_DAYS + 1) * DAY)
    again = pack(objects).versions[0]
    bare = objects.put(again.key, objects.contents[again.id], locked=False)
    alarmed = run(site, objects)
    assert alarmed.problems == ("12 objects had no lock, or one that had run out",)
    assert objects.locks[bare.id].until > objects.now()
    assert run(site, objects).problems == ()


def test_an_overwritten_object_keeps_its_good_version_locked(site: Site, objects: FakeObjects) -> None:
    good = pack(objects).versions[0]
    site.clock.sleep(20 * DAY)
    objects.put(good.key, b"garbage")
    done = run(site, objects)
    assert "1 objects were overwritten" in done.problems[0]
    assert objects.locks[good.id].until == objects.now() + FULL
    assert run(site, objects).problems == done.problems


def test_without_any_good_version_that_is_told(site: Site, objects: FakeObjects) -> None:
    stored = pack(objects)
    del objects.kept[stored.key]
    objects.put(stored.key, b"garbage")
    objects.put(stored.key, b"more garbage")
    assert "no version of them is good" in run(site, objects).problems[0]


def test_when_the_repository_is_damaged_everything_that_is_left_is_held(
    site: Site, objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = pack(objects).versions[0]
    objects.hide(gone.key)
    site.clock.sleep(20 * DAY)
    monkeypatch.setattr(FakeRepository, "check", lambda *_: CheckReport(False, 1, (), 0.0, 0.0))
    done = run(site, objects)
    assert "the repository is damaged" in done.problems[0]
    assert objects.locks[gone.id].until == objects.now() + FULL
    # of a pack that was pruned, in a sound repository, nothing is held
    monkeypatch.undo()
    site.clock.sleep(20 * DAY)
    assert run(site, objects).problems == ()
    assert objects.locks[gone.id].until < objects.now() + FULL / 2


def test_a_store_that_fails_half_way_is_gone_on_from(site: Site, objects: FakeObjects) -> None:
    site.clock.sleep(20 * DAY)
    for error in (RepositoryUnreachableError("away"), RepositoryAccessError("refused")):
        objects.fail["retain"] = (objects.calls.get("retain", 0) + 5, error)
        with pytest.raises(type(error)):
            run(site, objects)
    objects.fail.clear()
    assert [run.status for run in site.catalog.runs("his")] == [RunStatus.FAILED, RunStatus.FAILED]
    done = run(site, objects)
    assert done.problems == ()
    assert 0 < done.tally.extended < 12


def test_nothing_at_all_is_not_ok(site: Site) -> None:
    done = run(site, FakeObjects(site.clock))
    assert done.problems == ("there is no object to protect",)
    assert horizon(FakeObjects(site.clock), None).until is None


# --- how long points are safe ---


def statement(done: Protected) -> Statement:
    assert done.tally.until is not None
    return Statement(done.began, done.tally.until, done.tally.objects)


def test_the_horizon_asks_for_what_is_new_only(site: Site, objects: FakeObjects) -> None:
    unknown = horizon(objects, None)
    assert (unknown.until, unknown.asked) == (objects.now() + FULL, 12)
    site.clock.sleep(20 * DAY)
    said = statement(run(site, objects))
    site.clock.sleep(1)
    objects.put_hashed(ObjectKind.DATA, b"new")
    many = Statement(said.at, said.until, 1000)
    assert (horizon(objects, many).until, horizon(objects, many).asked) == (said.until, 1)
    assert horizon(objects, said).asked == 13


def test_the_horizon_finds_what_was_unlocked(site: Site, objects: FakeObjects) -> None:
    site.clock.sleep(1)
    said = statement(run(site, objects, Wish(FULL * 2, FULL * 2)))
    stored = pack(objects)
    shorter = objects.locks[stored.versions[0].id]
    objects.locks[stored.versions[0].id] = type(shorter)("governance", objects.now() + timedelta(days=1))
    assert horizon(objects, said).problems == ("1 of 12 locks are shorter than drmgr had made them",)
    del objects.locks[stored.versions[0].id]
    assert horizon(objects, said).until is None
    site.clock.sleep(LOCK_DAYS * 2 * DAY)
    assert horizon(objects, Statement(said.at, said.until, 1000)).problems == ("the locks have run out",)
