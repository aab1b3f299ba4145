import os
import signal
import threading
from collections.abc import Iterator

import pytest

from drmgr.errors import Interrupted
from drmgr.system.stopping import SIGNALS, signals_as_exceptions, undisturbed


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    signals_as_exceptions()
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_becomes_one_exception_and_a_second_one_does_not_disturb_it(number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=number.name):
        os.kill(os.getpid(), number)
    for again in SIGNALS:
        os.kill(os.getpid(), again)


def test_a_block_is_finished_before_the_signal_is_told() -> None:
    done: list[str] = []

    def act() -> None:
        with undisturbed(), undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("to the end")
        done.append("never")

    with pytest.raises(Interrupted, match="SIGTERM"):
        act()
    assert done == ["to the end"]


def test_a_block_inside_another_does_not_end_it() -> None:
    done = []

    def act() -> None:
        with undisturbed():
            with undisturbed():
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("after the inner one")

    with pytest.raises(Interrupted, match="SIGTERM"):
        act()
    assert done == ["after the inner one"]


def test_a_block_without_a_signal_changes_nothing() -> None:
    with undisturbed():
        pass
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_block_in_another_thread_does_not_hold_up_the_main_one() -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with undisturbed():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(10)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        leave.set()
        thread.join()
