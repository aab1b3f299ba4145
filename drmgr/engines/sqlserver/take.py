"""Taking one backup, and believing in it only when its file proves it."""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.connection import Endpoint, clock_of, opened, told
from drmgr.engines.sqlserver.headers import DIFFERENTIAL, FULL, LOG, Header, note_of, read_header
from drmgr.errors import DrmgrError, SourceError
from drmgr.interfaces import Progress
from drmgr.system.mssql import act

ENDINGS = {FULL: "bak", DIFFERENTIAL: "dif", LOG: "trn"}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Options:
    """How backups are written."""

    compression: bool = False
    copy_only: bool = False

    def words(self) -> tuple[str, ...]:
        return (*(("COPY_ONLY",) if self.copy_only else ()), "COMPRESSION" if self.compression else "NO_COMPRESSION")


def silent(_share: float, _word: str) -> None:
    """No progress is shown."""


def take(
    endpoint: Endpoint, kind: str, prefix: str, options: Options, progress: Progress = silent, *, verified: bool = True
) -> Header:
    """One backup in the shared place, proven by its own header and by reading it once more. Raises SourceError.

    When it fails nothing is left in the folder, but for a log that the server may have given away with it.
    """
    share, label = endpoint.access.share, f"drmgr {secrets.token_hex(8)}"
    with opened(endpoint) as session, told("the server's clock could not be read"):
        clock = clock_of(session)
    name = _name(prefix, clock["utc_now"], kind, label)
    note = note_of(clock)
    statement = statements.backup(kind, endpoint.database, share.device(name), options.words(), label=label, note=note)
    try:
        with told(f"the {kind} backup of {endpoint.database} failed"):
            act(endpoint.server, statement, _percent(progress))
        return _proven(endpoint, name, kind, label, verified=verified)
    except BaseException:
        if kind != LOG or options.copy_only:
            remove_file(endpoint, name)
        raise


def _name(prefix: str, now: datetime, kind: str, label: str) -> str:
    return f"{prefix}-{now:%Y%m%dT%H%M%SZ}-{label[-8:]}.{ENDINGS[kind]}"


def prefix_of(label: str, endpoint: Endpoint) -> str:
    """How the files of one source begin: several sources, and several hosts, may share the place."""
    server = endpoint.server
    place = hashlib.sha256(f"{server.host}:{server.port}:{endpoint.database}".encode()).hexdigest()[:8]
    return f"drmgr-{_UNSAFE.sub('_', label)}-{place}"


def _percent(progress: Progress) -> Callable[[str], None]:
    def hear(text: str) -> None:
        found = re.match(r"(\d+) percent processed", text)
        if found:
            progress(min(1.0, int(found[1]) / 100), "backup")

    return hear


def _proven(endpoint: Endpoint, name: str, kind: str, label: str, *, verified: bool) -> Header:
    """The server's word is not enough: it may have broken the backup off, or written it elsewhere."""
    share = endpoint.access.share
    try:
        size = share.size(name)
    except OSError as failure:
        raise SourceError(
            f"the server says that the {kind} backup is done, but there is no file {name} in {share.where}",
            hint=share.hint,
        ) from failure
    with opened(endpoint) as session:
        with told(f"the header of the {kind} backup could not be read"):
            header = read_header(session, share, name)
        if (header.label, header.kind, header.database.lower()) != (label, kind, endpoint.database.lower()):
            raise SourceError(f"the file {name} does not hold the {kind} backup that was just made")
        if not header.sound or size == 0:
            raise SourceError(f"the {kind} backup in {name} is damaged")
    if verified:
        verify(endpoint, header)
    return header


def verify(endpoint: Endpoint, header: Header) -> None:
    """The server reads all of the file and its checksums. Raises SourceError."""
    statement = statements.verify_only(endpoint.access.share.device(header.file))
    with told(f"the {header.kind} backup {header.file} did not verify"):
        act(endpoint.server, statement, lambda _text: None)


@dataclass(frozen=True)
class Left:
    """Names of our files in the shared place, sorted: whole ones, and those that were begun and take up room unseen."""

    files: tuple[str, ...]
    halves: tuple[str, ...]


def left_by(endpoint: Endpoint, prefix: str) -> Left:
    """What lies there of the files with that prefix. Raises SourceError."""
    share = endpoint.access.share
    try:
        return Left(tuple(share.names(f"{prefix}-")), tuple(share.halves(f"{prefix}-")))
    except OSError as failure:
        raise SourceError(f"{share.where} cannot be listed: {failure.strerror}") from failure


def remove_file(endpoint: Endpoint, name: str, error: type[DrmgrError] = SourceError) -> None:
    """Removes one of our files from the shared place. Raises ``error``."""
    share = endpoint.access.share
    try:
        share.remove(name)
    except OSError as failure:
        raise error(
            f"the file {name} could not be removed from {share.where}: {failure.strerror}",
            hint="give drmgr's account the right to remove files in it",
        ) from failure
