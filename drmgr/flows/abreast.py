"""Several pieces of work at once, each in a thread of its own; a signal, or a bug in one, ends them all and waits."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from drmgr.flows.turns import Candidate, Turns
from drmgr.system.stopping import undisturbed

T = TypeVar("T")

AGAIN_SECONDS = 0.5
"""How long each thread is waited for before all are stopped once more."""


class Abreast(Generic[T]):
    """Runs ``act`` for everybody whose turn comes, and ``refuse`` for who will never fit.

    ``act`` gets the candidate and what to call once its system is usable. ``stop`` makes all ``act`` end soon, each with
    an exception of its own; it is called when the main thread is interrupted, and when an ``act`` raises.
    """

    def __init__(
        self,
        turns: Turns,
        act: Callable[[Candidate, Callable[[], None]], T],
        refuse: Callable[[Candidate], T],
        stop: Callable[[], None],
    ) -> None:
        self._turns = turns
        self._act = act
        self._refuse = refuse
        self._stop = stop
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._done: dict[str, T] = {}
        self._raised: BaseException | None = None

    def run(self) -> dict[str, T]:
        """What came of each, by name. Raises the first exception of an ``act``, and Interrupted, once all have ended."""
        try:
            with self._changed:
                while self._raised is None and (self._turns.waiting or self._turns.running):
                    if not self._begin():
                        self._changed.wait()
        except BaseException:
            self._end_all()
            raise
        if self._raised is not None:
            self._end_all()
            raise self._raised
        self._join()
        return self._done

    def _begin(self) -> bool:
        candidate = self._turns.take()
        if candidate is not None:
            thread = threading.Thread(target=self._work, args=(candidate,), name=candidate.name)
            # a signal between the start and our knowing of it would leave the thread alone
            with undisturbed():
                thread.start()
                self._threads.append(thread)
            return True
        refused = self._turns.refuse()
        if refused is not None:
            self._done[refused.name] = self._refuse(refused)
        return refused is not None

    def _work(self, candidate: Candidate) -> None:
        try:
            result = self._act(candidate, lambda: self._usable(candidate.name))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for this one
            with self._changed:
                self._raised = self._raised or error
                self._turns.ended(candidate.name)
                self._changed.notify()
            return
        with self._changed:
            self._done[candidate.name] = result
            self._turns.ended(candidate.name)
            self._changed.notify()

    def _usable(self, name: str) -> None:
        with self._changed:
            self._turns.usable(name)
            self._changed.notify()

    def _end_all(self) -> None:
        # a second signal is not raised any more: nothing cuts this short
        while any(thread.is_alive() for thread in self._threads):
            # again and again, for a thread may have been about to start a program
            self._stop()
            self._join(AGAIN_SECONDS)

    def _join(self, seconds: float | None = None) -> None:
        for thread in self._threads:
            thread.join(seconds)
