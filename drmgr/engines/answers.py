"""Answers of SQL databases in the words of JSON and of instants."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from drmgr.errors import SourceError
from drmgr.model import Digits, Json

ONE_VALUE = "mend the check's sql in the job: exactly one row of one column"


def single(rows: Iterable[tuple[Json, ...]]) -> Json:
    """The one value of the one row. Raises SourceError for any other shape."""
    found: list[tuple[Json, ...]] = []
    for row in rows:
        found.append(row)
        if len(found) > 1:
            raise SourceError("the query gives more than one row where one value is wanted", hint=ONE_VALUE)
    if not found:
        raise SourceError("the query gives no row where one value is wanted", hint=ONE_VALUE)
    if len(found[0]) != 1:
        raise SourceError(f"the query gives {len(found[0])} columns where one value is wanted", hint=ONE_VALUE)
    return found[0][0]


def to_json(value: object) -> Json:
    """A value as JSON can hold it: whole numbers as int, other exact numbers as Digits.

    Instants and spans are text, bytes hex.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else Digits(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)


def instant(value: date, zone: ZoneInfo) -> datetime:
    """The value with its offset. What has no zone is the site's own time; a date alone is that day's first instant."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(0))
    return value.replace(tzinfo=zone) if value.tzinfo is None else value.astimezone(zone)
