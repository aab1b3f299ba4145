"""SIGINT, SIGTERM and SIGHUP as one exception, and blocks in which it has to wait."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from drmgr.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Waiting:
    blocks = 0
    arrived: str | None = None


def signals_as_exceptions() -> None:
    """From now on each of them raises Interrupted in the main thread; a second one does not disturb the cleaning up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        name = signal.Signals(number).name
        if _Waiting.blocks:
            _Waiting.arrived = name
            return
        raise Interrupted(name)

    for each in SIGNALS:
        signal.signal(each, stop)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block that a signal does not cut in two; Interrupted is raised at its end, of the outermost one, instead."""
    if threading.current_thread() is not threading.main_thread():
        # signals are only ever raised in the main thread
        yield
        return
    _Waiting.blocks += 1
    try:
        yield
    finally:
        _Waiting.blocks -= 1
        if _Waiting.blocks == 0:
            arrived, _Waiting.arrived = _Waiting.arrived, None
            if arrived is not None:
                raise Interrupted(arrived)
