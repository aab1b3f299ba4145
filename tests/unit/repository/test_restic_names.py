from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.errors import RepositoryError
from drmgr.repository.restic_names import ExactNames

names = st.lists(
    st.binary(min_size=1, max_size=6).filter(lambda name: b"\0" not in name).map(lambda name: b"/" + name), max_size=8
)


def as_json_tells(name: bytes) -> str:
    """One U+FFFD for each byte that is not UTF-8, as restic's JSON has it."""
    return "".join(
        "\ufffd" if "\udc80" <= mark <= "\udcff" else mark for mark in name.decode("utf-8", "surrogateescape")
    )


def by_line_feeds(paths: list[bytes]) -> Iterator[bytes]:
    """The listing with one path a line, as a pipe is read."""
    text = b"".join(path + b"\n" for path in paths)
    return iter([line + b"\n" for line in text.split(b"\n")[:-1]])


@given(names)
def test_every_name_comes_back_byte_by_byte(paths: list[bytes]) -> None:
    exact = ExactNames(lambda: by_line_feeds(paths))
    told = [exact.exact(as_json_tells(path)) for path in paths]
    assert [name.encode("utf-8", "surrogateescape") for name in told] == paths


@given(names)
def test_the_second_listing_is_started_once_and_only_for_an_unsure_name(paths: list[bytes]) -> None:
    asked: list[int] = []

    def plain() -> Iterator[bytes]:
        asked.append(1)
        return by_line_feeds(paths)

    exact = ExactNames(plain)
    for path in paths:
        exact.exact(as_json_tells(path))
    assert len(asked) == any("\ufffd" in as_json_tells(path) for path in paths)


@pytest.mark.parametrize(
    ("told", "listed"),
    [
        (["/a", "/\ufffd"], [b"/a"]),
        (["/a", "/b", "/\ufffd"], [b"/a"]),
        (["/a", "/\ufffd"], [b"/a", b"/b"]),
        (["/\ufffd", "/b"], [b"/\xb1", b"/c"]),
        (["/\ufffd"], [b"/\xb1\xb2"]),
        (["/\ufffd.txt"], [b"/\xb1.pdf"]),
    ],
)
def test_listings_that_disagree_are_not_guessed_at(told: list[str], listed: list[bytes]) -> None:
    exact = ExactNames(lambda: by_line_feeds(listed))

    def read() -> None:
        for name in told:
            exact.exact(name)

    with pytest.raises(RepositoryError, match="do not agree"):
        read()
