"""Whose times can be believed, and whose cannot."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drmgr.engines.postgres import reread
from drmgr.engines.postgres.reread import SteadyClock, doubtful
from drmgr.engines.postgres.store import LEFT_OUT
from drmgr.errors import SourceError
from drmgr.model import Snapshot
from tests.support.fakes import FakeClock

START = datetime(2026, 1, 5, tzinfo=UTC)
BEFORE = Snapshot("a", START, ended=START + timedelta(minutes=5))


def put(root: Path, name: str, at: datetime) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"x")
    os.utime(root / name, (at.timestamp(), at.timestamp()))


def test_what_was_written_while_the_snapshot_before_was_made_is_in_doubt(tmp_path: Path) -> None:
    inside, minute = START + timedelta(minutes=2), timedelta(minutes=1)
    for name in ("base/1/in", "pg_wal/left", "base/1/pgsql_tmp1", "base/1/pg_internal.init", "pg_stat_tmp/a", "in"):
        put(tmp_path, name, inside)
    put(tmp_path, "base/1/older", START - minute)
    put(tmp_path, "base/1/newer", START + 6 * minute)
    put(tmp_path, "base/1/just-before", START - timedelta(seconds=1))
    found = doubtful(tmp_path, LEFT_OUT, BEFORE)
    assert found is not None and sorted(found) == ["base/1/in", "base/1/just-before", "in"]


def test_everything_is_in_doubt_without_a_known_snapshot_or_with_too_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doubtful(tmp_path, (), None) is None
    assert doubtful(tmp_path, (), Snapshot("a", START)) is None
    put(tmp_path, "a b", START)
    assert doubtful(tmp_path, (), BEFORE) is None
    put(tmp_path, "ab", START)
    monkeypatch.setattr(reread, "MOST", 0)
    assert doubtful(tmp_path, ("a b",), BEFORE) is None


def test_a_clock_that_is_set_back_or_is_not_the_disks_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    steady = SteadyClock(clock)
    clock.sleep(3600)
    put(tmp_path, "written", clock.now())
    steady.refuse_another(tmp_path / "written")
    steady.refuse_set_back()
    put(tmp_path, "written", clock.now() - timedelta(hours=2))
    with pytest.raises(SourceError, match="differs from this host's by 7200 s"):
        steady.refuse_another(tmp_path / "written")
    clock.set_back(60)
    with pytest.raises(SourceError, match="set back by 60 s"):
        steady.refuse_set_back()
