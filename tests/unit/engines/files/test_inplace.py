"""A folder in its own place: what is gone is told as an error of ours, for only then the other sources are taken back."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from drmgr.engines.files.engine import FilesEngine
from drmgr.engines.files.inplace import FilesPlace, mounts_in
from drmgr.errors import SourceError
from drmgr.model import CheckStatus
from drmgr.system.clock import SystemClock

RUN = "01KZZZZZZZZZZZZZZZZZZZZZZZ"


def test_a_folder_that_is_gone_is_told_and_what_never_was_is_tidy(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    place = FilesPlace(cast("Any", None), tmp_path / "scans")
    aside, into = place.moves(RUN, "main")
    place.rename(aside, end_sessions=False)
    with pytest.raises(SourceError, match="could not be renamed: No such file"):
        place.rename(into, end_sessions=False)
    place.rename(aside.back, end_sessions=False)
    place.tidy(RUN)
    place.discard(RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_what_is_in_place_answers_when_its_manifest_is_tidied_away(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    engine = FilesEngine(cast("Any", None), SystemClock(), tmp_path, cast("Any", None))
    place = FilesPlace(engine, tmp_path / "scans")
    live = place.live(RUN)
    assert live is not None and live.manifest is None
    # an empty folder is no file tree
    assert engine.integrity(live).status is CheckStatus.FAIL
    (tmp_path / "scans" / "page.png").write_bytes(b"x")
    assert engine.integrity(live).status is CheckStatus.PASS
    (tmp_path / "scans").rename(tmp_path / "elsewhere")
    assert place.live(RUN) is None


def test_mounts_are_known_by_whatever_name() -> None:
    line = b"36 35 98:0 /mnt1 %b rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    names = (b"/srv/\\040a", "/srv/影像/库".encode(), b"/srv/\xd3\xb0\xcf\xf1")
    found = mounts_in(b"".join(line % name for name in names))
    assert [os.fsencode(path) for path in found] == [b"/srv/ a", names[1], names[2]]
