import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.errors import PointNotFoundError, PreflightError, RepositoryDamagedError
from drmgr.flows.backup import BackupDone, backup
from drmgr.flows.points import SEAL_NAME, SealedPoint, believed, choose, find, read, seal
from drmgr.model import Facts, Member, Part, PointStatus, RecoveryPoint, Snapshot
from tests.support.fake_catalog import FakeCatalog
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import START
from tests.unit.flows.conftest import Site


def a_point(identity: str, status: PointStatus = PointStatus.COMPLETE, **groups: object) -> RecoveryPoint:
    facts = Facts("fake", START, groups)  # type: ignore[arg-type]
    members = (Member("main", "fake", START, (Part("data", "ab" * 32, 1, 1),), facts),)
    return RecoveryPoint(identity, "his", "R", START, START, status, members, {}, "host")


def tampered(site: Site, done: BackupDone, **changes: object) -> BackupDone:
    """The seal's content rewritten in the repository, hash of the file and all."""
    document = json.loads(site.repository.read_bytes(done.seal, SEAL_NAME))
    document["point"].update(changes)
    tags = json.loads((site.folder / "repository" / done.seal / "snapshot.json").read_text())["tags"]
    again = site.repository.store_bytes(SEAL_NAME, json.dumps(document).encode(), tags)
    return replace(done, seal=again.id)


def test_a_tampered_seal_is_damage_and_is_not_offered(site: Site) -> None:
    done = backup(site.bench, site.wired)
    false = tampered(site, done, host="another")
    with pytest.raises(RepositoryDamagedError, match="does not match its hash"):
        read(site.repository, false.seal)
    found = find(site.repository, FakeCatalog(), "his")
    assert [offered.seal for offered in found.points] == [done.seal]
    assert len(found.problems) == 1


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"{}", b'{"point":{},"sha256":1}', b"null"])
def test_a_seal_that_is_none_is_damage(site: Site, content: bytes) -> None:
    snapshot = site.repository.store_bytes(SEAL_NAME, content, ("drmgr", "system=his", "seal"))
    with pytest.raises(RepositoryDamagedError):
        read(site.repository, snapshot.id)


def test_a_point_whose_data_is_gone_is_a_problem_not_an_offer(site: Site) -> None:
    done = backup(site.bench, site.wired)
    lost = site.folder / "repository" / done.point.members[1].snapshot
    lost.rename(site.folder / "lost")
    for catalog in (site.catalog, FakeCatalog()):
        found = find(site.repository, catalog, "his")
        assert found.points == ()
        assert "1 of its snapshots are gone" in found.problems[0]


def test_a_damaged_snapshot_is_named(site: Site) -> None:
    done = backup(site.bench, site.wired)
    (site.folder / "repository" / done.seal / "snapshot.json").write_text("{")
    found = find(site.repository, site.catalog, "his")
    assert found.points == ()
    assert found.problems == (f"snapshot {done.seal[:8]} cannot be read",)


def test_points_of_another_system_are_not_offered(site: Site) -> None:
    backup(site.bench, site.wired)
    assert find(site.repository, site.catalog, "pacs").points == ()


def test_a_point_is_believed_only_as_the_repository_tells_it(site: Site) -> None:
    done = backup(site.bench, site.wired)
    assert believed(site.repository, SealedPoint(done.point, done.seal)) == done.point
    older = replace(done.point, consistent_at=done.point.consistent_at - timedelta(days=1))
    with pytest.raises(PreflightError, match="catalog"):
        believed(site.repository, SealedPoint(older, done.seal))


class Memory(FakeRepository):
    """Holds one seal."""

    def __init__(self) -> None:
        super().__init__(Path("unused"))
        self._seal = b""

    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        self._seal = content
        return Snapshot(filename, START, tuple(tags))

    def read_bytes(self, snapshot: str, filename: str) -> bytes:
        return self._seal


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1), st.text(max_size=5))
def test_facts_come_back_from_a_seal_exactly(value: int, name: str) -> None:
    """Sequences reach beyond the whole numbers that every reader of JSON keeps."""
    repository = Memory()
    point = a_point("01", sequences={name: {"low": value, "high": value}})
    assert read(repository, seal(repository, FakeCatalog(), point)) == point


OFFERED = [
    SealedPoint(a_point("01AAA1"), "s1"),
    SealedPoint(a_point("01AAA2"), "s2"),
    SealedPoint(a_point("01BBB1", PointStatus.INCOMPLETE), "s3"),
]


@pytest.mark.parametrize(("wanted", "seal_id"), [("latest", "s2"), ("01AAA1", "s1"), ("01aaa2", "s2"), ("01B", "s3")])
def test_a_point_is_chosen_by_its_id_or_as_the_latest_complete_one(wanted: str, seal_id: str) -> None:
    assert choose(OFFERED, "his", wanted).seal == seal_id


@pytest.mark.parametrize("wanted", ["01", "01AAA", "99", "AAA1", ""])
def test_a_choice_that_is_not_one_point_is_refused(wanted: str) -> None:
    with pytest.raises(PointNotFoundError):
        choose(OFFERED, "his", wanted)


def test_nothing_named_is_no_choice_even_of_one() -> None:
    with pytest.raises(PointNotFoundError):
        choose(OFFERED[:1], "his", "")


def test_an_incomplete_point_is_never_the_latest() -> None:
    with pytest.raises(PointNotFoundError, match="no complete"):
        choose(OFFERED[2:], "his", "latest")
