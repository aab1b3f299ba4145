from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drmgr.checks.facts import MOST_NAMES, FactsCheck, compare
from drmgr.model import (
    CheckStatus,
    Facts,
    Instance,
    Json,
    Member,
    Objectives,
    Part,
    PointStatus,
    RecoveryPoint,
    Restored,
)
from tests.support.fakes import START, FakeClock, FakeEngine

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
groups = st.dictionaries(
    st.sampled_from(["tables", "roles", "files"]), st.dictionaries(st.text(max_size=3), values, max_size=4), max_size=3
)


def facts(found: dict[str, dict[str, Json]]) -> Facts:
    return Facts("fake", datetime(2026, 1, 5, tzinfo=UTC), found)


@given(groups)
def test_equal_facts_hold_unless_there_are_none(found: dict[str, dict[str, Json]]) -> None:
    result = compare(facts(found), facts(deepcopy(found)))
    assert result.differing == ()
    assert result.equal == result.items
    assert result.holds is any(found.values())


@given(groups, st.data())
def test_any_one_item_lost_added_or_changed_is_a_difference(
    found: dict[str, dict[str, Json]], data: st.DataObject
) -> None:
    places = [(group, name) for group, items in found.items() for name in items]
    assume(places)
    group, name = data.draw(st.sampled_from(places))
    other = deepcopy(found)
    act = data.draw(st.sampled_from(["lose", "add", "change"]))
    if act == "lose":
        del other[group][name]
    elif act == "add":
        name += "+new"
        other[group][name] = 1
    else:
        other[group][name] = {"was": found[group][name]}
    for before, now in ((found, other), (other, found)):
        result = compare(facts(before), facts(now))
        assert not result.holds
        assert result.differing == (f"{group} {name}",)
        assert result.items[group] == result.equal[group] + 1


def test_a_whole_group_that_one_side_lacks_is_a_difference() -> None:
    assert compare(facts({"roles": {"a": 1}, "tables": {"t": 1}}), facts({"roles": {"a": 1}})).differing == (
        "tables t",
    )


@pytest.mark.parametrize(
    ("low", "high", "now", "holds"),
    [
        (5, 9, 5, True),
        (5, 9, 9, True),
        (5, 9, 4, False),
        (5, 9, 10, False),
        (-9, -5, -7, True),
        (2**62, 2**62, 2**62, True),
    ],
)
def test_a_sequence_may_lie_where_it_was_during_the_dump(low: int, high: int, now: int, *, holds: bool) -> None:
    stored, found = {"sequences": {"s": {"low": low, "high": high}}}, {"sequences": {"s": {"low": now, "high": now}}}
    assert compare(facts(stored), facts(found)).holds is holds


def restored(stored: Facts) -> Restored:
    member = Member("main", "fake", START, (Part("p", "s", 1, 1),), stored)
    point = RecoveryPoint("P", "his", "R", START, START, PointStatus.COMPLETE, (member,), {}, "host")
    return Restored(point, {"main": Instance("fake")}, Objectives(START - START, START - START))


class Answering(FakeEngine):
    """Finds the same facts, whatever it looks at."""

    def __init__(self, found: Facts) -> None:
        super().__init__(Path("unused"), FakeClock())
        self._found = found

    def facts(self, of: Instance, like: Facts) -> Facts:
        return self._found


def test_the_check_counts_by_group_and_names_some() -> None:
    names = [f"t{number:02d}" for number in range(MOST_NAMES + 3)]
    stored = facts({"tables": {**dict.fromkeys(names, 1), "u": 1}, "roles": {"a": 1}})
    found = facts({"tables": {**dict.fromkeys(names, 2), "u": 1}, "roles": {"a": 1}})
    result = FactsCheck("main", Answering(found)).run(restored(stored))
    assert result.status is CheckStatus.FAIL
    assert result.expected == {"roles": 1, "tables": MOST_NAMES + 4}
    assert result.actual == {"roles": 1, "tables": 1}
    assert result.message.count("tables t") == MOST_NAMES
    assert result.message.endswith("and 3 more")


@pytest.mark.parametrize(("stored", "status"), [({"t": {"a": 1}}, CheckStatus.PASS), ({"t": {}}, CheckStatus.FAIL)])
def test_facts_about_nothing_do_not_pass(stored: dict[str, dict[str, Json]], status: CheckStatus) -> None:
    result = FactsCheck("main", Answering(facts(deepcopy(stored)))).run(restored(facts(stored)))
    assert (result.name, result.status, int(result.level)) == ("facts-main", status, 3)


@pytest.mark.parametrize(
    ("group", "item", "status", "message"),
    [
        ("files", {"count": 9, "hashed": 9, "moving": 0}, CheckStatus.PASS, ""),
        ("files", {"count": 20, "hashed": 18, "moving": 2}, CheckStatus.PASS, "18 of 20 files; 2 changed"),
        ("files", {"count": 20, "hashed": 17, "moving": 3}, CheckStatus.FAIL, "more than 10% of the files changed"),
        ("files", {"count": 1000, "hashed": 1, "moving": 0}, CheckStatus.FAIL, "this point was made by samples"),
        ("files", {"count": 1000, "hashed": 1, "moving": 999}, CheckStatus.FAIL, "1 of 1000 files; 999 changed"),
        ("files", {"count": 9, "hashed": 0, "moving": 9}, CheckStatus.FAIL, "0 of 9 files; 9 changed"),
        ("tables", {"a": {"rows": 1}, "b": {"rows": 2}}, CheckStatus.PASS, "not compared of 2 tables"),
        ("tables", {"a": {"rows": 1, "fingerprint": "f"}}, CheckStatus.PASS, ""),
    ],
)
def test_content_that_was_not_compared_is_told(
    group: str, item: dict[str, Json], status: CheckStatus, message: str
) -> None:
    stored = facts({group: item})
    result = FactsCheck("main", Answering(stored)).run(restored(stored))
    assert result.status is status
    assert message in result.message and bool(message) is bool(result.message)


@pytest.mark.parametrize(
    ("known", "moving", "status"),
    [(60, 0, CheckStatus.PASS), (0, 0, CheckStatus.FAIL), (60, 100, CheckStatus.PASS), (60, 101, CheckStatus.FAIL)],
)
def test_samples_pass_where_the_job_asks_for_them_and_the_title_says_how_many(
    known: int, moving: int, status: CheckStatus
) -> None:
    stored = facts({"files": {"count": 1000, "hashed": known, "moving": moving}})
    result = FactsCheck("main", Answering(stored), sampled=True).run(restored(stored))
    assert result.status is status
    assert result.title is not None
    assert (
        f"1000 个文件中比对了 {known} 个" in result.title.zh
        and f"of 1000 files the contents of {known}" in result.title.en
    )
    assert (result.expected["contents_compared"], result.actual["contents_compared"]) == (1000, known)
