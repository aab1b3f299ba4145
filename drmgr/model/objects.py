"""Objects as the store beneath a repository keeps them: every version of every key. Values only, no I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_HASHED = re.compile(r"(?:keys|index|snapshots|data/[0-9a-f]{2})/([0-9a-f]{64})\Z")


class ObjectKind(StrEnum):
    """What restic keeps under a key; ``locks`` come and go with every run and are never needed again."""

    CONFIG = "config"
    KEYS = "keys"
    INDEX = "index"
    SNAPSHOTS = "snapshots"
    DATA = "data"
    LOCKS = "locks"
    OTHER = "other"


@dataclass(frozen=True)
class Version:
    """One version of one key, or a delete marker (``marker``). ``key`` is relative to the repository's folder.

    ``modified`` is by the store's clock, in whole seconds.
    """

    key: str
    id: str
    modified: datetime
    size: int = 0
    etag: str = ""
    marker: bool = False
    latest: bool = False

    def equals(self, other: "Version") -> bool:
        """Whether the store itself says that both hold the same bytes."""
        return bool(self.etag) and (self.etag, self.size) == (other.etag, other.size)


@dataclass(frozen=True)
class Stored:
    """All that the store keeps under one key, newest first."""

    key: str
    versions: tuple[Version, ...]

    @property
    def current(self) -> Version | None:
        """What a reader gets; None when a delete marker hides it."""
        newest = self.versions[0]
        return None if newest.marker else newest

    @property
    def contents(self) -> tuple[Version, ...]:
        """Without the delete markers, and each content once: the newest version that holds it."""
        kept: list[Version] = []
        for version in self.versions:
            if not version.marker and not any(version.equals(other) for other in kept):
                kept.append(version)
        return tuple(kept)

    @property
    def kind(self) -> ObjectKind:
        return kind_of(self.key)

    @property
    def digest(self) -> str | None:
        """The SHA-256 that the content must have, as its name tells; None where the name tells nothing."""
        found = _HASHED.fullmatch(self.key)
        return found[1] if found else None


def kind_of(key: str) -> ObjectKind:
    """By the first folder of a repository's key."""
    first = key.partition("/")[0]
    return ObjectKind(first) if first in set(ObjectKind) else ObjectKind.OTHER


def newest_first(versions: Iterable[Version]) -> tuple[Version, ...]:
    """The store's own newest first, then by time; of a content and a marker of one second the content counts as newer."""
    return tuple(
        sorted(versions, key=lambda version: (version.latest, version.modified, not version.marker), reverse=True)
    )


@dataclass(frozen=True)
class Retention:
    """Until when a version cannot be deleted; ``mode`` is governance or compliance."""

    mode: str
    until: datetime
