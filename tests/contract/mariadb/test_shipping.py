"""Any second in between: the binary log shipped from a real server, replays to times, places and GTIDs, and bad days."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from drmgr.errors import PointNotFoundError, SourceError
from drmgr.model import CheckStatus, Level
from drmgr.scratch.processes import wait_until
from tests.support.folders import passable_directory
from tests.support.mariadb import LOG_RIGHTS, LOGGED, MariadbServer, mariadb_server
from tests.support.mariadb_physical import MariadbPlace


@pytest.fixture(params=[True, False], ids=["physical", "logical"])
def place(request: pytest.FixtureRequest, server: MariadbServer) -> Iterator[MariadbPlace]:
    with passable_directory() as directory:
        made = MariadbPlace(directory, server, physical=request.param)
        try:
            yield made
        finally:
            made.end_kept()


STEP = timedelta(seconds=1)


def note(place: MariadbPlace, text: str) -> str:
    """Writes a row and gives the first whole second after it; the log tells times no finer."""
    place.sql(f"INSERT INTO note (text) VALUES ('{text}')")
    written = place.now()
    assert wait_until(lambda: place.now().replace(microsecond=0) > written, place.clock, 5)
    return place.now().replace(microsecond=0).isoformat()


def test_every_kind_of_instant_comes_back(place: MariadbPlace) -> None:
    early = place.now().isoformat()
    place.back_up()
    at_a = note(place, "a")
    place.ship()
    place.sql("INSERT INTO note (text) VALUES ('b')")
    gtid_b = place.gtid()
    place.sql("ALTER TABLE note ADD COLUMN more int; INSERT INTO note (text, more) VALUES ('c', 1)")
    ((log, position, *_),) = place.sql("SHOW MASTER STATUS")
    place.sql("DELETE FROM note")
    place.server.execute("", "CREATE DATABASE IF NOT EXISTS other; CREATE OR REPLACE TABLE other.t (n int)")
    at_d = note(place, "d")
    place.ship()
    for at, expected in (
        (at_a, ["一", "a"]),
        (gtid_b, ["一", "a", "b"]),
        (f"{log}:{position}", ["一", "a", "b", "c"]),
        (at_d, ["d"]),
    ):
        done = place.restore(at)
        assert (at, place.notes(done)) == (at, expected)
        (check,) = (check for check in done.outcome.checks if check.name == "target-main")
        assert check.status is CheckStatus.PASS
        assert "GTID 0-7-" in check.actual
        # the facts of the recovery point say nothing of a later instant
        assert not any(check.level is Level.FACTS for check in done.outcome.checks)
    (window,) = place.times()
    for outside in (
        early,
        window.until.isoformat(),
        "2001-01-01",
        "no such name",
        "0-7-99999999",
        "mysqld-bin.900000:4",
    ):
        with pytest.raises(PointNotFoundError, match=r"main from 20\S+\+08:00 to 20\S+\+08:00"):
            place.restore(outside)
    # as a restore in place does it: of a dump no replay passes that, and so no time after it is offered
    place.server.execute(
        "", f"RENAME TABLE {place.database}.note TO other.n; RENAME TABLE other.n TO {place.database}.note"
    )
    note(place, "e")
    if place.engine.name.endswith("-physical"):
        place.ship()
    else:
        with pytest.raises(SourceError, match="no recovery point of his reaches what is shipped of main"):
            place.ship()
    (later,) = place.times()
    moved = later.newest
    assert (moved > window.newest) if place.engine.name.endswith("-physical") else (moved <= place.now() - STEP)
    if not place.engine.name.endswith("-physical"):
        assert place.notes(place.restore(moved.isoformat())) == ["d"]


@pytest.fixture
def mortal() -> Iterator[MariadbPlace]:
    """A dump's log on a server of its own, that tests may crash and whose log they may spoil."""
    with mariadb_server(**LOGGED) as server, passable_directory() as directory:
        server.execute("", LOG_RIGHTS)
        made = MariadbPlace(directory, server, physical=False)
        try:
            yield made
        finally:
            made.end_kept()


def log_name(place: MariadbPlace) -> str:
    ((name, *_),) = place.sql("SHOW MASTER STATUS")
    return str(name)


def damage(place: MariadbPlace) -> None:
    """Changes one byte of a log on the server's disk."""
    path = place.server.private.data / log_name(place)
    place.sql("FLUSH BINARY LOGS")
    content = path.read_bytes()
    spot = content.rindex(b"lost")
    path.write_bytes(content[:spot] + b"L" + content[spot + 1 :])


def purge(place: MariadbPlace) -> None:
    place.sql("FLUSH BINARY LOGS")

    def purged() -> bool:
        # the server keeps a file while a thread of its own still holds it
        place.sql(f"PURGE BINARY LOGS TO '{log_name(place)}'")
        return len(place.sql("SHOW BINARY LOGS")) == 1

    assert wait_until(purged, place.clock, 20)


def test_every_gap_is_told_and_parts_the_window(mortal: MariadbPlace) -> None:
    place = mortal
    place.back_up()
    note(place, "a")
    place.ship()
    # a restart is no gap: the server goes on with a new file, where the old one ended
    note(place, "b")
    place.server.stop()
    with pytest.raises(SourceError, match="no database server answers"):
        place.ship()
    place.server.start()
    place.ship()
    assert len(place.times()) == 1
    gaps: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: damage(place), r"is damaged: the checksum of the event at \d+ is wrong, on the server itself"),
        (
            lambda: purge(place),
            r"removed its binary logs before they were shipped: \d+ to \d+ are lost",
        ),
        (lambda: place.sql("RESET MASTER"), r"was begun anew \(RESET MASTER\)"),
    )
    for number, (act, message) in enumerate(gaps):
        place.sql("INSERT INTO note (text) VALUES ('lost')")
        act()
        with pytest.raises(SourceError, match=message) as told:
            place.ship()
        assert "drmgr backup" in told.value.hint
        before = place.times()
        place.back_up()
        at = note(place, str(number))
        place.ship()
        assert place.times()[: len(before)] == before
        assert len(place.times()) == len(before) + 1
    first, *_, last = place.times()
    assert first.until < last.since
    for lost in (first.until, last.since - timedelta(microseconds=1)):
        with pytest.raises(PointNotFoundError):
            place.restore(lost.isoformat())
    assert place.notes(place.restore(at)) == ["一", "a", "b", "lost", "0", "lost", "1", "lost", "2"]


def test_a_spool_is_not_filled_with_another_servers_log(mortal: MariadbPlace, server: MariadbServer) -> None:
    mortal.ship()
    there = MariadbPlace(mortal.directory, server, physical=False)
    with pytest.raises(SourceError, match="the spool holds the log of another server"):
        there.ship()
