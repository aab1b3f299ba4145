"""Rewinding without a store: whatever an attacker does to a locked bucket, it comes back; and what cannot is told."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from drmgr.errors import (
    NotAllowedError,
    PreflightError,
    RepositoryAccessError,
    RepositoryUnreachableError,
    UsageError,
)
from drmgr.flows.backup import backup
from drmgr.flows.rewind import Order, Rewound, Target, plan_only, rewind
from drmgr.flows.rewind_plan import Act
from drmgr.model import ObjectKind, RunKind, RunStatus
from tests.support.fake_objects import FakeObjects
from tests.unit.evidence.records import point as some_point
from tests.unit.flows.conftest import Site

DAY = 86400.0


@pytest.fixture
def objects(site: Site) -> FakeObjects:
    """A repository as it grows: packs, an index and a snapshot a day, one pack that was pruned."""
    made = FakeObjects(site.clock)
    made.put("config", b"config")
    made.put_hashed(ObjectKind.KEYS, b"key")
    for day in range(4):
        for number in range(5):
            made.put_hashed(ObjectKind.DATA, b"pack %d of day %d" % (number, day))
        made.put_hashed(ObjectKind.INDEX, b"index %d" % day)
        made.put_hashed(ObjectKind.SNAPSHOTS, b"snapshot %d" % day)
        made.hide(made.put("locks/" + f"{day}" * 64, b"lock").key)
        site.clock.sleep(3600)
    pruned = made.put_hashed(ObjectKind.DATA, b"pruned").key
    site.clock.sleep(3600)
    made.hide(pruned)
    backup(site.bench, site.wired)
    site.clock.sleep(3600)
    return made


def cut_of(site: Site) -> datetime:
    """Now; what is done after it has another time."""
    cut = site.clock.now()
    site.clock.sleep(3600)
    return cut


def back(site: Site, objects: FakeObjects, cut: datetime, into: FakeObjects | None = None) -> Rewound:
    return rewind(site.bench, "his", Order(cut, "ransomware"), objects, Target(site.repository, into))


def attack(objects: FakeObjects, chance: random.Random) -> None:
    """One thing that somebody with the keys of the store can do."""
    key = chance.choice([key for key in sorted(objects.kept) if not key.startswith("locks/")])
    versions = objects.kept[key]
    match chance.randrange(6):
        case 0 | 1:
            objects.hide(key)
        case 2:
            objects.put(key, b"garbage %d" % chance.randrange(100))
        case 3:
            # of the very same size
            objects.put(key, bytes(chance.randrange(256) for _ in range(versions[-1].size)))
        case 4:
            forged = chance.choice([ObjectKind.SNAPSHOTS, ObjectKind.DATA, ObjectKind.KEYS])
            objects.put_hashed(forged, b"forged %d" % chance.randrange(1000))
        case _:
            # to take a marker away brings a pruned pack back: nobody could tell, and it harms nobody
            unmarked = [version for version in versions if not version.marker]
            with suppress(RepositoryAccessError):
                objects.delete(chance.choice(unmarked))


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_done_to_it_comes_back(site: Site, objects: FakeObjects, seed: int) -> None:
    chance, cut, before = random.Random(seed), cut_of(site), objects.state()
    kept = {version.id for versions in objects.kept.values() for version in versions if not version.marker}
    for _ in range(chance.choice([1, 10, 200])):
        attack(objects, chance)
        site.clock.sleep(chance.choice([0, 1, 60]))
    site.clock.sleep(1)
    into = FakeObjects(site.clock, "fake/clean") if seed % 3 == 0 else None
    done = back(site, objects, cut, into)
    assert done.problems == ()
    assert (into or objects).state() == before
    # nothing that was there is gone, and a second time there is nothing to do
    assert kept <= {version.id for versions in objects.kept.values() for version in versions}
    site.clock.sleep(1)
    assert back(site, objects, cut, into).done.changed == 0
    assert {run.status for run in site.catalog.runs("his", RunKind.REWIND)} == {RunStatus.OK}


def test_a_dry_run_tells_what_how_much_and_from_when_and_changes_nothing(site: Site, objects: FakeObjects) -> None:
    cut = cut_of(site)
    packs = [stored for stored in objects.all() if stored.kind is ObjectKind.DATA and stored.current]
    began = objects.now()
    for stored in packs[:3]:
        objects.hide(stored.key)
    site.clock.sleep(60)
    objects.put(packs[3].key, b"garbage")
    site.clock.sleep(60)
    objects.put_hashed(ObjectKind.SNAPSHOTS, b"forged")
    site.clock.sleep(60)
    plan = plan_only(objects, cut, None)
    assert {act: found.objects for act, found in plan.sums.items()} == {
        Act.KEEP: 26, Act.UNCOVER: 3, Act.COVER: 1, Act.HIDE: 1, Act.ABSENT: 5, Act.LOST: 0,
    }  # fmt: skip
    assert plan.sums[Act.UNCOVER].bytes == sum(stored.versions[-1].size for stored in packs[:3])
    assert (plan.sums[Act.UNCOVER].first, plan.sums[Act.COVER].first) == (began, began + timedelta(seconds=60))
    assert not {"uncover", "bring_forward", "hide", "proves"} & set(objects.calls) - {"hide"}
    assert back(site, objects, cut).done.changed == plan.changes == 5


def test_garbage_from_before_that_time_is_passed_over(site: Site, objects: FakeObjects) -> None:
    before = objects.state()
    key = next(stored.key for stored in objects.all() if stored.kind is ObjectKind.DATA and stored.current)
    objects.put(key, b"garbage that came earlier than anybody thinks")
    done = back(site, objects, cut_of(site))
    assert (done.problems, done.done.older, objects.state()) == ((), 1, before)


def test_what_has_no_good_version_is_named_and_all_else_comes_back(site: Site, objects: FakeObjects) -> None:
    lost, kept = [stored for stored in objects.all() if stored.kind is ObjectKind.DATA and stored.current][:2]
    del objects.kept[lost.key]
    objects.put(lost.key, b"garbage")
    cut = cut_of(site)
    objects.put(lost.key, b"garbage once more")
    objects.hide(kept.key)
    done = back(site, objects, cut)
    assert (done.done.lost, done.done.examples, done.done.changed) == (1, [lost.key], 1)
    assert done.problems[0] == "1 objects have no version that is good"
    assert site.catalog.runs("his")[0].status is RunStatus.INCOMPLETE
    # so what the catalog remembers is not forgotten
    assert site.catalog.seals("his")


def test_points_of_later_are_named_and_no_longer_missed(site: Site, objects: FakeObjects) -> None:
    cut = cut_of(site)
    later = replace(some_point("his"), id="01M82C0Q0DZW0S5AFCVGVDVS0W")
    site.catalog.remember_point(later, "f" * 64)
    done = back(site, objects, cut)
    assert (done.gone, done.problems) == ((later.id,), ())
    assert len(done.points) == 1


def test_markers_that_may_not_be_deleted_are_covered_by_a_copy(site: Site, objects: FakeObjects) -> None:
    cut, before = cut_of(site), objects.state()
    for key in before:
        objects.hide(key)
    objects.fail["uncover"] = (1, RepositoryAccessError("no right to delete versions"))
    assert (back(site, objects, cut).problems, objects.state()) == ((), before)


@pytest.mark.parametrize("method", ["uncover", "bring_forward", "hide", "proves", "copy_to"])
@pytest.mark.parametrize("error", [RepositoryUnreachableError("away"), RepositoryAccessError("refused")])
def test_a_store_that_fails_half_way_is_gone_on_from(
    site: Site, objects: FakeObjects, method: str, error: RepositoryAccessError
) -> None:
    chance, cut, before = random.Random(method), cut_of(site), objects.state()
    for key in before:
        if chance.random() < 0.5:
            objects.hide(key)
        else:
            objects.put(key, b"garbage")
    for number in range(10):
        objects.put_hashed(ObjectKind.SNAPSHOTS, b"forged %d" % number)
    site.clock.sleep(1)
    into = FakeObjects(site.clock, "fake/clean") if method == "copy_to" else None
    refused_markers = method == "uncover" and isinstance(error, RepositoryAccessError)
    objects.fail[method] = (objects.calls.get(method, 0) + 4, error)
    if not refused_markers:
        with pytest.raises(type(error)):
            back(site, objects, cut, into)
        assert (into or objects).state() != before
    objects.fail.clear()
    site.clock.sleep(1)
    assert (back(site, objects, cut, into).problems, (into or objects).state()) == ((), before)


def test_what_makes_no_sense_is_refused_before_anything_changes(site: Site, objects: FakeObjects) -> None:
    cut, before = cut_of(site), objects.state()
    with pytest.raises(UsageError, match="not past"):
        back(site, objects, site.clock.now() + timedelta(days=1))
    with pytest.raises(PreflightError, match="no repository"):
        back(site, objects, site.clock.now() - timedelta(days=365))
    for key, content in (("config", b"another"), ("zzz", b"something"), ("aaa", b"something")):
        other = FakeObjects(site.clock, "fake/other")
        other.put(key, content)
        with pytest.raises(NotAllowedError, match="holds other objects"):
            back(site, objects, cut, other)
        assert other.state() == {key: content}
    with pytest.raises(NotAllowedError, match="the damaged one"):
        back(site, objects, cut, FakeObjects(site.clock, objects.location))
    assert objects.state() == before
