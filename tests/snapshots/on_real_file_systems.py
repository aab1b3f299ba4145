"""The documented commands on file systems of their own, in files of this host, with real restic: make test-snapshots.

Needs root, loop devices, the kind's programs and its driver in the kernel. Nothing here is skipped: what cannot run fails.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from drmgr.engines.files import FilesEngine, TreeSettings
from drmgr.engines.files.capture import root_to_read
from drmgr.engines.hooks import HookRun
from drmgr.errors import SourceError
from drmgr.model import CheckStatus
from drmgr.repository.restic import ResticRepository
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.contract.test_files import Act, RepositorySink, repository
from tests.support.documented_snapshots import documented

__all__ = ["repository"]

KINDS = os.environ.get("DRMGR_SNAPSHOTS", "btrfs").split()
FILES = 500


def run(*argv: object) -> str:
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def live_tree(kind: str, folder: Path) -> Iterator[dict[str, Path]]:
    """A file system of that kind with a tree in it; where the document's example places are."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(400 * 1024 * 1024)
    with ExitStack() as stack:
        mount = folder / "srv"
        mount.mkdir()
        if kind == "btrfs":
            run("mkfs.btrfs", "-q", image)
            run("mount", "-o", "loop", image, mount)
            stack.callback(run, "umount", mount)
            run("btrfs", "subvolume", "create", mount / "pacs")
            places = {"/srv/pacs": mount / "pacs", "/srv/.drmgr-pacs": mount / ".drmgr-pacs"}
        elif kind == "LVM":
            device = run("losetup", "--find", "--show", image)
            stack.callback(run, "losetup", "--detach", device)
            group = f"drmgr-test-{os.getpid()}"
            run("vgcreate", group, device)
            stack.callback(run, "vgremove", "--yes", "--force", group)
            run("lvcreate", "--yes", "--size", "200M", "--name", "pacs", group)
            run("mkfs.xfs", "-q", f"/dev/{group}/pacs")
            (folder / "snap").mkdir()
            run("mount", f"/dev/{group}/pacs", mount)
            stack.callback(run, "umount", mount)
            places = {"/mnt/drmgr-pacs": folder / "snap", "vg0": Path(group), "20G": Path("100M"), "/srv/pacs": mount}
        else:
            pool = f"drmgrtest{os.getpid()}"
            run("zpool", "create", "-m", mount, pool, image)
            stack.callback(run, "zpool", "destroy", pool)
            run("zfs", "create", f"{pool}/pacs")
            places = {"/tank/pacs": mount / "pacs", "tank/pacs": Path(f"{pool}/pacs")}
        yield places


@pytest.mark.parametrize("kind", KINDS)
def test_the_snapshot_is_one_instant_under_a_writer_and_is_gone_afterwards(
    kind: str, repository: ResticRepository, tmp_path: Path
) -> None:
    with live_tree(kind, tmp_path) as places:
        top = next(path for name, path in places.items() if name in {"/srv/pacs", "/tank/pacs"})
        act = Act(repository, tmp_path)
        act.root = top / "images"
        act.root.mkdir()
        # each round writes one number into all files, in order: an instant holds at most two numbers, the higher first
        write_round(act.root, 0)
        stop = threading.Event()
        writer = threading.Thread(target=keep_writing, args=(act.root, stop))
        snapshot = documented(kind, places, tmp_path / "marks")
        engine = FilesEngine(TreeSettings(act.root, snapshot=snapshot), SystemClock(), tmp_path / "runtime", Runner())
        engine.preflight()
        sink = RepositorySink(repository)
        writer.start()
        try:
            with engine.capture() as capture:
                capture.store(sink)
                facts = capture.facts()
        finally:
            stop.set()
            writer.join()
        assert not snapshot.path.exists() or not any(snapshot.path.iterdir())
        assert (facts.groups["files"]["count"], facts.groups["files"]["moving"]) == (FILES, 0)
        act.parts = sink.parts
        back = act.bring_back()
        assert act.now(back, facts).groups == facts.groups
        assert engine.integrity(back).status is CheckStatus.PASS
        assert back.path is not None
        numbers = [int((back.path / f"{number:04}").read_text()) for number in range(FILES)]
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[0] - numbers[-1] in {0, 1}
        _a_kill_leaves_it_to_the_next(TreeSettings(act.root, snapshot=snapshot))


def _a_kill_leaves_it_to_the_next(settings: TreeSettings) -> None:
    assert settings.snapshot is not None
    # never left: as by a process that was killed
    begun = root_to_read(settings, SystemClock(), HookRun(SystemClock()))
    begun.__enter__()
    assert settings.snapshot.path.exists()
    again = HookRun(SystemClock())
    with root_to_read(settings, SystemClock(), again) as found:
        assert len(list(found.path.iterdir())) == FILES
    assert len(again.notes) == 1
    assert not settings.snapshot.path.exists() or not any(settings.snapshot.path.iterdir())
    with pytest.raises(SourceError, match="was not ended"):
        begun.__exit__(None, None, None)


def write_round(root: Path, number: int) -> None:
    for each in range(FILES):
        handle = os.open(root / f"{each:04}", os.O_WRONLY | os.O_CREAT)
        os.pwrite(handle, b"%08d" % number, 0)
        os.close(handle)


def keep_writing(root: Path, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        write_round(root, number)
