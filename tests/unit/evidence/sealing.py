"""What the tests of evidence share: keys, a folder with sealed documents, and ways to tamper with them."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drmgr.evidence.store import FileEvidenceStore
from drmgr.model import EvidenceEntry
from drmgr.system.clock import SystemClock
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import records

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


class TickingClock(SystemClock):
    """One second later at each look, so that ids and times are known."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 5, 7, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def open_store(folder: Path, catalog: FakeCatalog) -> FileEvidenceStore:
    return FileEvidenceStore(folder, lambda: KEY, catalog, TickingClock())


def seal(folder: Path, catalog: FakeCatalog, count: int) -> list[EvidenceEntry]:
    store = open_store(folder, catalog)
    return [store.seal(replace(records.passed(), run=f"RUN{number}")) for number in range(count)]


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes the statement inside an envelope and leaves all else as it was."""
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    edit(statement)
    envelope["payload"] = base64.b64encode(rfc8785.dumps(statement)).decode()
    path.write_bytes(json.dumps(envelope, indent=2, sort_keys=True).encode() + b"\n")
