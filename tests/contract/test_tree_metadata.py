"""Whose a file is, what it may, what hangs on it: kept by a backup, given back, and missed when it is not."""

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.model import Facts, Instance
from drmgr.repository.restic import ResticRepository
from tests.contract.test_files import Act, repository

__all__ = ["repository"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")

NURSES, DOCTORS = 1201, 1202
HOLE = 32 * 1024 * 1024


def access_list(user: int) -> bytes:
    """A POSIX ACL that lets one more user read, as the kernel keeps it."""
    owner, named, group, mask, other = 1, 2, 4, 16, 32
    nobody = 0xFFFFFFFF
    entries = [(owner, 6, nobody), (named, 4, user), (group, 4, nobody), (mask, 4, nobody), (other, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def plant(root: Path) -> None:
    (root / "ward" / "empty").mkdir(parents=True)
    for name in ("plain", "own", "mode", "acl", "attribute", "linked"):
        (root / name).write_text(name)
    os.chown(root / "own", NURSES, DOCTORS)
    os.chown(root / "ward", NURSES, DOCTORS)
    (root / "ward").chmod(0o2750)
    (root / "mode").chmod(0o4711)
    os.setxattr(root / "acl", "system.posix_acl_access", access_list(NURSES))
    os.setxattr(root / "attribute", "user.origin", b"CT 1")
    os.setxattr(root / "ward", "user.origin", b"ward")
    (root / "ward" / "other name").hardlink_to(root / "linked")
    (root / "inside").symlink_to("ward/empty")
    (root / "ward" / "up and back").symlink_to("../plain")
    (root / "out").symlink_to("/etc/hostname")
    (root / "ward" / "out").symlink_to("../../elsewhere")
    os.mkfifo(root / "pipe")
    os.mknod(root / "device", 0o640 | 0o020000, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    with (root / "sparse").open("wb") as file:
        file.truncate(HOLE)
        file.write(b"head")


@pytest.fixture(scope="module")
def stored(repository: ResticRepository, tmp_path_factory: pytest.TempPathFactory) -> tuple[Act, Facts]:
    act = Act(repository, tmp_path_factory.mktemp("metadata"))
    plant(act.root)
    return act, act.back_up()


@pytest.fixture
def back(stored: tuple[Act, Facts]) -> Instance:
    return stored[0].bring_back()


def test_all_of_it_is_kept_and_given_back(stored: tuple[Act, Facts], back: Instance) -> None:
    act, facts = stored
    assert facts.groups["objects"] == {"folders": 2, "links": 4, "leading_out": 2, "others": 2}
    assert facts.groups["metadata"]["unknown"] == 0
    assert act.now(back, facts).groups == facts.groups
    root = back.path
    assert root is not None
    assert (root / "sparse").stat().st_blocks * 512 < HOLE // 8
    assert (root / "linked").samefile(root / "ward" / "other name")
    assert os.getxattr(root / "acl", "system.posix_acl_access") == access_list(NURSES)
    assert (root / "device").stat().st_rdev == os.makedev(1, 3)
    assert not (root / "socket").exists()


def test_what_leads_out_is_told(stored: tuple[Act, Facts]) -> None:
    act, _ = stored
    assert act.notes == ["links that lead out of the tree: 2; what they lead to is not in this backup"]


def given_away(root: Path) -> None:
    os.chown(root / "own", 0, 0)


def folder_given_away(root: Path) -> None:
    os.chown(root / "ward", 0, DOCTORS)


def opened_to_all(root: Path) -> None:
    (root / "mode").chmod(0o755)


def folder_opened(root: Path) -> None:
    (root / "ward").chmod(0o755)


def other_reader(root: Path) -> None:
    os.setxattr(root / "acl", "system.posix_acl_access", access_list(DOCTORS))


def attribute_lost(root: Path) -> None:
    os.removexattr(root / "attribute", "user.origin")


def attribute_added(root: Path) -> None:
    os.setxattr(root / "plain", "user.new", b"")


def link_turned(root: Path) -> None:
    (root / "inside").unlink()
    (root / "inside").symlink_to("/tmp")


def names_parted(root: Path) -> None:
    other = root / "ward" / "other name"
    shutil.copy2(other, root / "copy")
    (root / "copy").replace(other)


def other_device(root: Path) -> None:
    (root / "device").unlink()
    os.mknod(root / "device", 0o640 | 0o020000, os.makedev(1, 5))


def touched(root: Path) -> None:
    os.utime(root / "plain", ns=(1, 1))


@pytest.mark.parametrize(
    "damage",
    [
        given_away,
        folder_given_away,
        opened_to_all,
        folder_opened,
        other_reader,
        attribute_lost,
        attribute_added,
        link_turned,
        names_parted,
        other_device,
        touched,
    ],
    ids=lambda damage: damage.__name__,
)
def test_each_of_it_is_missed(stored: tuple[Act, Facts], back: Instance, damage: Callable[[Path], None]) -> None:
    act, facts = stored
    assert back.path is not None
    damage(back.path)
    found = act.now(back, facts)
    assert found.groups["differences"] == {"missing": 0, "changed": 0, "extra": 0, "metadata": 1}
    assert found.groups != facts.groups


def empty_folder_lost(root: Path) -> None:
    (root / "ward" / "empty").rmdir()


def pipe_lost(root: Path) -> None:
    (root / "pipe").unlink()


def link_lost(root: Path) -> None:
    (root / "ward" / "out").unlink()


@pytest.mark.parametrize("damage", [empty_folder_lost, pipe_lost, link_lost], ids=lambda damage: damage.__name__)
def test_objects_without_content_are_missed_too(
    stored: tuple[Act, Facts], back: Instance, damage: Callable[[Path], None]
) -> None:
    act, facts = stored
    assert back.path is not None
    damage(back.path)
    assert act.now(back, facts).groups["differences"]["missing"] == 1


def test_where_only_root_could_give_files_back_owners_are_said_not_to_be_compared(
    stored: tuple[Act, Facts], back: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drmgr.checks.facts import compare

    act, facts = stored
    assert back.path is not None
    given_away(back.path)
    assert not compare(facts, act.now(back, facts)).holds
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = act.now(back, facts)
    assert found.groups["owners"] == {"digest": "not-compared"}
    assert compare(facts, found).holds
    opened_to_all(back.path)
    assert not compare(facts, act.now(back, facts)).holds
