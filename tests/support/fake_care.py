"""What drmgr remembers of the care of repositories, in memory; held to the same contract as the real book."""

from collections.abc import Mapping

from drmgr.model import Readback, RecoveryPoint
from tests.support.fake_catalog import FakeCatalog


class FakeMemory:
    """The points of one copy."""

    def __init__(self, expired: set[str]) -> None:
        self._catalog = FakeCatalog()
        self._expired = expired

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        self._catalog.remember_point(point, seal)

    def point(self, seal: str) -> RecoveryPoint | None:
        return self._catalog.point(seal)

    def seals(self, system: str) -> dict[str, str]:
        return {seal: point for seal, point in self._catalog.seals(system).items() if seal not in self._expired}

    def forget_points(self, system: str) -> None:
        self._catalog.forget_points(system)


class FakeCareBook:
    """``catalog`` is the one whose points expire."""

    def __init__(self, catalog: FakeCatalog) -> None:
        self._catalog = catalog
        self._expired: dict[str, set[str]] = {}
        self._memories: dict[str, FakeMemory] = {}
        self._read: dict[tuple[str, str, int], dict[int, Readback]] = {}

    def expire(self, place: str, system: str, seals: Mapping[str, str]) -> None:
        del system
        (self._expired.setdefault(place, set()) if place else self._catalog.expired).update(seals)

    def readbacks(self, place: str, system: str, groups: int) -> dict[int, Readback]:
        return dict(self._read.get((place, system, groups), {}))

    def remember_readback(self, place: str, system: str, groups: int, number: int, read: Readback) -> None:
        self._read.setdefault((place, system, groups), {})[number] = read

    def memory(self, copy: str) -> FakeMemory:
        return self._memories.setdefault(copy, FakeMemory(self._expired.setdefault(copy, set())))
