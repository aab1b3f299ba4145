"""Durations go round; secret references are read strictly and never quote what they refuse."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.config.values import SecretRef, format_duration, format_size, parse_duration, parse_size


@given(st.integers(min_value=1, max_value=99_999 * 86400))
def test_every_span_goes_to_text_and_back(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d0h1s", 86401)]
)
def test_durations_that_people_write(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@given(st.integers(min_value=1, max_value=9_999_999))
def test_every_size_goes_to_text_and_back(mebibytes: int) -> None:
    assert parse_size(format_size(mebibytes * 1024**2)) == mebibytes * 1024**2


@pytest.mark.parametrize("text", ["", "8", "8GB", "8 gib", "0GiB", "-1GiB", "1.5GiB", "8GiB\n", "٣GiB", "8  GiB"])
def test_sizes_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1.5h", "-1h", "30m1h", "1w", "5M", "1h\n", "0s", "0d0h", "٣m"])
def test_durations_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|zero"):
        parse_duration(text)


@given(st.text(alphabet="0123456789dhms ", max_size=12))
def test_reading_a_duration_ends_in_a_span_or_a_value_error(text: str) -> None:
    try:
        span = parse_duration(text)
    except ValueError:
        return
    assert parse_duration(format_duration(span)) == span > timedelta(0)


@pytest.mark.parametrize(
    "text", ["env:DRMGR_X", "file:secrets/a b", "file:/etc/drmgr/p", "keystore:catalog-url", "keystore:a/b"]
)
def test_a_reference_prints_as_it_was_written(text: str) -> None:
    ref = SecretRef.parse(text)
    assert str(ref) == text
    assert (ref.scheme, ref.name) == tuple(text.split(":", 1))


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "env:",
        "env:1A",
        "env:A B",
        "file:",
        "file: x",
        "file:a\nb",
        "keystore:../x",
        "keystore:a/../b",
        "vault:x",
        "ENV:hunter2",
    ],
)
def test_what_is_no_reference_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="must be a reference") as caught:
        SecretRef.parse(text)
    assert "hunter2" not in str(caught.value)
