import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.errors import (
    DrmgrError,
    RepositoryAccessError,
    RepositoryDamagedError,
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    RepositoryUnreachableError,
    SourceError,
)
from drmgr.repository.restic_errors import fault, messages
from drmgr.repository.restic_output import (
    MessageReader,
    ignored_snapshots,
    json_line,
    nanoseconds,
    no_progress,
    snapshot_of,
    unreadable_items,
    vanished_items,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T08:00:00+08:00", 0),
        ("2026-11-22T19:37:26.076055663Z", 1795376246076055663),
        ("2026-11-23T03:37:26.076055663+08:00", 1795376246076055663),
        ("1970-01-01T00:00:00.5Z", 500_000_000),
        ("1969-12-31T23:59:59.25Z", -750_000_000),
        ("0000-12-31T00:00:00Z", -1),
    ],
)
def test_times_keep_their_nine_digits(text: str, value: int) -> None:
    assert nanoseconds(text) == value


@given(st.integers(min_value=0, max_value=4_000_000_000), st.integers(min_value=0, max_value=999_999_999))
def test_every_time_of_a_file_comes_back(seconds: int, rest: int) -> None:
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{rest:09d}".rstrip("0")
    assert nanoseconds(f"{whole}{'.' + digits if digits else ''}Z") == seconds * 1_000_000_000 + rest


def test_only_lines_that_are_objects_are_read() -> None:
    assert [json_line(line) for line in (b"words", b"[1]", b"", b"\xff", b'{"a":1}')] == [
        None,
        None,
        None,
        None,
        {"a": 1},
    ]


def test_progress_is_told_and_the_summary_kept() -> None:
    told: list[tuple[float, str]] = []
    reader = MessageReader(lambda share, word: told.append((share, word)), "dump")
    for line in (b"noise", b'{"message_type":"status","percent_done":0.5}', b'{"message_type":"status"}'):
        reader.take(line)
    assert reader.summary is None
    reader.take(b'{"message_type":"summary","snapshot_id":"ab"}')
    assert told == [(0.5, "dump"), (0.0, "dump")]
    assert vars(reader)["summary"] == {"message_type": "summary", "snapshot_id": "ab"}
    MessageReader(no_progress, "x").take(b'{"message_type":"status"}')


def test_a_snapshot_without_a_summary_counts_nothing() -> None:
    bare = snapshot_of({"id": "ab", "time": "2026-01-05T00:00:00.5Z", "tags": None, "summary": None})
    assert (bare.tags, bare.files, bare.bytes) == ((), 0, 0)


def test_a_childs_own_words_are_not_taken_for_unreadable_files() -> None:
    error = {"message_type": "error", "error": {"message": "permission denied"}, "during": "archival", "item": "/a"}
    stderr = "\n".join([json.dumps(error), 'subprocess pg_dump: {"item":"/b"}', '{"message_type":"exit_error"}'])
    assert unreadable_items(stderr) == ("/a",)
    assert vanished_items(stderr) == frozenset()


def test_files_that_vanished_are_told_from_those_that_may_not_be_read() -> None:
    texts = {"/a": "open /a: permission denied", "/b": "lstat /b: no such file or directory"}
    errors = ({"message_type": "error", "error": {"message": text}, "item": item} for item, text in texts.items())
    assert vanished_items("\n".join(map(json.dumps, errors))) == {"/b"}


def test_snapshots_that_restic_leaves_out_are_seen() -> None:
    name = "ab" * 32
    assert ignored_snapshots(f'Ignoring "{name}": could not load\nwords "{"cd" * 32}"') == (name,)


def said(message: str) -> str:
    return json.dumps({"message_type": "exit_error", "code": 1, "message": f"Fatal: {message}"})


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        (10, said("repository does not exist"), RepositoryMissingError),
        (11, said("unable to create lock"), RepositoryLockedError),
        (12, said("wrong password or no key found"), RepositoryAccessError),
        (1, said("ciphertext verification failed"), RepositoryDamagedError),
        (1, said("Load(<data/ab>) failed: The specified key does not exist."), RepositoryDamagedError),
        (1, said("The specified bucket does not exist."), RepositoryMissingError),
        (1, said("client.BucketExists: Access Denied."), RepositoryAccessError),
        (1, said("dial tcp 127.0.0.1:1: connect: connection refused"), RepositoryUnreachableError),
        (1, said("write /cache/x: no space left on device"), RepositoryError),
        (1, "subprocess pg_dump: pg_dump: error: gone\n" + said("command failed: exit status 1"), SourceError),
        (1, said("something nobody has seen yet"), RepositoryError),
        (2, "panic: runtime error", RepositoryError),
        (-9, "", RepositoryError),
        (130, "", RepositoryError),
    ],
)
def test_what_restic_says_becomes_the_error_that_fits(code: int, stderr: str, kind: type[DrmgrError]) -> None:
    error = fault("act", code, stderr)
    assert type(error) is kind
    assert error.message.startswith("act: ")
    assert len(error.message) < 400


def test_messages_are_unpacked_whatever_they_come_in() -> None:
    nested = json.dumps({"message_type": "error", "error": {"message": "inner"}})
    assert list(messages(f"{nested}\n[1]\nplain\n\n{said('outer')}\n{{}}")) == ["inner", "plain", "Fatal: outer"]
