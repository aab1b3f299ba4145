"""How systems stand by the care of their repositories: locks, copies, what looking through them found."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.errors import RepositoryUnreachableError
from drmgr.flows.backup import backup
from drmgr.flows.copying import Copy, Standing, copy, standing
from drmgr.flows.expire import Place
from drmgr.flows.status import health
from drmgr.flows.verify import look as look_through
from drmgr.flows.watched import Watched
from drmgr.model import Json, RunKind, RunStatus
from drmgr.system.clock import rfc3339
from tests.support.fake_care import FakeCareBook
from tests.support.fake_repository import FakeRepository
from tests.unit.flows.conftest import Site
from tests.unit.flows.looking import codes, look


def test_locks_that_drifted_or_are_not_extended_any_more_are_trouble_by_place(site: Site) -> None:
    backup(site.bench, site.wired)
    within, locked = timedelta(days=92), {"": timedelta(days=10), "far": timedelta(days=40)}
    watched = Watched(site.wired.system, site.repository, frozenset(), (), (), within, locked=locked)

    def found() -> list[tuple[str, str]]:
        problems = health(watched, site.catalog, site.clock).problems
        return [(each.code, each.subject) for each in problems if each.code == "unprotected"]

    def protected(copy: str, *problems: str, dry_run: bool = False) -> None:
        run = site.catalog.open_run(RunKind.PROTECT, "his")
        detail = {"copy": copy, "problems": list(problems), "dry_run": dry_run}
        site.catalog.close_run(run.id, RunStatus.OK, detail)

    assert found() == []
    site.clock.sleep(timedelta(days=5, hours=1).total_seconds())
    protected("far")
    protected("", dry_run=True)
    assert found() == [("unprotected", "")]
    protected("")
    assert found() == []
    protected("far", "2 objects had no lock")
    assert found() == [("unprotected", "far")]
    protected("far")
    assert found() == []
    site.clock.sleep(timedelta(days=21).total_seconds())
    assert found() == [("unprotected", ""), ("unprotected", "far")]


def test_a_repository_that_was_wiped_is_no_younger_for_its_locks(site: Site, tmp_path: Path) -> None:
    backup(site.bench, site.wired)
    begun, locked = site.clock.now(), {"": timedelta(days=10)}
    site.clock.sleep(timedelta(days=6).total_seconds())
    assert "unprotected" in codes(look(site, locked=locked, begun=begun))
    site.repository = FakeRepository(tmp_path / "wiped")
    site.repository.init()
    site.wired = replace(site.wired, repository=site.repository)
    assert "unprotected" in codes(look(site, locked=locked, begun=begun))
    backup(site.bench, site.wired)
    assert "unprotected" in codes(look(site, locked=locked, begun=begun))


def test_a_copy_that_is_empty_late_damaged_or_away_is_trouble(site: Site) -> None:
    done = backup(site.bench, site.wired)
    there = FakeRepository(site.folder / "copy")
    fire = Copy("fire", there, FakeCareBook(site.catalog).memory("fire"), timedelta(hours=6))

    def held() -> dict[str, Standing]:
        return {"fire": standing(site.clock, "his", fire)}

    assert codes(look(site, copies=held)) == ["copy-behind"]
    copy(site.bench, site.wired.system, site.repository, fire)
    assert look(site, copies=held).ok
    site.clock.sleep(6 * 3600 + 1)
    backup(site.bench, site.wired)
    assert codes(look(site, copies=held)) == ["copy-behind"]
    copy(site.bench, site.wired.system, site.repository, fire)
    assert look(site, copies=held).ok
    there.forget([done.point.members[0].snapshot])
    assert codes(look(site, copies=held)) == ["copy-damaged"]
    away = RepositoryUnreachableError("no route")
    assert codes(look(site, copies=lambda: {"fire": away})) == ["copy-unreachable"]


def test_damage_that_a_look_through_the_repository_found_is_trouble_until_it_is_gone(site: Site) -> None:
    point = backup(site.bench, site.wired).point
    place = Place("", site.wired.system, site.repository, site.catalog)
    look_through(site.bench, place, 1.0)
    assert look(site).ok
    broken = site.folder / "repository" / point.members[0].snapshot / "files" / "b.txt"
    whole = broken.read_bytes()
    broken.write_text("other")
    look_through(site.bench, place, 1.0)
    found = look(site)
    assert codes(found) == ["check-failed"]
    assert point.id in found.problems[0].message
    broken.write_bytes(whole)
    # a look at the structure alone, or at a part, does not show that the data are whole again
    for share in (0.0, 0.5):
        look_through(site.bench, place, share)
        assert codes(look(site)) == ["check-failed"]
    look_through(site.bench, place, 1.0)
    assert look(site).ok


@pytest.mark.parametrize(
    ("damaged", "sound", "over"),
    [
        ({"share": 0.0}, {"share": 0.0}, True),
        ({"share": 0.1}, {"share": 0.1}, False),
        ({"share": 0.1}, {"groups": 7}, False),
        ({"share": 0.1}, {"groups": 7, "all_read_since": -1}, False),
        ({"share": 0.1}, {"groups": 7, "all_read_since": 1}, True),
        ({"groups": 7}, {"groups": 7}, True),
        ({"groups": 7}, {"groups": 9}, False),
        ({"groups": 7}, {"share": 0.9}, False),
        ({"groups": 7}, {"share": 1.0}, True),
        ({"share": 0.1}, {"share": 1.0, "place": "fire"}, False),
    ],
)
def test_only_what_was_read_again_counts_as_sound(site: Site, damaged: Json, sound: Json, over: bool) -> None:
    backup(site.bench, site.wired)
    at = site.clock.now()
    for status, detail in ((RunStatus.FAILED, damaged), (RunStatus.OK, sound)):
        hours = detail.get("all_read_since")
        since = {} if hours is None else {"all_read_since": rfc3339(at + timedelta(hours=hours))}
        run = site.catalog.open_run(RunKind.REPO_CHECK, "his")
        site.catalog.close_run(run.id, status, {"place": "", "errors": 1, **detail, **since})
        site.clock.sleep(1)
    assert codes(look(site)) == ([] if over else ["check-failed"])


def test_a_repository_that_could_not_be_looked_through_is_trouble_until_it_can(site: Site) -> None:
    backup(site.bench, site.wired)
    run = site.catalog.open_run(RunKind.REPO_CHECK, "his")
    site.catalog.close_run(run.id, RunStatus.FAILED, {"place": "", "share": 1.0}, {"code": "repository-unreachable"})
    assert codes(look(site)) == ["check-failed"]
    site.clock.sleep(1)
    look_through(site.bench, Place("", site.wired.system, site.repository, site.catalog), 0.0)
    assert look(site).ok
