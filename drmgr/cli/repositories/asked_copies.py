"""All copies of many systems asked side by side, and waited for only so long: one that is away holds up nobody."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from drmgr.errors import DrmgrError, RepositoryUnreachableError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.copying import Standing

PATIENCE = 30.0
"""Seconds without the answer of any system in a copy, after which it counts as away."""

AT_THE_DOOR = 15.0
"""Seconds for the one small question that comes first. boto3 gives up an address that nobody answers at after as many."""

AT_THE_SAME_TIME = 4
"""Systems for which one copy is asked at once."""

T = TypeVar("T")
A = TypeVar("A")


class AskedCopy(Generic[T]):
    """One copy: ``knock`` proves once that it is there at all, ``ask`` is called for each system, in threads of its own.

    A thread that hangs is left behind: it must not keep this process from its end.
    """

    def __init__(
        self,
        systems: Sequence[str],
        knock: Callable[[], object],
        ask: Callable[[str], T],
        *,
        at_the_door: float = AT_THE_DOOR,
        patience: float = PATIENCE,
    ) -> None:
        self._door: Future[object] = Future()
        self._answers: dict[str, Future[T]] = {system: Future() for system in systems}
        self._left = deque(systems)
        self._knock = knock
        self._ask = ask
        self._at_the_door = at_the_door
        self._patience = patience
        self._heard = time.monotonic()
        threading.Thread(target=self._begin, daemon=True).start()

    def answer(self, system: str) -> T | DrmgrError:
        """What it says of that system, or why it says nothing. Waits for as long as the copy answers anything at all."""
        answer = self._answers[system]
        for future, patience in ((self._door, self._at_the_door), (answer, self._patience)):
            self._wait(future, patience)
            if not future.done():
                return RepositoryUnreachableError(f"it did not answer for {patience:g} s")
            error = future.exception()
            if isinstance(error, DrmgrError):
                return error
        return answer.result()

    def _wait(self, future: "Future[object] | Future[T]", patience: float) -> None:
        """Until it is done, or nothing was heard of the copy for so long."""
        while not future.done() and (left := self._heard + patience - time.monotonic()) > 0:
            with suppress(TimeoutError):
                future.exception(timeout=left)

    @property
    def left_behind(self) -> bool:
        """Whether a thread still waits for an answer."""
        return not self._door.done() or (
            self._door.exception() is None and not all(each.done() for each in self._answers.values())
        )

    def _begin(self) -> None:
        # whoever is not there has nothing to say of any system
        if self._settled(self._door, self._knock):
            for _ in range(AT_THE_SAME_TIME):
                threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                system = self._left.popleft()
            except IndexError:
                return
            self._settled(self._answers[system], partial(self._ask, system))

    def _settled(self, future: "Future[A]", act: "Callable[[], A]") -> bool:
        try:
            result = act()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for this one
            self._heard = time.monotonic()
            future.set_exception(error)
            return False
        self._heard = time.monotonic()
        future.set_result(result)
        return True


@contextmanager
def asked_copies(
    opened: "Site", systems: Sequence[str]
) -> "Iterator[Callable[[str], Mapping[str, Standing | DrmgrError]]]":
    """Begins to ask; gives what each copy says of a system. At the end what still waits for an answer is ended."""
    from drmgr.cli.repositories.repo_copy import ask_copy, never_begun

    # opened once, before the threads ask for them
    _ = opened.catalog, opened.keystore
    names = sorted(opened.config.copies)
    known = {(name, system): never_begun(opened, system, name) for name in names for system in systems}
    asked = {
        name: AskedCopy(
            [system for system in systems if known[name, system] is None],
            partial(_knock, opened, name),
            partial(ask_copy, opened, copy=name),
        )
        for name in names
        if any(known[name, system] is None for system in systems)
    }
    yield lambda system: {name: known[name, system] or asked[name].answer(system) for name in names}
    if any(copy.left_behind for copy in asked.values()):
        opened.runner.stop_all(grace=1.0)


_MAKING_CLIENTS = threading.Lock()


def _knock(opened: "Site", name: str) -> None:
    place = opened.copy(name)
    # boto3 makes one client at a time
    with _MAKING_CLIENTS:
        bucket = place.bucket
        if bucket is not None:
            _ = bucket.client
    if bucket is not None:
        bucket.probe()
