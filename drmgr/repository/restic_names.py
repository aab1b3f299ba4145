"""Exact file names. restic's JSON puts U+FFFD where a name is not UTF-8 (GBK, say); its plain listing has the bytes."""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from drmgr.errors import RepositoryError

REPLACED = "\ufffd"
"""Stands in JSON for one byte that is not UTF-8, unless the name really holds this character."""


class ExactNames:
    """Reads the two listings of one snapshot side by side.

    ``plain`` starts the listing that has one path a line; it is asked for only when the first unsure name turns up.
    """

    def __init__(self, plain: Callable[[], Iterator[bytes]]) -> None:
        self._plain = plain
        self._lines: Iterator[bytes] | None = None
        self._passed = 0

    def exact(self, told: str) -> str:
        """The exact path for what the JSON listing tells; to be called for every node, in the listing's order.

        Bytes that are not UTF-8 come as lone surrogates (PEP 383). Raises RepositoryError when the listings disagree.
        """
        # a name may hold line feeds
        height = told.count("\n") + 1
        if self._lines is None and REPLACED not in told:
            self._passed += height
            return told
        if self._lines is None:
            self._lines = self._plain()
            skipped = sum(1 for _ in islice(self._lines, self._passed))
            if skipped != self._passed:
                raise _disagree()
        found = b"".join(islice(self._lines, height)).removesuffix(b"\n")
        if not _matches(told, found):
            raise _disagree()
        return found.decode("utf-8", "surrogateescape")


def _matches(told: str, found: bytes) -> bool:
    pieces = [re.escape(piece.encode("utf-8", "surrogateescape")) for piece in told.split(REPLACED)]
    one_byte_or_real = b"(?:" + re.escape(REPLACED.encode()) + rb"|[\x80-\xff])"
    return re.fullmatch(one_byte_or_real.join(pieces), found) is not None


def _disagree() -> RepositoryError:
    return RepositoryError(
        "restic's two listings of one snapshot do not agree, so that names that are not UTF-8 cannot be told",
        hint="please report it with restic's version",
    )
