"""The documented commands for LVM, btrfs and ZFS, with programs in their place that do what those do, and note how called.

btrfs itself: make test-snapshots. The kernel that this was written on had neither LVM's device mapper nor ZFS.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from drmgr.engines.files import FileSystemSnapshot, TreeSettings
from drmgr.engines.files.capture import root_to_read
from drmgr.engines.hooks import HookRun
from drmgr.errors import SourceError
from drmgr.system.clock import SystemClock
from tests.support.documented_snapshots import KINDS, documented

PROGRAM = """#!{python}
import json, os, shutil, sys
from pathlib import Path
here = Path(__file__).resolve().parent
name, words = Path(sys.argv[0]).name, sys.argv[1:]
with (here / "calls").open("a") as file:
    file.write(json.dumps([name, *words]) + "\\n")
def no(text, code):
    print(text, file=sys.stderr)
    raise SystemExit(code)
def copy(source, target, what):
    if target.exists():
        no(f"{{what}} already exists", 5)
    shutil.copytree(source, target)
live = Path({live!r})
if name == "lvcreate":
    assert words[:3] == ["--snapshot", "--size", "20G"] and words[3] == "--name", words
    group, volume = words[5].split("/")
    if volume != "pacs":
        no(f"Failed to find logical volume {{words[5]}}", 5)
    copy(live, Path({dev!r}) / group / words[4], f'Logical Volume "{{words[4]}}"')
elif name == "mount":
    assert words[:2] == ["-o", "ro,nouuid"], words
    device, folder = Path(words[2]), Path(words[3])
    if not device.exists():
        no(f"mount: {{folder}}: special device {{device}} does not exist.", 32)
    for item in device.iterdir():
        (shutil.copytree if item.is_dir() else shutil.copy)(item, folder / item.name)
elif name == "umount":
    folder = Path(words[0])
    if not any(folder.iterdir()):
        no(f"umount: {{folder}}: not mounted.", 32)
    for item in folder.iterdir():
        shutil.rmtree(item) if item.is_dir() else item.unlink()
elif name == "lvremove":
    assert words[0] == "--yes"
    group, volume = words[1].split("/")
    if not (Path({dev!r}) / group / volume).exists():
        no(f"Failed to find logical volume {{words[1]}}", 5)
    shutil.rmtree(Path({dev!r}) / group / volume)
elif name == "btrfs" and words[:3] == ["subvolume", "snapshot", "-r"]:
    copy(Path(words[3]), Path(words[4]), words[4])
elif name == "btrfs" and words[:2] == ["subvolume", "delete"]:
    shutil.rmtree(words[2])
elif name == "zfs" and words[0] in ("snapshot", "destroy"):
    dataset, _, snap = words[1].partition("@")
    folder = live / ".zfs" / "snapshot" / snap
    if words[0] == "destroy":
        if not folder.exists():
            no("could not find any snapshots to destroy; check snapshot names.", 1)
        shutil.rmtree(folder)
    else:
        if folder.exists():
            no(f"cannot create snapshot '{{words[1]}}': dataset already exists", 1)
        shutil.copytree(live, folder, ignore=shutil.ignore_patterns(".zfs"))
else:
    no(f"unknown: {{name}} {{words}}", 2)
"""


class Host:
    """A host with those programs first in its PATH, and a live tree."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.live = folder, folder / "pacs"
        (self.live / "images").mkdir(parents=True)
        (self.live / "images" / "one").write_text("before")
        (folder / "mnt").mkdir()
        (folder / "dev" / "vg0").mkdir(parents=True)
        self.programs = folder / "bin"
        self.programs.mkdir()
        text = PROGRAM.format(python=sys.executable, live=str(self.live), dev=str(folder / "dev"))
        for name in ("lvcreate", "lvremove", "mount", "umount", "btrfs", "zfs"):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")

    def snapshot(self, kind: str) -> FileSystemSnapshot:
        places = {
            "/mnt/drmgr-pacs": self.folder / "mnt",
            "/dev/vg0": self.folder / "dev" / "vg0",
            "/srv/pacs": self.live,
            "/srv/.drmgr-pacs": self.folder / ".drmgr-pacs",
            "/tank/pacs": self.live,
        }
        return documented(kind, places, self.folder / "marks")

    def settings(self, kind: str) -> TreeSettings:
        return TreeSettings(self.live / "images", snapshot=self.snapshot(kind))

    def calls(self) -> list[list[str]]:
        path = self.programs / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def left(self) -> list[str]:
        """Names of snapshots that are still there."""
        zfs = self.live / ".zfs" / "snapshot"
        places = (self.folder / "mnt", self.folder / "dev" / "vg0", zfs)
        found = [path.name for place in places if place.exists() for path in place.iterdir()]
        return found + [".drmgr-pacs"] * (self.folder / ".drmgr-pacs").exists()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_the_documented_commands_give_a_view_that_stays_and_leave_nothing(host: Host, kind: str) -> None:
    settings = host.settings(kind)
    assert settings.snapshot is not None
    hooks = settings.snapshot.hooks
    hooks.preflight()
    with root_to_read(settings, SystemClock(), HookRun(SystemClock())) as root:
        (host.live / "images" / "one").write_text("after")
        (host.live / "images" / "two").write_text("after")
        assert sorted(path.name for path in root.path.iterdir()) == ["one"]
        assert (root.path / "one").read_text() == "before"
    assert host.left() == []
    assert host.calls() == [list(argv) for argv in (*hooks.begin, *hooks.end)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_that_a_killed_run_left_is_removed_and_named(host: Host, kind: str) -> None:
    settings = host.settings(kind)
    assert settings.snapshot is not None
    # all that a kill leaves: the snapshot, and the mark
    begun = root_to_read(settings, SystemClock(), HookRun(SystemClock()))
    begun.__enter__()
    assert host.left()
    again = HookRun(SystemClock())
    (host.live / "images" / "one").write_text("later")
    with root_to_read(settings, SystemClock(), again) as root:
        assert (root.path / "one").read_text() == "later"
    (note,) = again.notes
    assert note.startswith("snapshot-pacs was left over from an earlier run")
    assert host.left() == []
    with pytest.raises(SourceError, match="was not ended"):
        begun.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("LVM", r"lvcreate \(begin\) failed with 5"),
        ("btrfs", r"btrfs \(begin\) failed with 5"),
        ("ZFS", "failed with 1"),
    ],
)
def test_a_snapshot_of_that_name_that_is_not_ours_to_make_fails_the_source(host: Host, kind: str, told: str) -> None:
    settings = host.settings(kind)
    assert settings.snapshot is not None
    begun = root_to_read(settings, SystemClock(), HookRun(SystemClock()))
    begun.__enter__()
    shutil.rmtree(host.folder / "marks")
    with pytest.raises(SourceError, match=told), root_to_read(settings, SystemClock(), HookRun(SystemClock())):
        pytest.fail("another's snapshot was read")
    with pytest.raises(SourceError):
        begun.__exit__(None, None, None)


def test_a_volume_that_cannot_be_mounted_is_not_left_over(host: Host) -> None:
    settings = host.settings("LVM")
    (host.programs / "mount").write_text("#!/bin/sh\necho 'mount: wrong fs type, bad superblock' >&2; exit 32\n")
    with (
        pytest.raises(SourceError, match=r"mount \(begin\) failed with 32") as caught,
        root_to_read(settings, SystemClock(), HookRun(SystemClock())),
    ):
        pytest.fail("nothing was mounted")
    assert "and snapshot-pacs was not ended" in caught.value.message
    # umount had nothing to do, and lvremove ran all the same
    assert host.left() == []
