"""What the departments share: a sink, a present instant, ids, and chance that is the same for the same seed."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from drmgr.demo import vocabulary as words
from drmgr.demo.feed import Ask
from drmgr.demo.his import LOCAL, Sink
from drmgr.demo.tables import Row, Table

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Department:
    """One system. ``seen`` answers each question of SEEN: the highest ids of the HIS that it has worked through."""

    SYSTEM: ClassVar[str]
    TABLES: ClassVar[Sequence[Table]]
    SEEN: ClassVar[Mapping[str, str]]
    root = Path()
    """Where the system's files go, if it has any."""

    def __init__(
        self,
        sink: Sink,
        now: datetime,
        *,
        seed: int,
        last_ids: Mapping[type, int] | None = None,
        seen: Mapping[str, int] | None = None,
    ) -> None:
        self._sink = sink
        self._now = now.astimezone(LOCAL).replace(microsecond=0)
        self._seen = defaultdict(int, seen or {})
        self._rng = random.Random(f"{self.SYSTEM} {seed} {sorted(self._seen.items())}")  # noqa: S311 - repeatable
        self._ids: dict[type, int] = defaultdict(int, last_ids or {})
        self.files = 0
        self._fresh = not any(self._seen.values())

    def catch_up(self, his: Ask) -> None:
        """Works through what is new in the HIS."""
        raise NotImplementedError

    def _add(self, row: Row) -> None:
        self._sink.add(row)

    def _next(self, row: type) -> int:
        self._ids[row] += 1
        return self._ids[row]

    def _pick(self, count: int) -> int:
        """0 to ``count`` - 1; far quicker than randrange."""
        return int(self._rng.random() * count)

    def _person(self) -> str:
        return words.SURNAMES[self._pick(len(words.SURNAMES))] + words.GIVEN_NAMES[self._pick(len(words.GIVEN_NAMES))]

    def _until_now(self, at: datetime) -> datetime:
        """The instant, or the present where it would lie in the future."""
        return min(at, self._now)
