"""Cron expressions in a named zone: which time was the latest, which are the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

BEYOND_A_FOLD = timedelta(hours=3)
"""Looking back begins this much ahead: cronsim, started inside an hour that a clock change repeats, passes over times."""


@dataclass(frozen=True)
class Cron:
    """Five fields as Debian's cron reads them, in local time of ``zone``.

    A fixed time that a clock change skips comes right after the gap; one that it repeats comes once.
    """

    expression: str
    zone: tzinfo

    def latest(self, now: datetime) -> datetime:
        """The newest time at or before ``now``, in UTC."""
        start = (now + BEYOND_A_FOLD).astimezone(self.zone)
        return next(each for each in _times(self.expression, start, back=True) if each <= now)

    def following(self, now: datetime, count: int) -> list[datetime]:
        """The next times after ``now``, in UTC."""
        # a start inside the repeated hour has the same weakness
        start = (now - BEYOND_A_FOLD).astimezone(self.zone)
        found: list[datetime] = []
        for each in _times(self.expression, start, back=False):
            if each > now:
                found.append(each)
            if len(found) == count:
                break
        return found


def check_expression(text: str) -> str:
    """The expression, if it can be read and ever comes. Raises ValueError."""
    if len(text.split()) != 5:  # noqa: PLR2004 - cronsim would read a sixth as seconds
        raise ValueError("must be a cron expression of five fields, such as 30 1 * * *")
    try:
        next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {str(error).removeprefix('Bad ')} is wrong") from error
    except StopIteration:
        raise ValueError("is a cron expression whose time never comes") from None
    return text


def _times(expression: str, start: datetime, *, back: bool) -> Iterator[datetime]:
    for each in CronSim(expression, start, reverse=back):
        yield each.astimezone(UTC)
