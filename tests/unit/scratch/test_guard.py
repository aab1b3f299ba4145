from pathlib import Path

import pytest

from drmgr.errors import NotAllowedError
from drmgr.scratch.guard import (
    refuse_outside_connections,
    refuse_outside_folders,
    refuse_outside_originals,
    refuse_production,
    refuse_shared_place,
    refuse_source_folders,
)


def test_a_production_source_is_never_a_target() -> None:
    production = {"his-main": "postgresql:1:his", "lis": "postgresql:1:lis"}
    refuse_production("postgresql:1:other", production)
    with pytest.raises(NotAllowedError, match="production source lis itself"):
        refuse_production("postgresql:1:lis", production)


def test_a_folder_that_is_backed_up_is_never_a_target(tmp_path: Path) -> None:
    (tmp_path / "pacs").mkdir()
    (tmp_path / "archive").symlink_to("pacs")
    for target in ("pacs", "pacs/new", "archive/new"):
        for root in ("pacs", "archive"):
            with pytest.raises(NotAllowedError, match="production source images"):
                refuse_source_folders(tmp_path / target, {"images": tmp_path / root})
    refuse_source_folders(tmp_path / "pacs-new", {"images": tmp_path / "pacs"})


def test_only_named_connections_are_targets() -> None:
    refuse_outside_connections("spare", ["spare"])
    with pytest.raises(NotAllowedError):
        refuse_outside_connections("his-main", ["spare"])


def test_a_folder_must_lie_below_an_allowed_one_and_be_empty(tmp_path: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    (allowed / "full").mkdir(parents=True)
    (allowed / "full" / "file").touch()
    (allowed / "empty").mkdir()
    outside.mkdir()
    (allowed / "link").symlink_to(outside)
    assert refuse_outside_folders(allowed / "new", [allowed]) == allowed.resolve() / "new"
    assert refuse_outside_folders(allowed / "empty", [allowed]) == allowed.resolve() / "empty"
    for target in (outside, allowed, allowed / "link" / "x", allowed / ".." / "outside", allowed / "full"):
        with pytest.raises(NotAllowedError):
            refuse_outside_folders(target, [allowed])
    with pytest.raises(NotAllowedError):
        refuse_outside_folders(allowed / "new", [])


def test_its_own_place_must_be_allowed_and_its_own() -> None:
    refuse_outside_originals("his", ["his"])
    for allowed in ([], ["lis"]):
        with pytest.raises(NotAllowedError, match="does not allow his"):
            refuse_outside_originals("his", allowed)
    refuse_shared_place("his", {})
    with pytest.raises(NotAllowedError, match=r"lis/main lies in the same place \(his-main\) as his"):
        refuse_shared_place("his", {"lis/main": "his-main"})
