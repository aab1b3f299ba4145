"""As far as was shipped, of those sources that are asked for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from drmgr.errors import UsageError
from drmgr.flows import aim as aiming
from drmgr.flows import reach as reaching
from drmgr.flows.backup import backup
from drmgr.flows.restoreplan import RestorePlan, ToScratch, planned
from drmgr.flows.shipped import LogRange
from drmgr.interfaces import LogShipper
from drmgr.model import Member, Snapshot
from tests.unit.flows.conftest import Site

RECOVERY = {"system_identifier": "chain", "timeline": 1, "last_log": 0, "position": 0, "restore_point": ""}
NEWEST = RestorePlan("latest", ToScratch(timedelta(hours=1)), at="newest")


@pytest.fixture
def until(site: Site, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The end of the one log that was shipped of ``main`` since its backup; ``images`` has none."""
    backup(site.bench, site.wired)
    site.clock.sleep(600)
    end, plain = site.clock.now(), reaching.reach
    site.clock.sleep(60)
    shipped = (LogRange(Snapshot("s1", end), "chain", 1, 1, 1, end, 1000),)

    def reach(member: Member, ranges: Sequence[LogRange]) -> reaching.Reach | None:
        if member.source == "main":
            member = replace(member, facts=replace(member.facts, groups={**member.facts.groups, "recovery": RECOVERY}))
        return plain(member, ranges)

    monkeypatch.setattr(reaching, "reach", reach)
    monkeypatch.setattr(aiming, "log_ranges", lambda _repository, _system, source: shipped if source == "main" else ())
    logs = cast(LogShipper, object())
    sources = tuple(replace(each, logs=logs) if each.name == "main" else each for each in site.wired.sources)
    site.wired = replace(site.wired, sources=sources)
    return end


def test_the_chosen_source_goes_as_far_as_its_log_though_another_has_none(site: Site, until: datetime) -> None:
    found, _ = planned(site.bench, site.wired, replace(NEWEST, sources=("main",)))
    assert found.instant == until - timedelta(microseconds=1)
    assert list(found.replays) == ["main"]
    assert found.replays["main"].target.value == found.instant.isoformat()


@pytest.mark.parametrize("sources", [("images",), ("main", "images"), ()])
def test_one_without_a_log_is_named(site: Site, until: datetime, sources: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="images has no logs") as told:
        planned(site.bench, site.wired, replace(NEWEST, sources=sources))
    assert "--source" in told.value.hint


def test_without_a_log_since_the_point_it_is_the_point(
    site: Site, until: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiming, "log_ranges", lambda *_: ())
    found, _ = planned(site.bench, site.wired, replace(NEWEST, sources=("main",)))
    assert (found.replays, found.instant) == ({}, None)


def test_a_source_that_the_job_has_not_is_named(site: Site, until: datetime) -> None:
    with pytest.raises(UsageError, match="declares no source mian"):
        planned(site.bench, site.wired, replace(NEWEST, sources=("mian",)))
