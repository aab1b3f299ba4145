import os
import stat
from pathlib import Path

import pytest

from drmgr.system.files import free_bytes, private_directory, write_atomically


def test_the_whole_new_content_or_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "file"
    write_atomically(target, b"old")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600

    def full(_handle: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    write_atomically(target, b"new", mode=0o644)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o644)


def test_content_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, order = tmp_path / "file", []
    real = os.fsync

    def watched(handle: int) -> None:
        order.append((stat.S_ISDIR(os.fstat(handle).st_mode), target.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomically(target, b"x")
    assert order == [(False, False), (True, True)]


@pytest.mark.parametrize("stop", [None, ValueError("x")])
def test_a_private_directory_is_ours_alone_and_goes(tmp_path: Path, stop: Exception | None) -> None:
    seen: list[Path] = []

    def use() -> None:
        with private_directory(tmp_path / "below", "p-") as path:
            seen.append(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
            (path / "file").write_text("x")
            if stop is not None:
                raise stop

    if stop is None:
        use()
    else:
        with pytest.raises(ValueError, match="x"):
            use()
    assert not seen[0].exists()
    assert seen[0].name.startswith("p-")


def test_free_space_of_a_folder_to_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0
