"""Anchors of the evidence: a tail that was taken away together with the catalog shows, and so does a chain begun anew."""

from pathlib import Path

import pytest

from drmgr.evidence.anchor import anchor_bytes, anchor_name, read_anchors
from drmgr.evidence.chain import links
from drmgr.evidence.verify import verify_all
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
