"""One byte form for one value: RFC 8785 JSON, and its SHA-256."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import rfc8785

from drmgr.errors import EvidenceError
from drmgr.model import Json

LARGEST_EXACT = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly; larger ones are written as text."""


def plain(value: object) -> Json:
    """The value as JSON can hold it: times as ISO text, decimals and very large numbers as text.

    Raises EvidenceError for a kind of value that has no JSON form.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_EXACT else str(int(value))
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _as_text(value)


def _as_text(value: object) -> Json:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 3)
    if isinstance(value, Decimal):
        return str(value)
    raise EvidenceError(f"a value of type {type(value).__name__} cannot be put into evidence")


def canonical(value: Json) -> bytes:
    """RFC 8785 bytes. Raises EvidenceError for what has no such form."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"the value has no canonical JSON form: {error}") from error


def digest(value: Json) -> str:
    """SHA-256 of the canonical bytes, in hex. Raises EvidenceError."""
    return hashlib.sha256(canonical(value)).hexdigest()
