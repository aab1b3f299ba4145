"""A SQL Server restore in its own place that is broken off, or refused by the server, anywhere. On the stand-in."""

from collections.abc import Iterator

import pytest

from drmgr.engines.sqlserver import inplace
from drmgr.errors import InUseError, PreflightError, SourceError
from drmgr.flows.swap import clear_leftovers
from drmgr.model import SwapPhase, Verdict
from drmgr.system import mssql
from tests.contract.sqlserver.conftest import watching
from tests.contract.sqlserver.inplace_ground import GOOD, SPOILT, Dying, Ground, Killed, new_ground
from tests.support.tds.server import Fault
from tests.support.tds.store import Standing


@pytest.fixture
def ground() -> Iterator[Ground]:
    with new_ground() as made:
        yield made


@pytest.mark.parametrize("late", [False, True])
def test_a_restore_that_is_killed_at_any_moment_is_ended_or_undone(
    monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """Every changing statement of a swap, before it is sent and after it was done."""
    phases: list[SwapPhase] = []
    with new_ground() as ground:
        dying = Dying(monkeypatch)
        for number in range(40):
            dying.after(number, late=late)
            try:
                ground.restore()
            except Killed:
                dying.no_more()
                phases.append(ground.swap().phase)
                clear_up(ground, number)
            else:
                break
        dying.no_more()
        assert (ground.rows(), ground.standing(), ground.names()) == (GOOD, Standing(), ["_before"])
    known = {SwapPhase.BESIDE, SwapPhase.SWAPPING} | (set() if late else {SwapPhase.DROPPED})
    assert (set(phases), phases.count(SwapPhase.SWAPPING)) == (known, 8)


def clear_up(ground: Ground, number: int) -> None:
    """Whatever the dead left behind has a way out, and the system is as it was."""
    given, target, swap = Standing(), ground.new_target(), ground.swap()
    clear_leftovers(ground.place.bench, target.book, "his", target.places)
    if swap.phase is SwapPhase.SWAPPING:
        with pytest.raises(PreflightError, match="broken off between two renames"):
            ground.restore()
        if number % 2:
            assert ground.finish().outcome.verdict is Verdict.PASSED
            assert (ground.rows(), ground.standing()) == (GOOD, given)
        ground.undo()
    assert (ground.rows(), ground.standing()) == (SPOILT, given)
    if swap.phase is SwapPhase.SWAPPING:
        # what is proven is nobody's to take away but the hospital's
        (kept,) = (name for name in ground.store.databases if name != ground.name)
        assert (ground.rows(kept), ground.standing(kept).access) == (GOOD, "MULTI_USER")
        del ground.store.databases[kept]


@pytest.mark.parametrize("late", [False, True])
def test_an_undo_that_is_killed_at_any_moment_is_gone_on_with(monkeypatch: pytest.MonkeyPatch, *, late: bool) -> None:
    with new_ground() as ground:
        ground.restore()
        dying, deaths = Dying(monkeypatch), 0
        while ground.swap().phase is not SwapPhase.UNDONE:
            dying.after(deaths % 4, late=late)
            try:
                ground.undo()
            except Killed:
                deaths += 1
        dying.no_more()
        assert (ground.rows(), ground.standing(), ground.names()) == (SPOILT, Standing(), ["_restored"])
    assert deaths >= 4


def test_who_slipped_through_a_door_left_shut_is_ended_only_when_told(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = Dying(monkeypatch)
    sent = ground.place.source.server.statements

    def kill(_text: str) -> None:
        dying.after(0, late=False)

    with watching(ground.place.source, r"SET SINGLE_USER WITH NO_WAIT", kill), pytest.raises(Killed):
        ground.restore()
    dying.no_more()
    assert ground.standing().access == "SINGLE_USER"
    with ground.somebody() as session:
        with pytest.raises(InUseError):
            ground.finish()
        assert session.row(mssql.ENTERED)["entered"] == ground.name
        assert ground.finish(end_sessions=True).outcome.verdict is Verdict.PASSED
    assert sum(text.startswith("KILL") for text in sent) == 1
    assert (ground.rows(), ground.standing().access) == (GOOD, "MULTI_USER")


@pytest.mark.parametrize(
    ("fails", "times"),
    [
        (r"MODIFY NAME = \[his_\d+_before", 9),
        (r"_restored_\w+\] MODIFY NAME", 9),
        (r"_before_.*DISABLE_BROKER", 9),
        # switched on again in what comes back, too
        (r"ENABLE_BROKER", 1),
    ],
)
def test_a_server_that_refuses_in_the_middle_leaves_the_names_and_the_doors_as_they_were(
    ground: Ground, fails: str, times: int
) -> None:
    faults = ground.place.source.server.faults
    faults.append(Fault(fails, "error", number=5094, text="The operation cannot be performed.", times=times))
    with pytest.raises(SourceError, match="SQL Server reports error 5094") as told:
        ground.restore()
    assert "all names are as they were" in told.value.hint
    assert (ground.rows(), ground.standing(), ground.names()) == (SPOILT, Standing(), ["_restored"])
    assert ground.swap().phase is SwapPhase.PROVEN
    faults.clear()
    assert ground.finish().outcome.verdict is Verdict.PASSED
    assert (ground.rows(), ground.standing()) == (GOOD, Standing())


def test_nothing_is_written_over(ground: Ground) -> None:
    source = ground.place.source

    def take(_text: str) -> None:
        run = ground.swap().run.lower()
        if f"{ground.name}_before_{run}" not in ground.store.databases:
            ground.store.create(f"{ground.name}_before_{run}", {})

    with watching(source, r"CHECKDB", take), pytest.raises(SourceError, match="nothing is written over"):
        ground.restore(end_sessions=True)
    assert ground.rows() == SPOILT
    assert not [text for text in source.server.statements if f"[{ground.name}] SET SINGLE_USER" in text]


def test_what_a_dead_run_brought_is_dropped_and_nothing_else(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    real = mssql.act
    monkeypatch.setattr(inplace, "act", gone)
    ground.store.create(f"{ground.name}_restored_by_hand", {})
    with pytest.raises(Killed):
        ground.restore()
    monkeypatch.setattr(inplace, "act", real)
    (dead,) = [name for name in ground.store.databases if name.startswith(f"{ground.name}_restored_01")]
    twin = ground.store.create(f"{dead}0", {})
    ground.restore()
    assert dead not in ground.store.databases
    assert {twin.name, f"{ground.name}_restored_by_hand"} <= set(ground.store.databases)


def gone(*_all: object) -> None:
    raise Killed
