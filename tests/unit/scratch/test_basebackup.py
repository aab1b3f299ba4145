"""An archive of a server's files is unpacked by hand: no owner, right or link of it is taken over, and nothing lands outside."""

import io
import tarfile
from pathlib import Path

import pytest

from drmgr.errors import LoadError
from drmgr.scratch.basebackup import unpack


def archive(folder: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """Of (name, tar's type, content)."""
    path = folder / "base.tar"
    with tarfile.open(path, "w") as made:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode, member.linkname = kind, len(content), 0o4777, "/etc"
            made.addfile(member, io.BytesIO(content))
    return path


def test_files_and_folders_are_private_and_the_archive_is_gone(tmp_path: Path) -> None:
    path = archive(tmp_path, ("base", tarfile.DIRTYPE, b""), ("base/1", tarfile.REGTYPE, b"rows"))
    unpack(path, tmp_path / "data")
    file = tmp_path / "data" / "base" / "1"
    assert (file.read_bytes(), file.stat().st_mode & 0o7777) == (b"rows", 0o600)
    assert file.parent.stat().st_mode & 0o7777 == 0o700
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("../outside", tarfile.REGTYPE, "a place outside"),
        ("/outside", tarfile.REGTYPE, "a place outside"),
        ("link", tarfile.SYMTYPE, "neither a file nor a folder"),
        ("link", tarfile.LNKTYPE, "neither a file nor a folder"),
        ("pipe", tarfile.FIFOTYPE, "neither a file nor a folder"),
    ],
)
def test_nothing_else_is_taken_out_of_it(tmp_path: Path, name: str, kind: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        unpack(archive(tmp_path, (name, kind, b"")), tmp_path / "data")
    assert not (tmp_path / "outside").exists()
    assert list((tmp_path / "data").iterdir()) == []


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, ("base", tarfile.REGTYPE, bytes(100_000)))
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(LoadError, match="cannot be unpacked"):
        unpack(path, tmp_path / "data")
