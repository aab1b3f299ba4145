from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.errors import (
    DrmgrError,
    Interrupted,
    LockedError,
    PreflightError,
    RepositoryMissingError,
    RepositoryUnreachableError,
    SourceError,
)
from drmgr.flows.backup import backup
from drmgr.flows.points import find, read
from drmgr.interfaces import Progress
from drmgr.model import ChainHead, Payload, PointStatus, RunKind, RunStatus, Snapshot
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import FakeEvidence
from tests.unit.flows.conftest import Site


def test_a_point_holds_every_source_and_is_told_by_the_repository_alone(site: Site) -> None:
    done = backup(site.bench, site.wired)
    assert done.status is RunStatus.OK
    assert [member.source for member in done.point.members] == ["main", "images"]
    assert all(len(member.facts.groups["content"]) == 2 for member in done.point.members)
    (offered,) = find(site.repository, FakeCatalog(), "his").points
    assert offered.point == done.point == read(site.repository, done.seal)
    (run,) = site.catalog.runs()
    assert (run.kind, run.status, run.detail["point"]) == (RunKind.BACKUP, RunStatus.OK, done.point.id)


def test_a_point_says_from_where_each_source_was_taken(site: Site) -> None:
    main, images = site.wired.sources
    wired = replace(site.wired, sources=(replace(main, connection="his-db"), images))
    site.engines["images"].raises["versions"] = SourceError("it does not say")

    # what is not told is left out, and no backup is worth less for it
    assert [(member.connection, member.versions) for member in backup(site.bench, wired).point.members] == [
        ("his-db", {"server": "1.2"}),
        ("", {}),
    ]


def test_a_point_seals_where_the_evidence_stands(site: Site) -> None:
    assert backup(site.bench, site.wired).point.evidence is None
    evidence = site.bench.evidence
    assert isinstance(evidence, FakeEvidence)
    evidence.standing = ChainHead(3, "h")
    done = backup(site.bench, site.wired)
    assert done.point.evidence == read(site.repository, done.seal).evidence == ChainHead(3, "h")
    assert done.notes == ()


def test_evidence_that_cannot_be_read_stops_no_backup_and_is_told(site: Site) -> None:
    evidence = site.bench.evidence
    assert isinstance(evidence, FakeEvidence)
    evidence.broken = True
    done = backup(site.bench, site.wired)
    assert (done.status, done.point.evidence) == (RunStatus.OK, None)
    assert "does not seal where the evidence stands: the chain is broken" in done.notes[0]


def test_the_points_instant_is_the_oldest_of_its_members(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = site.repository.backup

    def slow(payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        site.clock.sleep(600)
        return real(payload, tags, progress)

    monkeypatch.setattr(site.repository, "backup", slow)
    start = site.clock.now()
    done = backup(site.bench, site.wired)
    assert [member.consistent_at - start for member in done.point.members] == [timedelta(0), timedelta(seconds=600)]
    assert done.point.consistent_at == start
    assert done.point.created_at - start == timedelta(seconds=1200)
    assert [member.seconds for member in done.point.members] == [600, 600]


@pytest.mark.parametrize("where", ["capture", "store", "capture-facts"])
def test_a_second_source_that_fails_leaves_no_point(site: Site, where: str) -> None:
    site.engines["images"].raises = {where: SourceError("the disk is gone")}
    with pytest.raises(SourceError):
        backup(site.bench, site.wired)
    assert find(site.repository, FakeCatalog(), "his").points == ()
    assert site.catalog.points == {}
    (run,) = site.catalog.runs()
    assert run.status is RunStatus.FAILED
    assert run.error is not None and run.error["code"] == "source"


class SealRefused(FakeRepository):
    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        raise RepositoryUnreachableError("gone")


class SealHalf(FakeRepository):
    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        return replace(super().store_bytes(filename, content, tags), complete=False)


@pytest.mark.parametrize("kind", [SealRefused, SealHalf])
def test_a_seal_that_was_not_stored_is_no_point(site: Site, kind: Callable[..., FakeRepository]) -> None:
    repository = kind(site.folder / "repository")
    with pytest.raises(DrmgrError):
        backup(site.bench, replace(site.wired, repository=repository))
    assert site.catalog.points == {}


class Unreadable(FakeRepository):
    """One file of the images could not be read."""

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        snapshot = super().backup(payload, tags, progress)
        hit = "source=images" in tags
        return replace(snapshot, complete=not hit, unreadable=("/deep/a.txt",) if hit else ())


def test_unreadable_files_make_an_incomplete_point(site: Site) -> None:
    wired = replace(site.wired, repository=Unreadable(site.folder / "repository"))
    done = backup(site.bench, wired)
    assert (done.status, done.point.status) == (RunStatus.INCOMPLETE, PointStatus.INCOMPLETE)
    assert [(member.complete, member.unreadable) for member in done.point.members] == [(True, 0), (False, 1)]
    (run,) = site.catalog.runs()
    assert (run.status, run.detail["unreadable"]) == (RunStatus.INCOMPLETE, 1)


def test_a_source_that_stored_nothing_is_no_success(site: Site) -> None:
    for path in (site.engines["images"].root / "deep" / "a.txt", site.engines["images"].root / "b.txt"):
        path.unlink()
    with pytest.raises(SourceError, match="nothing"):
        backup(site.bench, site.wired)
    assert find(site.repository, FakeCatalog(), "his").points == ()


def test_preflight_tells_all_that_is_wrong_before_anything_is_stored(site: Site) -> None:
    for name, engine in site.engines.items():
        engine.raises = {"preflight": PreflightError(f"{name} is down")}
    with pytest.raises(PreflightError, match=r"main is down; images is down"):
        backup(site.bench, site.wired)
    assert site.snapshots() == []


def test_one_thing_wrong_keeps_its_own_error(site: Site) -> None:
    wired = replace(site.wired, repository=FakeRepository(site.folder / "nowhere"))
    with pytest.raises(RepositoryMissingError):
        backup(site.bench, wired)
    with pytest.raises(PreflightError, match="no sources"):
        backup(site.bench, replace(site.wired, sources=()))


def test_only_one_backup_of_a_system_at_a_time(site: Site) -> None:
    with site.bench.locks.hold("system-his"), pytest.raises(LockedError):
        backup(site.bench, site.wired)
    assert site.snapshots() == []
    backup(site.bench, site.wired)
    assert site.locks.held == set()


@pytest.mark.parametrize(
    ("stop", "status", "code"),
    [(Interrupted("SIGTERM"), RunStatus.INTERRUPTED, "interrupted"), (ZeroDivisionError(), RunStatus.FAILED, "bug")],
)
def test_every_way_out_closes_the_run(site: Site, stop: BaseException, status: RunStatus, code: str) -> None:
    site.engines["images"].raises = {"store": stop}  # type: ignore[dict-item]
    with pytest.raises(type(stop)):
        backup(site.bench, site.wired)
    (run,) = site.catalog.runs()
    assert run.status is status
    assert run.error is not None and run.error["code"] == code
    assert find(site.repository, FakeCatalog(), "his").points == ()
    assert site.locks.held == set()
