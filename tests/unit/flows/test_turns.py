"""Whose turn it is in a drill of many systems: the order, and that no limit is ever exceeded."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.flows.turns import Candidate, Limits, Turns, in_order

PLENTY = 1 << 40


def names(candidates: list[Candidate]) -> list[str]:
    return [each.name for each in in_order(candidates)]


def after(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_tier_then_dependency_then_the_longest() -> None:
    assert names(
        [
            Candidate("queue", 3, after("his")),
            Candidate("mrm", 2, seconds=900),
            Candidate("emr", 1, after("his"), seconds=10),
            Candidate("lis", 1, after("his"), seconds=20),
            Candidate("his", 1, seconds=1),
        ]
    ) == ["his", "lis", "emr", "mrm", "queue"]


def test_what_a_better_tier_depends_on_comes_with_that_tier() -> None:
    found = names(
        [Candidate("a", 2), Candidate("base", 3), Candidate("mid", 3, after("base")), Candidate("top", 1, after("mid"))]
    )
    assert found == ["base", "mid", "top", "a"]


def test_dependencies_that_go_round_are_refused() -> None:
    with pytest.raises(ValueError, match="depends on itself"):
        in_order([Candidate("a", after=after("b")), Candidate("b", after=after("a"))])


def test_one_that_waits_for_another_is_passed_over_until_that_is_usable() -> None:
    turns = Turns([Candidate("his"), Candidate("emr", 1, after("his")), Candidate("mrm", 2)], Limits(2, PLENTY, PLENTY))
    assert [took(turns), took(turns), took(turns)] == ["his", "mrm", None]
    turns.ended("mrm")
    assert took(turns) is None
    turns.usable("his")
    assert took(turns) == "emr"


def test_a_dependency_that_is_not_in_the_drill_holds_nobody_back() -> None:
    turns = Turns([Candidate("emr", 1, after("his"))], Limits(1, PLENTY, PLENTY))
    assert took(turns) == "emr"


def test_nobody_overtakes_one_that_waits_for_room() -> None:
    candidates = [Candidate("a", 1, memory=6), Candidate("b", 2, memory=6), Candidate("c", 3, memory=1)]
    turns = Turns(candidates, Limits(3, 10, PLENTY, memory_is_set=True))
    assert [took(turns), took(turns)] == ["a", None]
    turns.ended("a")
    assert [took(turns), took(turns)] == ["b", "c"]


def test_what_will_never_fit_is_refused_once_nothing_runs_and_the_others_go_on() -> None:
    candidates = [Candidate("his", memory=20), Candidate("emr", after=after("his"), memory=1)]
    turns = Turns(candidates, Limits(2, 10, PLENTY, memory_is_set=True))
    assert took(turns) is None
    refused = turns.refuse()
    assert refused is not None and refused.name == "his"
    assert took(turns) == "emr"


def test_a_guess_at_the_memory_keeps_nobody_from_being_played_alone() -> None:
    candidates = [Candidate("a", memory=20), Candidate("b", memory=20)]
    turns = Turns(candidates, Limits(2, 10, PLENTY))
    assert [took(turns), took(turns)] == ["a", None]
    assert turns.refuse() is None
    turns.ended("a")
    assert took(turns) == "b"


def test_systems_that_stay_up_keep_their_room() -> None:
    candidates = [Candidate("a", disk=6), Candidate("b", disk=6)]
    turns = Turns(candidates, Limits(2, PLENTY, 10), holds=True)
    assert took(turns) == "a"
    turns.ended("a")
    assert took(turns) is None
    refused = turns.refuse()
    assert refused is not None and refused.name == "b"


def took(turns: Turns) -> str | None:
    taken = turns.take()
    return None if taken is None else taken.name


@st.composite
def hospitals(draw: st.DrawFn) -> list[Candidate]:
    """Systems that depend only on those before them in the list."""
    count = draw(st.integers(1, 8))
    made: list[Candidate] = []
    for number in range(count):
        needs = draw(st.sets(st.sampled_from([each.name for each in made]))) if made else set()
        sizes = [draw(st.integers(0, 12)) for _ in range(3)]
        made.append(Candidate(f"s{number}", draw(st.integers(1, 3)), frozenset(needs), *sizes))
    return draw(st.permutations(made))


@given(
    hospitals(), st.integers(1, 4), st.integers(1, 15), st.integers(1, 15), st.booleans(), st.booleans(), st.randoms()
)
def test_no_limit_is_ever_exceeded_and_everybody_has_a_turn_or_is_refused(
    candidates: list[Candidate], parallel: int, memory: int, disk: int, is_set: bool, holds: bool, chance: Random
) -> None:
    turns = Turns(candidates, Limits(parallel, memory, disk, is_set), holds=holds)
    running: dict[str, Candidate] = {}
    held: list[Candidate] = []
    there: set[str] = set()
    refused, done = set(), set()
    while turns.waiting or turns.running:
        if (taken := turns.take()) is not None:
            assert taken.after <= there
            running[taken.name] = taken
            up = [*running.values(), *held]
            assert len(running) <= parallel
            assert sum(each.disk for each in up) <= disk
            assert sum(each.memory for each in up) <= memory or (not is_set and len(running) == 1)
        elif (never := turns.refuse()) is not None:
            assert not running
            assert never.disk + sum(each.disk for each in held) > disk or is_set
            refused.add(never.name)
            there.add(never.name)
        else:
            # nobody may begin and nobody was refused: then somebody is at work
            name = chance.choice(sorted(running))
            if name in there or chance.random() < 0.5:
                gone = running.pop(name)
                held += [gone] if holds else []
                turns.ended(name)
                done.add(name)
            else:
                turns.usable(name)
            there.add(name)
    assert done | refused == {each.name for each in candidates}
    assert not done & refused
