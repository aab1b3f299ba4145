"""The bare restic command, for whoever does by hand what drmgr does."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Measuring, stored_bytes
from bench.place import file_of, folder_of
from drmgr.system.command import Command, Runner


class BareRestic:
    """A repository in a folder of its own, with a cache as drmgr has one."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def begin(self) -> None:
        folder_of(None, self._home, anew=True)
        file_of(None, self._home / "password", secrets.token_hex(32))
        self.call(Measuring(Runner()), "init")

    def save(self, measuring: Measuring, root: Path, *arguments: str, names: Sequence[str] = (".",)) -> str:
        """Stores what is below ``root``; the snapshot's id."""
        text = self.call(measuring, "backup", "--json", *arguments, *names, cwd=root)
        summary = json.loads(text.splitlines()[-1])
        return str(summary["snapshot_id"])

    def bring_back(self, measuring: Measuring, snapshot: str, target: Path) -> None:
        self.call(measuring, "restore", snapshot, "--target", str(target), "--sparse", "--json")

    def stored(self) -> int:
        return stored_bytes(self._home / "repository")

    def call(self, measuring: Measuring, *arguments: str, cwd: Path | None = None) -> str:
        env = {
            "RESTIC_REPOSITORY": str(self._home / "repository"),
            "RESTIC_PASSWORD_FILE": str(self._home / "password"),
            "RESTIC_CACHE_DIR": str(self._home / "cache"),
            "RESTIC_PROGRESS_FPS": "2",
        }
        return measuring.run(Command(("restic", *arguments), env=env, cwd=cwd))
