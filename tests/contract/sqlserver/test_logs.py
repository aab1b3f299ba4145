"""SQL Server between two points: chains of logs, stolen ones, clocks set back. On the stand-in."""

import errno
from dataclasses import replace
from datetime import timedelta
from typing import IO

import pytest

from drmgr.errors import (
    LoadError,
    PointNotFoundError,
    PreflightError,
    RepositoryDamagedError,
    SourceError,
    SpoolFullError,
)
from drmgr.flows.bringback import fetch
from drmgr.flows.points import find
from drmgr.flows.reach import Window, windows
from drmgr.flows.shipped import log_ranges
from drmgr.model import RecoveryTarget
from drmgr.system.mssql_access import Share
from tests.contract.sqlserver.conftest import new_place, take_away_log
from tests.support.sqlserver import StandIn
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.server import Fault


def test_every_instant_between_two_logs_comes_back_just_as_it_was(place: SqlServerPlace) -> None:
    place.note(101)
    place.back_up()
    instants = [place.note(102)]
    place.ship()
    instants += [place.note(103), place.note(104)]
    idle = place.now()
    shipped = place.ship()
    assert shipped.until is not None
    (window,) = times(place)
    assert window.until == shipped.until
    assert place.notes(place.restore(at=instants[0].isoformat())) == [101, 102]
    assert place.notes(place.restore(at=instants[1].isoformat())) == [101, 102, 103]
    # nothing was committed after this one, and the server alone would call it out of reach
    assert place.notes(place.restore(at=idle.isoformat())) == [101, 102, 103, 104]
    with pytest.raises(PointNotFoundError, match="cannot be reached; what can be: main from"):
        place.restore(at=(place.now() + timedelta(hours=1)).isoformat())
    second = place.database.commits[-2].lsn
    assert place.notes(place.restore(at=f"lsn:{second}")) == [101, 102, 103]
    assert place.left() == []


def test_a_time_that_no_log_comes_to_is_never_called_reached(place: SqlServerPlace) -> None:
    """Whoever chose the logs was wrong, or a clock was: the restore itself must not go as far as it gets."""
    place.note(101)
    place.back_up()
    member = find(place.repository, place.bench.catalog, "his").points[0].point.members[0]
    later = (place.now() + timedelta(seconds=5)).isoformat()
    wanted = (RecoveryTarget("time", later), RecoveryTarget("position", f"lsn:{place.database.lsn + 10**6}"))
    for number, target in enumerate(wanted):
        with place.bench.scratch.open(f"R-{number}", 0) as workspace:
            staged = workspace.stage("main")
            fetch(place.bench, place.wired, member, staged)
            instance = workspace.start(replace(place.engine.recipe(member.facts), target=target))
            with pytest.raises(LoadError, match=f"the logs end before {target.kind}"):
                place.engine.load(staged, instance, lambda _share, _word: None)


def test_a_log_before_the_first_full_backup_is_refused_in_words(place: SqlServerPlace) -> None:
    with pytest.raises(SourceError, match="no full backup yet that a log could follow"):
        place.ship()


def times(place: SqlServerPlace) -> tuple[Window, ...]:
    found = find(place.repository, place.bench.catalog, "his")
    return windows(found.points, log_ranges(place.repository, "his", "main"), "main")


def test_an_idle_database_still_reaches_a_later_time(place: SqlServerPlace) -> None:
    place.back_up()
    first, second = place.ship().until, place.ship().until
    assert first is not None
    assert second is not None
    assert second > first
    (window,) = times(place)
    assert window.until == second


def test_a_log_that_somebody_else_took_is_found_when_it_happens_and_parts_the_window(place: SqlServerPlace) -> None:
    place.back_up()
    place.ship()
    before = place.note(102)
    take_away_log(place)
    lost = place.note(103)
    with pytest.raises(SourceError, match=r"backed up by somebody else: /other/stolen\.trn by SA"):
        place.ship()
    assert len(times(place)) == 1
    for at in (before, lost):
        with pytest.raises(PointNotFoundError, match="cannot be reached"):
            place.restore(at=at.isoformat())
    place.back_up()
    after = place.note(104)
    place.ship()
    assert len(times(place)) == 2
    assert place.notes(place.restore(at=after.isoformat())) == [102, 103, 104]


def test_a_log_that_a_killed_call_left_behind_is_taken_up_by_the_next(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.server.faults.append(Fault(r"VERIFYONLY", "drop"))
    with pytest.raises(SourceError):
        place.ship()
    # the server has given this piece of its log away, and drmgr must not throw it after
    assert [name.endswith(".trn") for name in place.left()] == [True]
    assert place.ship().files == 2
    assert place.left() == []
    assert place.notes(place.restore(at=at.isoformat())) == [102]


def test_half_a_log_is_thrown_away_for_the_server_still_has_it(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.server.faults.append(Fault(r"BACKUP LOG \[", "drop", after=2))
    with pytest.raises(SourceError, match="the connection to the server broke"):
        place.ship()
    assert place.ship().files == 1
    assert place.notes(place.restore(at=at.isoformat())) == [102]


def test_a_full_disk_of_the_spool_is_an_alarm_and_leaves_the_log_in_the_folder(
    place: SqlServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.back_up()
    at = place.note(102)

    def full(_self: Share, _name: str, into: IO[bytes]) -> None:
        into.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Share, "read", full)
    with pytest.raises(SpoolFullError, match="could not be kept: No space left on device"):
        place.ship()
    monkeypatch.undo()
    assert len(place.left()) == 1
    assert place.ship().files == 2
    assert place.notes(place.restore(at=at.isoformat())) == [102]


def test_a_lock_that_somebody_holds_for_a_minute_is_named(place: SqlServerPlace) -> None:
    place.source.server.faults.append(
        Fault(r"drmgr: fingerprint", "error", number=1222, text="Lock request time out period exceeded.")
    )
    with pytest.raises(SourceError, match="somebody held a lock for a minute"):
        place.back_up()
    assert place.left() == []


def test_another_servers_log_does_not_go_into_the_spool_unseen(place: SqlServerPlace) -> None:
    place.back_up()
    place.ship()
    place.database.family = "99999999-2222-3333-4444-555555555555"
    with pytest.raises(SourceError, match="has begun another life"):
        place.ship()
    assert len(times(place)) == 1


@pytest.mark.parametrize("ending", ["bak", "trn"])
def test_a_backup_that_is_gone_from_what_was_stored_never_passes(place: SqlServerPlace, ending: str) -> None:
    place.back_up()
    for path in (place.directory / "repository").rglob(f"*.{ending}"):
        path.unlink()
    with pytest.raises(RepositoryDamagedError):
        place.restore()
    assert place.left() == []


def test_a_database_that_was_set_back_has_begun_another_life(place: SqlServerPlace) -> None:
    place.back_up()
    place.ship()
    place.database.fork = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(SourceError, match="has begun another life"):
        place.ship()


def test_a_clock_that_was_set_back_makes_times_mean_two_things(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.store.offset = timedelta(hours=9)
    try:
        place.ship()
        with pytest.raises(LoadError, match="clock was set to another time"):
            place.restore(at=at.isoformat())
        assert place.notes(place.restore(at=f"lsn:{place.database.commits[-1].lsn}")) == [102]
    finally:
        place.source.store.offset = timedelta(hours=8)


def test_a_database_without_log_says_so_when_it_is_to_be_shipped(servers: tuple[StandIn, StandIn]) -> None:
    with new_place(servers, database={"model": "SIMPLE"}) as place:
        place.back_up()
        with pytest.raises(PreflightError, match="has no log to ship"):
            place.ship()
