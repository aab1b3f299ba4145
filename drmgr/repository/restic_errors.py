"""What restic's exit code and messages mean, as one of our errors."""

import json
from collections.abc import Iterator

from drmgr.errors import (
    RepositoryAccessError,
    RepositoryDamagedError,
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    RepositoryUnreachableError,
    SourceError,
)

# Exit codes as restic documents them since 0.17
INCOMPLETE = 3
NO_REPOSITORY = 10
LOCKED = 11
WRONG_PASSWORD = 12

_BY_CODE: dict[int, tuple[type[RepositoryError], str]] = {
    NO_REPOSITORY: (RepositoryMissingError, "there is no repository at this place"),
    LOCKED: (RepositoryLockedError, "the repository is locked by another restic"),
    WRONG_PASSWORD: (RepositoryAccessError, "the repository does not open with our password"),
}

# Looked for in this order: a damaged pack also makes requests fail, and an absent bucket also denies access
_BY_WORDS: tuple[tuple[type[RepositoryError], str, tuple[str, ...]], ...] = (
    (
        RepositoryDamagedError,
        "the repository returned data that is not what was stored",
        (
            "ciphertext verification failed",
            "does not match",
            "hash mismatch",
            "wrong hash",
            "invalid data returned",
            "is damaged",
            "not found in index",
            "not found in repository",
            "pack size",
            "truncated",
            "cannot decrypt",
            "invalid data",
            "decompressing blob",
            "no matching id found",
            "no snapshot found",
            "unexpected end of json",
            "file does not exist",
            "no such file or directory",
            "failed to find snapshot",
            "the specified key does not exist",
        ),
    ),
    (
        RepositoryMissingError,
        "the bucket is not there",
        ("the specified bucket does not exist", "nosuchbucket", "bucket does not exist"),
    ),
    (
        RepositoryAccessError,
        "the object store refused our keys",
        ("access denied", "accessdenied", "invalidaccesskeyid", "signaturedoesnotmatch", "access key id", "forbidden"),
    ),
    (
        RepositoryUnreachableError,
        "the object store does not answer",
        (
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "i/o timeout",
            "timeout",
            "dial tcp",
            "broken pipe",
            "server misbehaving",
            "unexpected eof",
            ": eof",
            "service unavailable",
            "internal error",
            "internalerror",
        ),
    ),
    (RepositoryError, "no space left where the repository or restic's cache is", ("no space left on device",)),
)


def messages(stderr: str) -> Iterator[str]:
    """The texts of restic's standard error: JSON messages unpacked, other lines as they are."""
    for line in stderr.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            if line.strip():
                yield line.strip()
            continue
        if not isinstance(document, dict):
            continue
        nested = document.get("error")
        text = nested.get("message") if isinstance(nested, dict) else document.get("message")
        if text:
            yield str(text)


def fault(action: str, code: int, stderr: str) -> RepositoryError | SourceError:
    """The error for a restic that ended with ``code`` while it was to do ``action``."""
    texts = list(messages(stderr))
    all_words = "\n".join(texts).lower()
    if "command failed" in all_words or "failed to start command" in all_words:
        return SourceError(f"{action}: the source's own program failed: {_program_words(texts)}")
    if code in _BY_CODE:
        kind, what = _BY_CODE[code]
        return kind(f"{action}: {what}")
    for kind, what, words in _BY_WORDS:
        if any(word in all_words for word in words):
            return kind(f"{action}: {what}")
    last = texts[-1] if texts else "it said nothing"
    return RepositoryError(f"{action}: restic ended with code {code}: {last[:300]}")


def _program_words(texts: list[str]) -> str:
    """The child's own last words; restic passes them on as lines 'subprocess NAME: …'."""
    said = [text.partition(": ")[2] for text in texts if text.startswith("subprocess ")]
    # after 'error:' lines pg_dump prints details that may quote data; the first line states the cause
    return (said[0] if said else texts[-1])[:200]
