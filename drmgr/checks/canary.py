"""Level 4: what was planted to stay as it is, a row or a file, came back byte for byte."""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import CheckResult, CheckStatus, Instance, Level, Restored, Text

TOKEN_DIGITS = 40


def token_of(key: bytes, system: str, source: str) -> str:
    """What is planted in that source: known to whoever holds the site's key, and to nobody else before it is planted."""
    message = f"canary\n{system}\n{source}".encode()
    return f"drmgr-canary-{hmac.new(key, message, hashlib.sha256).hexdigest()[:TOKEN_DIGITS]}"


class Perch(Protocol):
    """Where a canary sits."""

    def digest(self, of: Instance) -> str | None:
        """The SHA-256 of what is there; None when nothing is. Raises SourceError when it cannot be looked at."""


@dataclass(frozen=True)
class RowPerch:
    """One value of one row. All names are plain words, so that no engine needs quotes for them."""

    engine: SqlEngine
    table: str
    key_column: str
    key: int
    column: str

    @property
    def sql(self) -> str:
        return f"SELECT {self.column} FROM {self.table} WHERE {self.key_column} = {self.key}"  # noqa: S608

    def digest(self, of: Instance) -> str | None:
        rows = [row for row, _ in zip(self.engine.rows(of, self.sql), range(2), strict=False)]
        if len(rows) != 1 or rows[0][0] is None:
            return None
        return hashlib.sha256(str(rows[0][0]).encode()).hexdigest()


@dataclass(frozen=True)
class FilePerch:
    """One file; ``path`` is relative to the tree's root."""

    path: str

    def digest(self, of: Instance) -> str | None:
        if of.path is None:
            raise SourceError("this instance is not a folder")
        root = Path(os.path.realpath(of.path))
        file = Path(os.path.realpath(root / self.path))
        # a link may lead out, to production
        if not file.is_relative_to(root) or not file.is_file():
            return None
        try:
            with file.open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"the canary cannot be read: {error.strerror}") from error


class CanaryCheck:
    """Fails when the canary is missing or not what was planted."""

    level = Level.BUSINESS

    def __init__(self, source: str, perch: Perch, expected: Callable[[], str]) -> None:
        self.name = f"canary-{source}"
        self._source = source
        self._perch = perch
        self._expected = expected

    def run(self, restored: Restored) -> CheckResult:
        message, found, expected = "", None, self._expected()
        try:
            found = self._perch.digest(restored.instance(self._source))
        except SourceError as error:
            # the source opens, that is proven before: what cannot be read of it is not there
            message = error.message
        sound = found == expected
        message = message or ("" if sound else "the canary is not there" if found is None else "the canary has changed")
        status = CheckStatus.PASS if sound else CheckStatus.FAIL
        title = Text("金丝雀数据逐字节一致", "the canary is what was planted, byte for byte")
        result = CheckResult(self.name, status, self.level, expected, found, source=self._source, title=title)
        return replace(result, message=message, carries=False)


@dataclass(frozen=True)
class LiveCanary:
    """Implements interfaces.Canary: the same canary in the living source, which ``of`` gives."""

    source: str
    perch: Perch
    expected: Callable[[], str]
    of: Callable[[], Instance]

    def sound(self) -> bool:
        try:
            return self.perch.digest(self.of()) == self.expected()
        except (SourceError, PreflightError):
            return False
