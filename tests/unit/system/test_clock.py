from datetime import UTC, datetime, timedelta, timezone

import pytest

from drmgr.system.clock import SystemClock, rfc3339


def test_instants_have_their_zone_and_durations_do_not_go_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    first = clock.monotonic()
    clock.sleep(0)
    assert clock.monotonic() >= first


def test_instants_as_text() -> None:
    zone = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 1, 5, 14, 3, 22, 5, tzinfo=zone)) == "2026-01-05T14:03:22.000005+08:00"
    assert rfc3339(datetime(2026, 1, 5, tzinfo=UTC)) == "2026-01-05T00:00:00+00:00"
    with pytest.raises(ValueError, match="without a zone"):
        rfc3339(datetime(2026, 1, 5))  # noqa: DTZ001
