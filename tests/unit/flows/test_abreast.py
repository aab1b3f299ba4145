"""Several at once in threads: they do run together, and whatever ends them leaves none behind."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from drmgr.errors import Interrupted
from drmgr.flows.abreast import Abreast
from drmgr.flows.turns import Candidate, Limits, Turns
from drmgr.system.stopping import SIGNALS, signals_as_exceptions

TWO = Limits(2, 100, 100)
WAIT = 30


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"a", "b", "c"}


def test_they_run_together_and_all_results_are_given() -> None:
    both = threading.Barrier(2)

    def act(candidate: Candidate, _usable: Callable[[], None]) -> str:
        # gives up, and so fails, unless two are here at the same time
        both.wait(WAIT)
        return candidate.name * 2

    turns = Turns([Candidate("a"), Candidate("b")], TWO)
    assert Abreast(turns, act, lambda _one: "", lambda: None).run() == {"a": "aa", "b": "bb"}
    assert names() == set()


def test_what_depends_on_another_begins_when_that_is_usable_and_not_when_it_ends() -> None:
    begun = threading.Event()

    def act(candidate: Candidate, usable: Callable[[], None]) -> bool:
        if candidate.name == "b":
            begun.set()
            return True
        usable()
        return begun.wait(WAIT)

    turns = Turns([Candidate("a"), Candidate("b", after=frozenset("a"))], TWO)
    assert Abreast(turns, act, lambda _one: False, lambda: None).run() == {"a": True, "b": True}


def test_one_that_never_fits_is_refused_and_the_others_are_played() -> None:
    turns = Turns([Candidate("a", disk=200), Candidate("b")], TWO)
    done = Abreast(turns, lambda one, _usable: one.name, lambda one: f"no {one.name}", lambda: None).run()
    assert done == {"a": "no a", "b": "b"}


def test_a_bug_in_one_ends_the_others_and_is_raised() -> None:
    stopped, at_work = threading.Event(), threading.Event()

    def act(candidate: Candidate, _usable: Callable[[], None]) -> None:
        if candidate.name == "a":
            at_work.wait(WAIT)
            raise KeyError("a bug")
        at_work.set()
        assert stopped.wait(WAIT)

    turns = Turns([Candidate("a"), Candidate("b"), Candidate("c")], TWO)
    with pytest.raises(KeyError, match="a bug"):
        Abreast(turns, act, lambda _one: None, stopped.set).run()
    assert names() == set()


def test_an_interruption_stops_all_and_waits_for_what_they_clear_away() -> None:
    stopped, cleared = threading.Event(), []

    def act(candidate: Candidate, _usable: Callable[[], None]) -> None:
        if candidate.name == "b":
            os.kill(os.getpid(), signal.SIGHUP)
        try:
            assert stopped.wait(WAIT)
        finally:
            cleared.append(candidate.name)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals_as_exceptions()
    try:
        turns = Turns([Candidate("a"), Candidate("b"), Candidate("c")], TWO)
        with pytest.raises(Interrupted):
            Abreast(turns, act, lambda _one: None, stopped.set).run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert sorted(cleared) == ["a", "b"]
    assert names() == set()
