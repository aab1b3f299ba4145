"""Instants, spans of time and words as evidence writes them. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drmgr.errors import EvidenceError
from drmgr.model import Json, Text


def zone_of(name: str) -> ZoneInfo:
    """Raises EvidenceError for one that this host does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise EvidenceError(
            f"the time zone {name} is not known on this host",
            hint="check site.timezone, and that the package tzdata is installed",
        ) from error


def time_in(zone: ZoneInfo, instant: datetime | None) -> str | None:
    """RFC 3339 with the offset of the zone, to the millisecond. Raises EvidenceError for an instant without a zone."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise EvidenceError("an instant without a zone cannot be put into evidence")
    return instant.astimezone(zone).isoformat(timespec="milliseconds")


def text_json(text: Text) -> dict[str, Json]:
    return {"zh": text.zh, "en": text.en}


def seconds_json(seconds: float) -> float:
    """To the millisecond."""
    return round(seconds, 3)
