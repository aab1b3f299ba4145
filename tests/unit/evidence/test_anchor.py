"""Anchors of the evidence: a tail that was taken away together with the catalog shows, and so does a chain begun anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.cli.watching.sealed_heads import anchors_of
from drmgr.evidence.anchor import anchor_bytes, anchor_name, read_anchors
from drmgr.evidence.chain import first_id, links, newest
from drmgr.evidence.verify import verify_all
from drmgr.model import ChainHead, PointStatus, RecoveryPoint
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence.sealing import KEY, OTHER_KEY, seal

PUBLIC, AT = KEY.public_key(), "2026-01-05T07:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    seal(tmp_path / "evidence", FakeCatalog(), 4)
    return tmp_path / "evidence"


def anchors(folder: Path) -> list[tuple[str, bytes]]:
    return [(anchor_name(link), anchor_bytes(link, "h", AT, KEY)) for link in links(folder)]


def gaps(folder: Path, kept: list[tuple[str, bytes]]) -> list[str]:
    found, strange = read_anchors(kept, PUBLIC)
    assert strange == []
    verification = verify_all(folder, PUBLIC, [], found)
    assert verification.ok is not bool(verification.chain.gaps)
    return [gap.reason for gap in verification.chain.gaps]


def test_the_newest_document_is_found_without_reading_the_others(folder: Path) -> None:
    assert newest(folder) == links(folder)[-1]
    assert newest(folder / "none") is None
    (folder / "empty").mkdir()
    assert newest(folder / "empty") is None


def test_points_of_another_host_know_another_evidence(folder: Path) -> None:
    last = links(folder)[-1]
    head = ChainHead(last.sequence, last.sha256)
    at = datetime(2026, 11, 27, tzinfo=UTC)
    made = RecoveryPoint("P1", "his", "R", at, at, PointStatus.COMPLETE, (), {}, "backup-1", evidence=head)
    older = replace(made, id="P0", created_at=at - timedelta(days=1))
    points = [made, older, replace(made, host="drills"), replace(made, evidence=None)]
    chain = first_id(folder)
    # the host was called otherwise then; the chain is the same
    renamed = replace(made, id="P2", host="old-name", evidence=ChainHead(9, "h", chain))
    (known,) = anchors_of([renamed], "backup-1", chain)
    assert (known.sequence, anchors_of([renamed], "backup-1", "")) == (9, [])
    found = anchors_of(points, "backup-1", chain)
    assert [each.named for each in found] == ["the recovery point P0 of 2026-11-26T00:00:00+00:00"]
    assert verify_all(folder, PUBLIC, [], found).ok
    last.path.unlink()
    (gap,) = verify_all(folder, PUBLIC, [], found).chain.gaps
    assert gap.reason.startswith("document 4 was taken away: the recovery point P0 of 2026")


@pytest.mark.parametrize(
    ("left", "told"), [(3, "document 4 was"), (2, "documents 3 to 4 were"), (0, "documents 1 to 4 were")]
)
def test_a_tail_that_was_taken_away_with_the_catalog_shows(folder: Path, left: int, told: str) -> None:
    kept = anchors(folder)
    assert gaps(folder, kept) == []
    for link in links(folder)[left:]:
        link.path.unlink()
    assert gaps(folder, []) == []
    assert gaps(folder, kept) == [f"{told} taken away: the anchor of {AT} in the bucket knows of it"]


def test_a_chain_that_was_begun_anew_shows(folder: Path) -> None:
    kept = anchors(folder)
    for link in links(folder)[2:]:
        link.path.unlink()
    seal(folder, FakeCatalog(), 3)
    found = gaps(folder, kept)
    assert len(found) == 2
    assert "is not the one that the anchor of" in found[0]


def test_an_anchor_that_drmgr_did_not_sign_is_no_proof_and_is_told(folder: Path) -> None:
    link = links(folder)[0]
    name, good = anchor_name(link), anchor_bytes(link, "h", AT, KEY)
    bad = [
        (name, anchor_bytes(link, "h", AT, OTHER_KEY)),
        (name.replace("000001", "000009"), good),
        (name, good[:-20]),
        (name, b"{}"),
        (name, link.path.read_bytes()),
    ]
    found, strange = read_anchors([*bad, (name, good)], PUBLIC)
    assert len(found) == 1
    assert [text.startswith("the anchor 00000") for text in strange] == [True] * len(bad)
