"""Copies asked side by side: whoever does not answer is away, and nobody waits for it longer than was said."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from drmgr.cli.repositories.asked_copies import AskedCopy
from drmgr.errors import RepositoryAccessError, RepositoryError, RepositoryUnreachableError

SYSTEMS = ("emr", "his", "lis", "mi", "nis", "opd")


@contextmanager
def hanging() -> Iterator[Callable[..., str]]:
    """A question that is not answered before the test ends."""
    over = threading.Event()

    def hang(*_: str) -> str:
        over.wait()
        return "late"

    try:
        yield hang
    finally:
        over.set()


def test_each_system_gets_its_own_answer() -> None:
    asked = AskedCopy(SYSTEMS, lambda: None, str.upper)
    assert [asked.answer(system) for system in SYSTEMS] == [system.upper() for system in SYSTEMS]
    assert not asked.left_behind


def test_a_copy_that_is_not_there_is_asked_once() -> None:
    knocked: list[int] = []

    def knock() -> None:
        knocked.append(1)
        raise RepositoryUnreachableError("away")

    asked = AskedCopy(SYSTEMS, knock, pytest.fail)
    for system in SYSTEMS:
        found = asked.answer(system)
        assert isinstance(found, RepositoryUnreachableError)
        assert found.message == "away"
    assert knocked == [1]
    assert not asked.left_behind


def test_a_silent_copy_is_waited_for_once_and_not_for_each_system() -> None:
    with hanging() as hang:
        began = time.monotonic()
        asked = AskedCopy(SYSTEMS, hang, str.upper, at_the_door=0.2)
        for system in SYSTEMS:
            found = asked.answer(system)
            assert isinstance(found, RepositoryUnreachableError)
            assert "did not answer for 0.2 s" in found.message
        assert 0.2 <= time.monotonic() - began < 10
        assert asked.left_behind


def test_one_that_falls_silent_after_some_answers_is_away_for_the_others() -> None:
    with hanging() as hang:
        asked = AskedCopy(SYSTEMS, lambda: None, lambda each: hang() if each > "lis" else each, patience=0.2)
        assert asked.answer("emr") == "emr"
        assert isinstance(asked.answer("opd"), RepositoryUnreachableError)
        assert asked.left_behind


def test_what_one_system_meets_is_its_own() -> None:
    def ask(system: str) -> str:
        if system == "his":
            raise RepositoryAccessError("refused")
        return system

    asked = AskedCopy(SYSTEMS, lambda: None, ask)
    assert isinstance(asked.answer("his"), RepositoryError)
    assert asked.answer("lis") == "lis"


def test_a_bug_is_not_taken_for_an_answer() -> None:
    asked = AskedCopy(SYSTEMS, lambda: None, lambda system: system[99])
    with pytest.raises(IndexError):
        asked.answer("his")
