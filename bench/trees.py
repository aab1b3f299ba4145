"""Many small files, one percent of which changes each night: drmgr, the bare restic command, and borg."""

import hashlib
import secrets
from pathlib import Path

from bench.bare import BareRestic
from bench.measure import Measuring, stored_bytes
from bench.place import folder_of
from bench.site import Drmgr
from drmgr.system.command import Command, Runner

FILES_PER_FOLDER = 500
BLOCK = 32


class BenchTree:
    """``count`` files of half a kilobyte to four, in folders of 500."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self._count = count

    def fill(self) -> None:
        for number in range(self._count):
            if number % FILES_PER_FOLDER == 0:
                self._path(number).parent.mkdir(parents=True)
            self._write(number, "first")

    def churn(self, night: int) -> None:
        """A hundredth is written anew, and half as many come to it."""
        size = max(1, self._count // 100)
        for number in range(night * size, (night + 1) * size):
            self._write(number, f"night {night}")
        new = self.root / f"new-{night}"
        new.mkdir()
        for number in range(size // 2):
            (new / str(number)).write_bytes(_content(number, f"new {night}"))

    def _path(self, number: int) -> Path:
        return self.root / f"{number // FILES_PER_FOLDER:05}" / f"{number}.txt"

    def _write(self, number: int, text: str) -> None:
        self._path(number).write_bytes(_content(number, text))


def _content(number: int, text: str) -> bytes:
    """As incompressible as pictures are, and the same in every run."""
    blocks = 16 + number % 112
    return b"".join(hashlib.sha256(f"{number} {text} {block}".encode()).digest() for block in range(blocks))


class BareTree:
    """restic backup, restic restore."""

    name = "restic by hand"

    def __init__(self, tree: BenchTree, home: Path) -> None:
        self._tree = tree
        self._restic = BareRestic(home)
        self._snapshot = ""

    def begin(self) -> None:
        self._restic.begin()

    def store(self, measuring: Measuring) -> None:
        self._snapshot = self._restic.save(measuring, self._tree.root)

    def restore(self, measuring: Measuring, target: Path) -> None:
        self._restic.bring_back(measuring, self._snapshot, target)

    def stored(self) -> int:
        return self._restic.stored()


class Borg:
    """borg create and borg extract, encrypted, with borg's own compression (lz4)."""

    name = "borg"

    def __init__(self, tree: BenchTree, home: Path) -> None:
        self._tree = tree
        self._home = home
        self._nights = 0

    def begin(self) -> None:
        folder_of(None, self._home, anew=True)
        (self._home / "passphrase").touch(mode=0o600)
        (self._home / "passphrase").write_text(secrets.token_hex(32))
        self._call(Measuring(Runner()), "init", "--encryption=repokey-blake2")
        self._nights = 0

    def store(self, measuring: Measuring) -> None:
        self._nights += 1
        self._call(measuring, "create", f"::night-{self._nights}", ".", cwd=self._tree.root)

    def restore(self, measuring: Measuring, target: Path) -> None:
        folder_of(None, target)
        self._call(measuring, "extract", f"::night-{self._nights}", cwd=target)

    def stored(self) -> int:
        return stored_bytes(self._home / "repository")

    def _call(self, measuring: Measuring, *arguments: str, cwd: Path | None = None) -> None:
        env = {
            "BORG_REPO": str(self._home / "repository"),
            "BORG_PASSCOMMAND": f"cat {self._home / 'passphrase'}",
            "BORG_BASE_DIR": str(self._home / "base"),
        }
        measuring.run(Command(("borg", *arguments), env=env, cwd=cwd))


def drmgr(tree: BenchTree, home: Path, room: Path) -> Drmgr:
    connection = f"{{engine: files, root: {tree.root}}}"
    return Drmgr("drmgr", home, room, connection=connection, source="{name: main, kind: files, connection: source}")
