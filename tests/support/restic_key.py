"""Writes snapshots into a restic repository faster than restic does: it would take a quarter of an hour for a year of them."""

import base64
import hashlib
import json
from datetime import datetime
from pathlib import Path

from drmgr.repository.restic_keyfile import sealed


class Writer:
    """Writes in restic's own form; all snapshots are of the same, empty tree. ``master`` is what restic's ``cat`` tells."""

    def __init__(self, repository: Path, master: bytes) -> None:
        key = json.loads(master)
        parts = (key["encrypt"], key["mac"]["k"], key["mac"]["r"])
        self._key = b"".join(base64.b64decode(part) for part in parts)
        self._folder = repository / "snapshots"

    def snapshot(self, at: datetime, tags: tuple[str, ...]) -> str:
        """The new snapshot's id."""
        document = {
            "time": at.isoformat(),
            "tree": "0" * 64,
            "paths": ["/main.dump"],
            "hostname": "hospital",
            "username": "root",
            "tags": list(tags),
            "program_version": "restic 0.18.0",
        }
        content = sealed(self._key, json.dumps(document).encode())
        name = hashlib.sha256(content).hexdigest()
        (self._folder / name).write_bytes(content)
        return name
