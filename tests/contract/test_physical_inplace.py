"""A server's files in their own place: proven on scratch to the very instant, then put where the server finds them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drmgr.errors import DrmgrError, InUseError, PointNotFoundError, PreflightError, SourceError
from drmgr.flows.finish import finish
from drmgr.flows.original import ToOriginal
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan
from drmgr.flows.swap import undo
from drmgr.model import Verdict
from drmgr.scratch.closing import ClosingPostgres
from drmgr.scratch.inplace import ServerFilesPlace, ServerHome
from drmgr.scratch.processes import processes_in
from drmgr.state.swap_book import FileSwapBook
from tests.support.folders import passable_directory
from tests.support.physical import Place, fill, note, notes, physical_server, tablespace


@contextmanager
def ground(*, scale: int = 0) -> Iterator[tuple[Place, ToOriginal]]:
    with passable_directory() as directory, physical_server(directory, segment_mib=1) as server:
        fill(server, scale)
        place = Place(directory, server)
        yield place, target_of(place, directory)


def target_of(place: Place, directory: Path) -> ToOriginal:
    data = place.server.private.data
    home = ServerHome(data, lambda: bool(processes_in(data)))
    files = ServerFilesPlace(place.engine, home, ClosingPostgres(place.runner), place.clock)
    return ToOriginal({"main": files}, FileSwapBook(directory / "restores"), lambda: None)


def in_place(place: Place, target: ToOriginal, at: str = "") -> RestoreDone:
    return restore(place.bench, place.wired, RestorePlan("latest", target, reason="lost", at=at))


def ended(place: Place, target: ToOriginal, act: Callable[..., object]) -> object:
    swap = target.book.all()[-1]
    if act is undo:
        return undo(place.bench, target.book, swap, target.places, reason="back", permit=target.permit, force=False)
    return finish(place.bench, place.wired, target, swap, "it runs")


def swapped(place: Place, act: Callable[[], object]) -> None:
    """While the server is stopped."""
    place.server.stop()
    act()
    place.server.private.start()


def ship_somehow(place: Place) -> None:
    """It says that the slot did not come along, or that a new recovery point is needed."""
    with suppress(SourceError):
        place.ship()


def test_a_stopped_server_gets_its_files_back_to_the_second_and_can_go_back() -> None:
    with ground() as (place, target):
        hba = (place.server.private.data / "pg_hba.conf").read_bytes()
        owner = place.server.private.data.stat().st_uid
        place.back_up()
        place.sql("INSERT INTO note (text) VALUES ('二')")
        at = place.now().isoformat()
        place.sql("INSERT INTO note (text) VALUES ('mistake')")
        place.ship()
        with pytest.raises(PreflightError, match="is up"):
            in_place(place, target, at)
        place.server.stop()
        data = place.server.private.data
        done = in_place(place, target, at)
        assert (done.outcome.verdict, done.instances) == (Verdict.PASSED, {})
        # nobody can use it before it is started: no time is told until then
        assert (done.outcome.timeline.t5, done.outcome.timeline.t6, done.outcome.rto.measured) == (None, None, None)
        assert "pg_ctl" in done.by_hand[0] and str(data) in done.by_hand[0]
        assert (data / "pg_hba.conf").read_bytes() == hba
        assert {path.stat().st_uid for path in data.rglob("*")} == {owner}
        assert data.stat().st_mode & 0o777 == 0o700
        assert not (data / "recovery.signal").exists()
        too_early = ended(place, target, finish)
        assert isinstance(too_early, RestoreDone)
        assert too_early.outcome.verdict is Verdict.ERROR
        assert (too_early.outcome.timeline.t5, too_early.outcome.timeline.t6) == (None, None)
        place.server.private.start()
        assert place.sql("SELECT text FROM note ORDER BY id") == [("一",), ("二",)]
        checked = ended(place, target, finish)
        assert isinstance(checked, RestoreDone)
        assert checked.outcome.verdict is Verdict.PASSED
        assert None not in (checked.outcome.timeline.t5, checked.outcome.timeline.t6)
        assert [check.name for check in checked.outcome.checks] == ["opens-main@original"]
        with pytest.raises(InUseError, match="up"):
            ended(place, target, undo)
        place.server.stop()
        ended(place, target, undo)
        place.server.private.start()
        assert place.sql("SELECT text FROM note ORDER BY id") == [("一",), ("二",), ("mistake",)]


def test_a_target_that_is_not_reached_leaves_everything_as_it_is() -> None:
    with ground() as (place, target):
        place.back_up()
        place.ship()
        at = place.now().isoformat()
        place.server.stop()
        data = place.server.private.data
        with pytest.raises(DrmgrError):
            in_place(place, target, at)
        assert sorted(path.name for path in data.parent.iterdir() if path.name.startswith("data")) == ["data"]
        place.server.private.start()
        with tablespace(place.server, "elsewhere"):
            place.server.stop()
            with pytest.raises(PreflightError, match="tablespaces"):
                in_place(place, target)
            place.server.private.start()


def test_no_time_of_another_history_is_offered_after_a_restore_and_its_undoing() -> None:
    with ground() as (place, target):
        place.ship()
        place.back_up()
        at_a = note(place, "a")
        note(place, "b")
        place.ship()
        # never shipped: nobody can bring it back
        lost = note(place, "lost")
        swapped(place, lambda: in_place(place, target, at_a))
        ended(place, target, finish)
        at_d = note(place, "d")
        ship_somehow(place)
        note(place, "e")
        ship_somehow(place)
        with pytest.raises(PointNotFoundError, match="cannot be reached"):
            place.restore(lost)
        assert notes(place, place.restore(at_a)) == ["一", "a"]
        assert notes(place, place.restore(at_d)) == ["一", "a", "d"]
        place.back_up()
        note(place, "f")
        place.ship()
        swapped(place, lambda: ended(place, target, undo))
        note(place, "h")
        ship_somehow(place)
        at_i = note(place, "i")
        ship_somehow(place)
        # what was in use then is not what the log of now tells
        with pytest.raises(PointNotFoundError, match="cannot be reached"):
            place.restore(at_d)
        assert notes(place, place.restore(at_i)) == ["一", "a", "b", "lost", "h", "i"]
        # and the newest instant is not that of the point that was made of what is undone
        assert notes(place, place.restore("newest"))[-2:] == ["h", "i"]
