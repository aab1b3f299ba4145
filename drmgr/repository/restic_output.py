"""restic's JSON, read into our nouns. Lines that are not JSON are skipped; absent numbers are zero."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from drmgr.interfaces import Progress
from drmgr.model import Entry, Json, Snapshot


class MessageReader:
    """Reads restic's JSON lines: tells progress, keeps the summary."""

    def __init__(self, progress: Progress, word: str) -> None:
        self.summary: dict[str, Any] | None = None
        self._progress = progress
        self._word = word

    def take(self, line: bytes) -> None:
        message = json_line(line)
        if message is None:
            return
        if message.get("message_type") == "status":
            self._progress(float(message.get("percent_done", 0.0)), self._word)
        elif message.get("message_type") == "summary":
            self.summary = message


def no_progress(_share: float, _word: str) -> None:
    return


def json_line(line: bytes) -> dict[str, Json] | None:
    try:
        # as text: json.loads would look for the encoding first
        document = json.loads(line.decode())
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def unreadable_items(stderr: str) -> tuple[str, ...]:
    """The items restic could not read. Only restic's own 'error' messages count, not what a child printed."""
    return tuple(item for item, _ in _errors(stderr))


def vanished_items(stderr: str) -> frozenset[str]:
    """Those of them that were gone when restic came to them."""
    return frozenset(item for item, text in _errors(stderr) if text.endswith("no such file or directory"))


def _errors(stderr: str) -> Iterator[tuple[str, str]]:
    for line in stderr.splitlines():
        message = json_line(line.encode())
        if message and message.get("message_type") == "error":
            yield str(message.get("item", "")), str((message.get("error") or {}).get("message", ""))


def snapshot_of(row: Mapping[str, Any]) -> Snapshot:
    summary = row.get("summary") or {}
    ended = summary.get("backup_end")
    return Snapshot(
        id=row.get("original") or row["id"],
        time=datetime.fromisoformat(row["time"]),
        tags=tuple(row.get("tags") or ()),
        files=summary.get("total_files_processed", 0),
        bytes=summary.get("total_bytes_processed", 0),
        bytes_added=summary.get("data_added_packed", 0),
        ended=None if ended is None else datetime.fromisoformat(ended),
        tree=row.get("tree", ""),
        stored_as=row["id"],
    )


def entry_of(node: Mapping[str, Any], path: str) -> Entry:
    """One line of a listing; ``path`` is its exact name, as told from the root."""
    return Entry(
        path.removeprefix("/"),
        node.get("size", 0),
        nanoseconds(node["mtime"]),
        nanoseconds(node["ctime"]) if "ctime" in node else -1,
        node.get("inode", 0),
        node.get("type", ""),
    )


def nanoseconds(text: str) -> int:
    """RFC 3339 text to nanoseconds since 1970; datetime alone would cut restic's nine digits to six.

    A year that datetime does not know gives -1: such a time equals no file's.
    """
    if text.startswith("0000-"):
        return -1
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    digits = rest[: len(rest) - len(zone)]
    return _seconds(whole + zone) * 1_000_000_000 + int(digits.ljust(9, "0")[:9])


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    """Files come in swarms: many have been written in the same second."""
    return int(datetime.fromisoformat(text).timestamp())


def ignored_snapshots(stderr: str) -> tuple[str, ...]:
    """restic leaves a snapshot that it cannot read out of its list, says so on standard error, and exits 0."""
    return tuple(re.findall(r'Ignoring "([0-9a-f]{64})"', stderr))


def packs_named(told: Iterable[str], messages: Iterable[str]) -> tuple[str, ...]:
    """The packs that are broken or gone: restic's summary leaves out those that are gone, its messages name them."""
    named = {pack for text in messages for pack in re.findall(r"^pack ([0-9a-f]{64})\b", text)}
    return tuple(sorted({*told, *named}))
