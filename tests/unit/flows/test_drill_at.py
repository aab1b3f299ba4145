"""A drill of several systems at one time: one that ships no logs comes back to its newest point before it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from drmgr.cli.drill import Played, show
from drmgr.flows import story
from drmgr.flows.aim import Aim
from drmgr.flows.backup import backup
from drmgr.flows.bench import WiredSystem
from drmgr.flows.drill import DrillDone, drill
from drmgr.flows.story import WITHOUT_LOGS
from drmgr.model import CheckResult, DrillRecord, EvidenceEntry, Outcome, RecoveryPoint, Verdict
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import START
from tests.unit.flows.conftest import Site

HOUR = timedelta(hours=1)
ENTRY = EvidenceEntry("E1", "R", 1, "d", Verdict.PASSED, START, "p", "h")


@pytest.fixture
def lis(site: Site) -> WiredSystem:
    repository = FakeRepository(site.folder / "other-repository")
    repository.init()
    return replace(site.wired, system=replace(site.wired.system, id="lis"), repository=repository)


def played(site: Site, lis: WiredSystem, at: datetime | str, monkeypatch: pytest.MonkeyPatch) -> DrillRecord:
    """The HIS goes on by its logs, which here are none; the LIS has none at all."""
    instant = at if isinstance(at, datetime) else site.clock.now()
    monkeypatch.setattr(story, "ships_logs", lambda wired: wired.system.id == "his")
    monkeypatch.setattr(story, "aim", lambda _, points, *__: Aim(points[-1].point, {}, instant))
    monkeypatch.setattr(story, "newest", lambda _, points, *__: Aim(points[-1].point, {}, instant))
    return drill(site.bench, site.plan(systems=(site.wired, lis), at=str(at))).record


def without_logs(outcome: Outcome) -> list[CheckResult]:
    return [check for check in outcome.checks if check.name == WITHOUT_LOGS]


def points_of(site: Site, lis: WiredSystem, after: timedelta = HOUR) -> tuple[RecoveryPoint, RecoveryPoint]:
    found = []
    for _ in range(2):
        found.append(backup(site.bench, lis).point)
        site.clock.sleep(after.total_seconds())
    backup(site.bench, site.wired)
    return found[0], found[1]


def test_it_takes_the_newest_point_in_which_nothing_is_later(
    site: Site, lis: WiredSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = points_of(site, lis)
    at = late.consistent_at - timedelta(seconds=1)

    his, other = played(site, lis, at, monkeypatch).outcomes

    assert other.point is not None and other.point.id == early.id
    assert (his.timeline.brought_back, other.timeline.brought_back) == (at, early.consistent_at)
    assert not without_logs(his)
    (told,) = without_logs(other)
    assert told.expected == {"not_after": at.isoformat()}
    assert told.actual == {"brought_back": early.consistent_at.isoformat()}
    assert other.timeline.t0 is not None
    # the real gap, which is more than was promised
    assert other.rpo.measured == (other.timeline.t0 - early.consistent_at).total_seconds() > other.rpo.target
    assert other.verdict is Verdict.FAILED


def test_newest_is_its_newest_point_and_the_terminal_says_which_instant(
    site: Site, lis: WiredSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, late = points_of(site, lis, timedelta(minutes=1))

    record = played(site, lis, "newest", monkeypatch)

    _, other = record.outcomes
    assert (record.verdict, other.point and other.point.id) == (Verdict.PASSED, late.id)
    console = Console(record=True, width=200)
    show(console, [Played("d", DrillDone(record, ENTRY))])
    text = console.export_text()
    assert "lis: data of 2026-" in text and "not every source ships logs" in text
    assert "his: data of 2026-" in text


def test_without_an_earlier_point_it_ends_with_an_error(
    site: Site, lis: WiredSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, _ = points_of(site, lis)

    his, other = played(site, lis, early.consistent_at - HOUR, monkeypatch).outcomes

    assert other.error is not None and "no recovery point that is not later" in str(other.error["message"])
    assert other.verdict is Verdict.ERROR
    assert his.verdict is not Verdict.ERROR


def test_a_name_says_no_instant_to_what_has_no_logs(
    site: Site, lis: WiredSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    points_of(site, lis)
    monkeypatch.setattr(story, "ships_logs", lambda wired: wired.system.id == "his")
    monkeypatch.setattr(story, "aim", lambda _, points, *__: Aim(points[-1].point, {}))

    _, other = drill(site.bench, site.plan(systems=(site.wired, lis), at="before the update")).record.outcomes

    assert other.error is not None and "is no time" in str(other.error["message"])


def test_alone_newest_is_its_newest_point_too(site: Site, lis: WiredSystem) -> None:
    _, late = points_of(site, lis, timedelta(minutes=1))

    (outcome,) = drill(site.bench, site.plan(systems=(lis,), at="newest")).record.outcomes

    assert outcome.point is not None and outcome.point.id == late.id
    assert outcome.verdict is Verdict.PASSED and len(without_logs(outcome)) == 1


def test_alone_it_is_refused_as_before(site: Site, lis: WiredSystem) -> None:
    points_of(site, lis)

    (outcome,) = drill(site.bench, site.plan(systems=(lis,), at=str(site.clock.now()))).record.outcomes

    assert outcome.error is not None and "has no logs" in str(outcome.error["message"])
