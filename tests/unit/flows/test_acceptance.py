"""A suspicious point freezes expiry, fails drills and restores, and is trouble, until it is accepted or over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.errors import ExpireRefusedError, PointNotFoundError, PreflightError
from drmgr.flows.acceptance import Acceptance, accept, doubted, mistrusted, read_acceptance, standing
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.copying import Copy, copy
from drmgr.flows.drill import drill
from drmgr.flows.expire import Place, expire, plan_expire
from drmgr.flows.points import Found, find
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.flows.retention import Rules
from drmgr.flows.status import health
from drmgr.flows.suspicion import Sensitivity
from drmgr.flows.watched import Watched
from drmgr.model import CheckStatus, DoubtKind, Level, Verdict
from tests.support.fake_care import FakeCareBook
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site

RULES = Rules(timedelta(hours=1), 30, 0, 0, 0, timedelta(days=14))
DAY = timedelta(days=1).total_seconds()


class Perched:
    """A canary that is as it is said."""

    source = "main"

    def __init__(self) -> None:
        self.there = True

    def sound(self) -> bool:
        return self.there


@pytest.fixture
def shrunk(site: Site) -> BackupDone:
    """The last of five points; one of its two sources has shrunk to nearly nothing."""
    site.wired = replace(site.wired, sensitivity=Sensitivity(new_bytes=100))
    for _ in range(4):
        assert backup(site.bench, site.wired).notes == ()
        site.clock.sleep(DAY)
    (site.folder / "main/b.txt").write_text("b")
    return backup(site.bench, site.wired)


def found_in(site: Site) -> Found:
    return find(site.repository, FakeCatalog(), "his")


def place(site: Site) -> Place:
    return Place("", site.wired.system, site.repository, site.catalog)


def accepted(site: Site, point: str) -> None:
    accept(site.repository, found_in(site), "his", Acceptance(point, "zhang", site.clock.now(), "the archive moved"))


def test_a_suspicious_point_is_told_where_anybody_looks(site: Site, shrunk: BackupDone) -> None:
    (note,) = shrunk.notes
    assert note == "his: this recovery point is suspicious: main: 5 bytes are left of 1004"
    assert shrunk.point.judgement is not None
    (doubt,) = shrunk.point.judgement.doubts
    assert (doubt.source, doubt.kind) == ("main", DoubtKind.SHRUNK)
    assert list(doubted(found_in(site))) == [shrunk.seal]
    with pytest.raises(ExpireRefusedError, match="suspicious: main: 5 bytes") as refused:
        plan_expire(site.bench, place(site), RULES)
    assert f"drmgr points his --accept {shrunk.point.id}" in refused.value.hint
    watched = Watched(site.wired.system, site.repository, frozenset(), (), (), timedelta(days=92))
    assert [each.code for each in health(watched, site.catalog, site.clock).problems] == ["point-suspicious"]


def test_a_point_without_a_source_of_the_one_before_is_suspicious_until_a_person_accepts_it(site: Site) -> None:
    site.with_source("letters")
    before = backup(site.bench, site.wired)
    site.clock.sleep(DAY)
    kept = tuple(source for source in site.wired.sources if source.name != "images")
    fewer = site.wired = replace(site.wired, sources=kept, checks=())
    done = backup(site.bench, fewer)
    assert done.notes == (
        "his: this recovery point is suspicious: images: the recovery point before holds this source, and the job has it no more",
    )
    assert standing(done.point, frozenset()) == "suspicious"
    (check,) = mistrusted(found_in(site), done.point, done.point.members)
    assert (check.name, check.status) == ("point-trusted", CheckStatus.FAIL)
    assert before.point.id in check.message
    # whoever names what is wanted of a point is not told of what is not
    assert mistrusted(found_in(site), done.point, done.point.members[:1]) == ()
    verdicts = {each.name: each.status for each in drill(site.bench, site.plan()).record.outcomes[0].checks}
    assert verdicts["point-trusted"] is CheckStatus.FAIL
    site.clock.sleep(DAY)
    (again,) = backup(site.bench, fewer).point.judgement.doubts  # type: ignore[union-attr]
    assert (again.kind, again.since) == (DoubtKind.SOURCE_GONE, done.point.id)
    accepted(site, done.point.id)
    site.clock.sleep(DAY)
    after = backup(site.bench, fewer)
    assert after.notes == ()
    assert standing(after.point, frozenset()) != "suspicious"
    assert "point-trusted" not in {each.name for each in drill(site.bench, site.plan()).record.outcomes[0].checks}


def test_a_drill_on_it_does_not_pass_and_names_the_last_good_point(site: Site, shrunk: BackupDone) -> None:
    before = found_in(site).points[-2].point.id
    (outcome,) = drill(site.bench, site.plan()).record.outcomes
    (check,) = [check for check in outcome.checks if check.name == "point-trusted"]
    assert (check.status, outcome.verdict, outcome.level) == (CheckStatus.FAIL, Verdict.FAILED, Level.FACTS)
    assert before in check.message
    (older,) = drill(site.bench, site.plan(point=before)).record.outcomes
    # a day old, so its RPO is missed; but nothing is wrong with it
    assert {check.status for check in older.checks} == {CheckStatus.PASS}


def test_a_restore_of_it_brings_it_back_and_says_so(site: Site, shrunk: BackupDone) -> None:
    plan = RestorePlan("latest", ToScratch(timedelta(hours=1)))
    done = restore(site.bench, site.wired, plan)
    assert done.outcome.point == shrunk.point
    assert set(done.instances) == {"main", "images"}
    assert [check.name for check in done.outcome.checks if check.status is CheckStatus.FAIL] == ["point-trusted"]
    # the other source is not in doubt
    only = restore(site.bench, site.wired, replace(plan, sources=("images",)))
    assert only.record.verdict is Verdict.PASSED
    assert mistrusted(found_in(site), shrunk.point, shrunk.point.members[1:]) == ()


def test_once_a_person_accepts_it_everything_goes_on(site: Site, shrunk: BackupDone) -> None:
    book = FakeCareBook(site.catalog)
    accepted(site, shrunk.point.id)
    found = found_in(site)
    assert doubted(found) == {}
    assert standing(shrunk.point, frozenset({shrunk.point.id})) == "accepted"
    word = read_acceptance(site.repository, found, shrunk.point.id)
    assert word is not None
    assert (word.by, word.reason) == ("zhang", "the archive moved")
    site.clock.sleep(3 * DAY)
    expired = expire(
        site.bench, book, place(site), Rules(timedelta(hours=1), 1, 0, 0, 0, timedelta(days=14)), prune=True
    )
    assert len(expired.plan.expiring) == 4
    # the word outlives what it was about, and leftovers are not made of it
    assert read_acceptance(site.repository, found_in(site), shrunk.point.id) == word
    assert backup(site.bench, site.wired).notes == ()
    assert drill(site.bench, site.plan()).record.verdict is Verdict.PASSED


def test_it_is_over_when_the_next_one_is_fine(site: Site, shrunk: BackupDone) -> None:
    again = backup(site.bench, site.wired)
    assert len(doubted(found_in(site))) == 2
    # one word covers what was seen first in that point
    (site.folder / "main/b.txt").write_text("b" * 900)
    fine = backup(site.bench, site.wired)
    assert fine.notes == ()
    assert list(doubted(found_in(site))) == [shrunk.seal, again.seal]
    assert plan_expire(site.bench, place(site), RULES).expiring == ()
    watched = Watched(site.wired.system, site.repository, frozenset(), (), (), timedelta(days=92))
    assert health(watched, site.catalog, site.clock).problems == ()


def test_one_word_covers_the_points_that_only_show_the_same(site: Site, shrunk: BackupDone) -> None:
    backup(site.bench, site.wired)
    accepted(site, shrunk.point.id)
    assert doubted(found_in(site)) == {}


def test_only_what_is_doubted_can_be_accepted(site: Site, shrunk: BackupDone) -> None:
    with pytest.raises(PreflightError, match="not suspicious"):
        accepted(site, found_in(site).points[0].point.id)
    with pytest.raises(PointNotFoundError):
        accepted(site, "01NOSUCH")
    accepted(site, shrunk.point.id)
    with pytest.raises(PreflightError, match="not suspicious"):
        accepted(site, shrunk.point.id)


def test_a_copy_knows_what_is_suspicious_and_what_was_accepted(site: Site, shrunk: BackupDone) -> None:
    book, there = FakeCareBook(site.catalog), FakeRepository(site.folder / "copy")
    to = Copy("fire", there, book.memory("fire"), timedelta(days=9))
    copy(site.bench, site.wired.system, site.repository, to)
    assert list(doubted(find(there, FakeCatalog(), "his"))) == [shrunk.seal]
    accepted(site, shrunk.point.id)
    assert copy(site.bench, site.wired.system, site.repository, to).lacking == ()
    assert doubted(find(there, FakeCatalog(), "his")) == {}


def test_a_canary_that_is_gone_makes_a_point_suspicious_and_one_never_planted_is_asked_for(site: Site) -> None:
    canary = Perched()
    site.wired = replace(site.wired, canaries=(canary,))
    canary.there = False
    assert backup(site.bench, site.wired).notes == ("his/main: its canary is not there; plant it: drmgr canary plant",)
    canary.there = True
    assert backup(site.bench, site.wired).notes == ()
    canary.there = False
    (note,) = backup(site.bench, site.wired).notes
    assert note == "his: this recovery point is suspicious: main: the canary has changed or is gone"
