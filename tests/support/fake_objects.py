"""Objects in memory: for tests of the flows. tests/contract/test_versions.py holds it to the real bucket's ways."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from drmgr.errors import DrmgrError, RepositoryAccessError
from drmgr.interfaces import Objects
from drmgr.model import ObjectKind, Retention, Stored, Version
from drmgr.model.objects import kind_of, newest_first
from tests.support.fakes import FakeClock

LOCK_DAYS = 30


@dataclass
class FakeObjects:
    """Locks what is put for LOCK_DAYS. ``fail`` holds, by a method's name, what it is to raise from its n-th call on."""

    clock: FakeClock
    location: str = "fake/his"
    kept: dict[str, list[Version]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, Retention] = field(default_factory=dict)
    fail: dict[str, tuple[int, DrmgrError]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    _numbers: int = 0
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def _called(self, method: str) -> None:
        with self._guard:
            self.calls[method] = self.calls.get(method, 0) + 1
            first, error = self.fail.get(method, (0, None))
        if error is not None and self.calls[method] >= first:
            raise error

    # --- what an object store does ---

    def put(self, key: str, content: bytes, *, locked: bool = True) -> Version:
        version = self._add(key, Version(key, "", self.now(), len(content), hashlib.md5(content).hexdigest()))
        self.contents[version.id] = content
        if locked:
            self.locks[version.id] = Retention("compliance", self.now() + timedelta(days=LOCK_DAYS))
        return version

    def put_hashed(self, kind: ObjectKind, content: bytes) -> Version:
        name = hashlib.sha256(content).hexdigest()
        middle = f"{name[:2]}/" if kind is ObjectKind.DATA else ""
        return self.put(f"{kind}/{middle}{name}", content)

    def delete(self, version: Version) -> None:
        """A version for ever, as far as its lock lets it."""
        held = self.locks.get(version.id)
        if held is not None and held.until > self.now():
            raise RepositoryAccessError("delete: AccessDenied")
        self.kept[version.key] = [each for each in self.kept[version.key] if each.id != version.id]
        if not self.kept[version.key]:
            del self.kept[version.key]

    def state(self) -> dict[str, bytes]:
        """What a reader sees, less the locks of restic."""
        found = {stored.key: stored.current for stored in self.all() if kind_of(stored.key) is not ObjectKind.LOCKS}
        return {key: self.contents[version.id] for key, version in found.items() if version is not None}

    def _add(self, key: str, version: Version) -> Version:
        with self._guard:
            self._numbers += 1
            named = replace(version, id=f"v{self._numbers}", latest=True)
            older = [replace(each, latest=False) for each in self.kept.get(key, ())]
            self.kept[key] = [named, *older]
            return named

    # --- interfaces.Objects ---

    def all(self) -> Iterator[Stored]:
        self._called("all")
        for key in sorted(self.kept):
            versions = self.kept.get(key)
            if versions:
                versions = [replace(each, latest=number == 0) for number, each in enumerate(versions)]
                yield Stored(key, newest_first(versions))

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def retention(self, version: Version) -> Retention | None:
        self._called("retention")
        return self.locks.get(version.id)

    def retain(self, version: Version, until: datetime, held: Retention | None) -> datetime:
        self._called("retain")
        if held is not None and held.until >= until:
            return held.until
        self.locks[version.id] = Retention(held.mode if held else "compliance", until)
        return until

    def proves(self, version: Version, digest: str) -> bool:
        self._called("proves")
        return hashlib.sha256(self.contents[version.id]).hexdigest() == digest

    def uncover(self, version: Version, above: Sequence[Version]) -> None:
        self._called("uncover")
        for marker in above:
            assert marker.marker
            self.delete(marker)

    def bring_forward(self, version: Version) -> None:
        self._called("bring_forward")
        self.put(version.key, self.contents[version.id])

    def hide(self, key: str) -> None:
        self._called("hide")
        self._add(key, Version(key, "", self.now(), marker=True))

    def copy_to(self, version: Version, into: Objects) -> None:
        self._called("copy_to")
        assert isinstance(into, FakeObjects)
        into.put(version.key, self.contents[version.id])
