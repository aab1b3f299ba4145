"""Time: the wall clock for records, the monotonic clock for durations."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The present instant, with its zone (UTC)."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def rfc3339(instant: datetime) -> str:
    """An aware datetime as RFC 3339 text with its offset, to the microsecond where there is one.

    Raises ValueError for a datetime without a zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone cannot be recorded")
    return instant.isoformat()
