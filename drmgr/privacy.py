"""Keeps patient data out of records: what a check may report, and how its words are masked."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from drmgr.errors import EvidenceError
from drmgr.model import CheckResult, DrillRecord, Json

WITHHELD: Final = {"withheld": "free-text"}
"""Stands where a value was that is not a count, a time, a hash or a machine's own name for something."""

LONGEST_MESSAGE = 600

_MEASURES = (
    re.compile(r"[+-]?\d{1,10}"),
    re.compile(r"[+-]?\d{1,30}\.\d{1,30}"),
    re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?"),
    re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?"),
    re.compile(r"(sha256:|md5:)?(?=.*[a-fA-F])[0-9a-fA-F]{16,128}"),
    re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}"),
)
_PLAIN = (
    *_MEASURES,
    re.compile(r"[A-Za-z_][A-Za-z0-9_.:/@+=-]{0,127}"),
)
_KEY = re.compile(r"[\w.:/@+=$#-]{1,160}")
_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{11,}[Xx]?(?![0-9A-Za-z])")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]+")


def is_measure(text: str) -> bool:
    """True for a text that is a number, a date, a time or a hash."""
    return any(pattern.fullmatch(text) for pattern in _MEASURES)


def is_plain(value: Json) -> bool:
    """True for numbers, booleans, null, dates, hashes and short machine names, and for lists and mappings of those.

    Whole numbers written as text are plain up to ten digits: an identity card or a telephone number is longer.
    Keys of mappings may be in any script, for they name tables and columns.
    """
    if value is None or isinstance(value, bool | int | float):
        return True
    if isinstance(value, str):
        return value == "" or any(pattern.fullmatch(value) for pattern in _PLAIN)
    if isinstance(value, Mapping):
        return all(
            isinstance(key, str) and _KEY.fullmatch(key) is not None and is_plain(item) for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return False


def refuse_free_text(check: CheckResult, system: str) -> None:
    """Raises EvidenceError when ``expected`` or ``actual`` could carry patient data."""
    for side, value in (("expected", check.expected), ("actual", check.actual)):
        if not is_plain(value):
            raise EvidenceError(
                f"check {check.name} of system {system} has a free text as its {side} value; evidence holds none",
                hint="let the check return a count, a date or a hash instead of text",
            )


def withhold_free_text(record: DrillRecord) -> DrillRecord:
    """The same record with every free text among the checks' values replaced by ``WITHHELD``, so it can be sealed."""
    outcomes = tuple(
        replace(outcome, checks=tuple(without_text(check) for check in outcome.checks)) for outcome in record.outcomes
    )
    return replace(record, outcomes=outcomes)


def without_text(check: CheckResult) -> CheckResult:
    """The same result with every free text among its values replaced by ``WITHHELD``."""
    return replace(check, expected=_masked(check.expected), actual=_masked(check.actual))


def _masked(value: Json) -> Json:
    if is_plain(value):
        return value
    if isinstance(value, Mapping) and is_plain(dict.fromkeys(value)):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return dict(WITHHELD)


def mask_message(text: str) -> str:
    """A program's message without what could name a person: other scripts and long numbers become ``*``."""
    masked = _LONG_NUMBER.sub("*", _NOT_ASCII.sub("*", text))
    return masked if len(masked) <= LONGEST_MESSAGE else masked[:LONGEST_MESSAGE] + "..."
