"""Recovery points as JSON: nothing is lost on the way, nothing malformed gets in."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.model import ChainHead, Change, Doubt, DoubtKind, Facts, Judgement, Member, Part, PointStatus, RecoveryPoint
from drmgr.model_json import point_from_json, point_to_json

words = st.text(max_size=12)
counts = st.integers(min_value=0, max_value=2**62)
seconds = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=offsets)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
facts = st.builds(
    Facts,
    engine=words,
    taken_at=instants,
    groups=st.dictionaries(words, st.dictionaries(words, json_values, max_size=3), max_size=3),
    seconds=seconds,
)
changes = st.builds(Change, new=counts, changed=counts, unmodified=counts, added=counts)
parts = st.builds(
    Part,
    name=words,
    snapshot=words,
    files=counts,
    bytes=counts,
    bytes_added=counts,
    seconds=seconds,
    change=st.none() | changes,
)
doubts = st.builds(
    Doubt,
    source=words,
    kind=st.sampled_from(DoubtKind),
    since=words,
    subject=words,
    figures=st.dictionaries(words, seconds, max_size=3),
)
judgements = st.builds(
    Judgement,
    compared=st.dictionaries(words, counts, max_size=3),
    enough=counts,
    doubts=st.lists(doubts, max_size=2).map(tuple),
    canaries=st.dictionaries(words, st.booleans(), max_size=3),
)
members = st.builds(
    Member,
    source=words,
    engine=words,
    consistent_at=instants,
    parts=st.lists(parts, min_size=1, max_size=2).map(tuple),
    facts=facts,
    complete=st.booleans(),
    unreadable=counts,
    seconds=seconds,
    seen_until=st.none() | instants,
    connection=words,
    versions=st.dictionaries(words, words, max_size=3),
)
points = st.builds(
    RecoveryPoint,
    id=words,
    system=words,
    run=words,
    created_at=instants,
    consistent_at=instants,
    status=st.sampled_from(PointStatus),
    members=st.lists(members, min_size=1, max_size=2).map(tuple),
    tools=st.dictionaries(words, words, max_size=3),
    host=words,
    judgement=st.none() | judgements,
    evidence=st.none() | st.builds(ChainHead, sequence=counts, sha256=words),
)


@given(points)
def test_a_point_comes_back_as_it_was(point: RecoveryPoint) -> None:
    back = point_from_json(json.loads(json.dumps(point_to_json(point))))
    assert back == point
    assert back.created_at.utcoffset() == point.created_at.utcoffset()


def sample() -> dict[str, Any]:
    at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    part = Part("dump", "0f" * 32, 1, 4096)
    member = Member("db", "postgresql", at, (part,), Facts("postgresql", at, {"tables": {"public.a": {"rows": 3}}}))
    point = RecoveryPoint("P1", "his", "R1", at, at, PointStatus.COMPLETE, (member,), {"restic": "0.18.0"}, "backup01")
    document: dict[str, Any] = json.loads(json.dumps(point_to_json(point)))
    return document


def paths(value: object, so_far: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The place of every field that the document's own form defines (not what lies inside groups and tools)."""
    if so_far and so_far[-1] in {"groups", "tools"}:
        return []
    found: list[tuple[str | int, ...]] = []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in children:
        place = (*so_far, name)
        found += [place, *paths(inner, place)]
    return found


def parent(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document


@pytest.mark.parametrize("path", [path for path in paths(sample()) if isinstance(path[-1], str)], ids=str)
def test_each_field_is_needed_and_of_one_type(path: tuple[str | int, ...]) -> None:
    missing = sample()
    del parent(missing, path)[path[-1]]
    with pytest.raises(ValueError, match=rf"{path[-1]} is missing"):
        point_from_json(missing)
    wrong = sample()
    parent(wrong, path)[path[-1]] = None
    with pytest.raises(ValueError, match=rf"{path[-1]}|schema"):
        point_from_json(wrong)


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        parent(document, path)[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("schema", value="drmgr/recovery-point/2"), "recovery-point/2"),
        (put("more", value=1), "more is not known"),
        (put("members", 0, "parts", 0, "more", value=1), r"members\[0\]\.parts\[0\]\.more is not known"),
        (put("created_at", value="2026-11-22T08:00:00"), "created_at must be a time with its offset"),
        (put("created_at", value="yesterday"), "created_at must be a time"),
        (put("status", value="broken"), "status must be one of"),
        (put("members", value=[]), "members must be a list that is not empty"),
        (put("members", 0, "parts", value=[]), "parts must be a list that is not empty"),
        (put("members", 0, "parts", 0, "bytes", value=True), "bytes must be a whole number"),
        (put("members", 0, "parts", 0, "bytes", value=-1), "bytes must be a whole number"),
        (put("members", 0, "parts", 0, "bytes", value=float("inf")), "bytes must be a whole number"),
        (put("members", 0, "seconds", value=float("nan")), "seconds must be a number"),
        (put("members", 0, "complete", value=1), "complete must be true or false"),
        (put("members", 0, "facts", "groups", "tables", value=[]), "groups.tables must be an object"),
        (put("tools", "restic", value=18), "tools must be an object of texts"),
    ],
)
def test_what_is_malformed_is_named(change: Callable[[dict[str, Any]], None], message: str) -> None:
    document = copy.deepcopy(sample())
    change(document)
    with pytest.raises(ValueError, match=message):
        point_from_json(document)


@pytest.mark.parametrize("document", [None, [], "text", 7])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="recovery point must be an object"):
        point_from_json(document)
