"""The newest files first, and the rest by another run: what is noted, what is proven, and a kill at every step."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drmgr.errors import Interrupted, RepositoryDamagedError
from drmgr.flows import tofolder
from drmgr.flows.backup import backup
from drmgr.flows.bench import Source, WiredSystem
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan, ToFolder
from drmgr.flows.tofolder import NewestFirst
from drmgr.model import CheckStatus, Newer, Rest, RunStatus, Verdict
from drmgr.state.rest_book import FileRestBook
from tests.unit.flows.conftest import Site

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class Tree:
    """Only b.txt is new."""

    def newer(self, restored: Path, since: datetime, patterns: Path) -> Newer:
        patterns.parent.mkdir(parents=True, exist_ok=True)
        patterns.write_text("/b.txt\n")
        return Newer(1, all=False)

    def lacking(self, restored: Path, since: datetime) -> int:
        return 0 if (restored / "data" / "b.txt").exists() else 1


class Way:
    """Restores of one system into one folder; ``heard`` is what people were told."""

    def __init__(self, site: Site) -> None:
        self.site, self.target, self.heard = site, site.folder / "back", list[str]()
        self.book = FileRestBook(site.folder / "rests")
        images = Source("images", site.engines["images"], tree=Tree())
        self.wired: WiredSystem = replace(site.wired, sources=(site.wired.sources[0], images))
        self.point = backup(site.bench, self.wired).point

    def restore(self, *, background: bool = False, left: Rest | None = None) -> RestoreDone:
        newest = NewestFirst(SINCE, self.heard.append, self.book, background, left)
        return restore(self.site.bench, self.wired, RestorePlan("latest", ToFolder(self.target, lambda: None, newest)))

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*") if path.is_file())


ALL = ["images/data/b.txt", "images/data/deep/a.txt", "main/data/b.txt", "main/data/deep/a.txt"]


@pytest.fixture
def way(site: Site) -> Way:
    return Way(site)


def test_index_and_newest_are_told_at_t5_and_the_rest_has_evidence_of_its_own(way: Way) -> None:
    first = way.restore(background=True)
    assert way.heard == [
        f"can be used now, below {way.target}: main, the files of images since 2026-01-01; the rest is on its way"
    ]
    assert {"images/data/b.txt", "main/data/b.txt", "main/data/deep/a.txt"} < set(way.files())
    assert "images/data/deep/a.txt" not in way.files()
    outcome, (left,) = first.outcome, way.book.all()
    assert left == first.rest
    assert (left.run, left.point, left.later, left.t5) == (
        first.record.run,
        way.point.id,
        ("images",),
        outcome.timeline.t5,
    )
    # nothing is claimed of what has not come
    assert (outcome.verdict, outcome.timeline.t6, outcome.rto.measured, outcome.rto.met) == (
        Verdict.PASSED,
        None,
        None,
        False,
    )
    assert {check.name: check.status for check in outcome.checks} == {
        "newest-complete": CheckStatus.PASS,
        "files-complete": CheckStatus.SKIPPED,
    }
    way.site.clock.sleep(100)
    second = way.restore(left=left)
    assert (way.files(), way.book.all(), second.rest) == (ALL, [], None)
    line = second.outcome.timeline
    assert (line.t0, line.t5) == (outcome.timeline.t0, outcome.timeline.t5)
    assert second.outcome.rto.measured is not None and second.outcome.rto.measured >= 100
    assert {check.name for check in second.outcome.checks} == {"files-complete"}
    assert [phase.name for phase in second.outcome.phases] == ["restore-older"]
    assert first.record.run in second.record.reason
    assert first.evidence.id != second.evidence.id


def test_both_in_one_run_leave_no_note(way: Way) -> None:
    done = way.restore()
    assert (way.files(), way.book.all(), done.rest) == (ALL, [], None)
    assert done.outcome.timeline.t5 is not None
    assert len(way.heard) == 1


def test_a_run_that_was_killed_while_the_rest_was_restored_is_gone_on_with(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = way.wired.repository.restore_some

    def killed(snapshot: str, target: Path, patterns: Path, **how: object) -> None:
        if how["only"]:
            return some(snapshot, target, patterns, **how)  # type: ignore[arg-type]
        (target / "deep").mkdir(parents=True)
        (target / "deep" / "a.txt").write_text("ha")
        raise Interrupted("SIGTERM")

    monkeypatch.setattr(way.wired.repository, "restore_some", killed)
    with pytest.raises(Interrupted):
        way.restore()
    assert way.site.catalog.runs("his")[0].status is RunStatus.INTERRUPTED
    monkeypatch.undo()
    (left,) = way.book.all()
    assert way.restore(left=left).outcome.verdict is Verdict.PASSED
    assert (way.files(), way.book.all()) == (ALL, [])
    assert (way.target / "images/data/deep/a.txt").read_text() == "images"


def test_a_run_that_was_killed_while_files_were_moved_brings_none_of_them_twice(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(source: Path, target: Path) -> None:
        (target / "deep").mkdir(exist_ok=True)
        (source / "deep" / "a.txt").rename(target / "deep" / "a.txt")
        raise Interrupted("SIGTERM")

    monkeypatch.setattr(tofolder, "merge", killed)
    with pytest.raises(Interrupted):
        way.restore()
    monkeypatch.undo()
    (left,) = way.book.all()
    assert left.moving == ("images",)
    assert way.restore(left=left).outcome.verdict is Verdict.PASSED
    assert (way.files(), way.book.all()) == (ALL, [])


def test_a_run_that_was_killed_before_the_folder_had_its_name_is_gone_on_with(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(partial: Path, path: Path) -> None:
        raise Interrupted("SIGTERM")

    monkeypatch.setattr(tofolder, "_take_name", killed)
    with pytest.raises(Interrupted):
        way.restore()
    assert (way.target.exists(), way.heard) == (False, [])
    monkeypatch.undo()
    (left,) = way.book.all()
    assert left.t5 is None
    way.site.clock.sleep(5)
    assert way.restore(left=left).outcome.timeline.t5 == way.site.clock.now()
    assert (way.files(), way.book.all()) == (ALL, [])


def test_a_file_that_did_not_come_fails_the_rest_and_is_not_forgotten(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.restore(background=True)
    (left,) = way.book.all()
    monkeypatch.setattr(way.wired.repository, "restore_some", lambda _id, target, *_, **__: target.mkdir())
    with pytest.raises(RepositoryDamagedError, match="came back"):
        way.restore(left=left)
    assert len(way.book.all()) == 1
