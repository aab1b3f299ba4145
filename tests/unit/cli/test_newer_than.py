"""What ``--newer-than`` understands."""

from datetime import UTC, datetime

import pytest

from drmgr.cli.restoring.restoretarget import since
from drmgr.errors import UsageError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("30d", "2026-01-31T12:00"),
        ("1y", "2025-03-01T12:00"),
        ("2026-01-31", "2026-01-31T00:00"),
        ("90s", "2026-03-02T11:58"),
    ],
)
def test_an_age_or_a_date(text: str, begins: str) -> None:
    assert since(text, NOW).isoformat().startswith(begins)
    assert since(text, NOW).tzinfo is not None


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "1 y", "-1d", "0d"])
def test_anything_else_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="not an age or a date"):
        since(text, NOW)
