"""An index before its files: what the seal must say, and which files may be without a row."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.checks.filetree import FilesCheck, IndexedFiles
from drmgr.checks.order import OrderCheck
from drmgr.model import (
    CheckStatus,
    Facts,
    Instance,
    Member,
    NotRestored,
    Objectives,
    Part,
    PointStatus,
    RecoveryPoint,
    Restored,
    Standstill,
    Text,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def member(source: str, second: float, until: float | None = None) -> Member:
    at = NOON + timedelta(seconds=second)
    seen = None if until is None else NOON + timedelta(seconds=until)
    return Member(source, "e", at, (Part("p", "0" * 64, 1, 1),), Facts("e", at, {}), seen_until=seen)


def restored(*members: Member, still: Standstill | None = None, **folders: Path) -> Restored:
    point = RecoveryPoint("P", "pacs", "R", NOON, NOON, PointStatus.COMPLETE, members, {}, "h", still)
    instances = {name: Instance("e", path=folders.get(name)) for name in ("index", "images")}
    return Restored(point, instances, Objectives(timedelta(hours=1), timedelta(hours=1)))


def status(*members: Member, still: Standstill | None = None) -> CheckStatus:
    result = OrderCheck("index", "images").run(restored(*members, still=still))
    assert bool(result.message) is (result.status is CheckStatus.FAIL)
    return result.status


STILL = Standstill("pause-pacs", NOON - timedelta(seconds=9), NOON + timedelta(seconds=9))


def test_the_index_comes_first_or_the_writers_stand_still() -> None:
    assert status(member("index", 0, 1), member("images", 2)) is CheckStatus.PASS
    assert status(member("images", 0), member("index", 2, 3)) is CheckStatus.FAIL
    assert status(member("images", 0), member("index", 2, 3), still=STILL) is CheckStatus.PASS
    # points of an older drmgr
    assert status(member("index", 0), member("images", 2)) is CheckStatus.PASS


def test_instants_that_speak_against_the_order_are_not_passed_over() -> None:
    assert status(member("index", 0, 3600), member("images", 2)) is CheckStatus.FAIL
    assert status(member("index", 3600), member("images", 2)) is CheckStatus.FAIL
    backwards = replace(STILL, until=STILL.since - timedelta(hours=1))
    assert status(member("images", 0), member("index", 2, 3), still=backwards) is CheckStatus.FAIL


def test_a_view_outside_the_standstill_is_not_covered_by_it() -> None:
    early = replace(STILL, since=NOON + timedelta(minutes=10), until=NOON + timedelta(minutes=11))
    assert status(member("images", 0), member("index", 2, 3), still=early) is CheckStatus.FAIL


def test_one_source_alone_cannot_be_out_of_order() -> None:
    both = restored(member("images", 0), member("index", 2))
    with pytest.raises(NotRestored):
        OrderCheck("index", "images").run(replace(both, instances={"index": Instance("e")}))


class Index:
    def rows(self, of: Instance, sql: str) -> list[tuple[str, None, None]]:
        return [("named", None, None)]


def look(tmp_path: Path, *members: Member, arriving: float = 0) -> dict[str, int]:
    of = IndexedFiles("index", "rows", "images", timedelta(seconds=arriving))
    check = FilesCheck(name="f", title=Text("题", "t"), engine=Index(), of=of)  # type: ignore[arg-type]
    result = check.run(restored(*members, images=tmp_path))
    assert (result.status is CheckStatus.PASS) is not result.actual["orphans"]
    return {name: result.actual.get(name, 0) for name in ("orphans", "arriving")}


def test_a_file_that_came_after_the_index_was_read_is_no_orphan(tmp_path: Path) -> None:
    for name, second in (("named", -9), ("old", -9), ("just before", -1), ("after", 1), ("impossible", 9)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, NOON.timestamp() + second))
    index, images = member("index", 0), member("images", 2, 5)
    assert look(tmp_path, index, images) == {"orphans": 3, "arriving": 1}
    assert look(tmp_path, index, images, arriving=5) == {"orphans": 2, "arriving": 2}
    # read before their index: then nothing can be said of the late ones
    assert look(tmp_path, images, index) == {"orphans": 4, "arriving": 0}
    for name in ("old", "just before", "impossible"):
        (tmp_path / name).unlink()
    assert look(tmp_path, index, images) == {"orphans": 0, "arriving": 1}
