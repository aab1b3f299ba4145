"""Two that look at once what is due."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from drmgr.cli.scheduling.due import NO_PLACE, _one
from drmgr.errors import LockedError
from drmgr.flows.due import Decision, Planned, Standing
from drmgr.model import RunKind
from drmgr.system.cron import Cron


class Taken:
    """Locks of which another process has the only slot; ``asked`` are those that were wanted."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        self.asked.append(name)
        if name.startswith("slot-"):
            raise LockedError("the slot is taken")
        yield


def test_without_a_slot_no_system_is_kept_from_the_one_that_has_it() -> None:
    locks = Taken()
    opened: Any = SimpleNamespace(locks=locks, config=SimpleNamespace(schedule=SimpleNamespace(parallel=1)))
    planned = Planned(RunKind.BACKUP, "his", 1, ("his",), Cron("* * * * *", UTC))
    due = Decision(planned, Standing.DUE, datetime(2026, 1, 5, tzinfo=UTC))
    (left,) = _one(opened, due, lambda name: name)
    assert isinstance(left, Decision) and (left.standing, left.why) == (Standing.WAITING, NO_PLACE)
    assert locks.asked == ["slot-1"]
