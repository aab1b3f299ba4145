"""What happens in a SQL Server database between recovery points: its log backups, one after the other without a gap."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.capture import SHIPPED, chain_name, has_log
from drmgr.engines.sqlserver.connection import Endpoint, opened, told
from drmgr.engines.sqlserver.engine import SqlServerEngine
from drmgr.engines.sqlserver.headers import LOG, Header, read_header
from drmgr.engines.sqlserver.take import Options, left_by, remove_file, take
from drmgr.errors import DrmgrError, PreflightError, SourceError, SpoolFullError
from drmgr.model import Instance, LogBatch, LogFile, Member, RecoveryTarget
from drmgr.system.files import sync_directory, write_atomically
from drmgr.system.mssql import Complaint, Session
from drmgr.system.mssql_access import Handover

WAITING, ABOUT, STATE = "waiting", "about", "state.json"
NO_BACKUP = frozenset({3241, 3242, 3243, 3254})
"""The server's words for a file that holds no whole backup."""

POSITION = re.compile(r"lsn:([0-9]{1,25})")


@dataclass(frozen=True)
class _Last:
    """Where the last log that was received ended."""

    chain: str
    last: int


class SqlServerLogShipper:
    """See interfaces.LogShipper. Log backups are taken by nobody else: two who take them make gaps for each other.

    The server gives each piece of its log away once. So a log's file is let go of only when it is durable in the spool,
    and what a killed call left in the shared place is taken up by the next one.
    """

    def __init__(self, engine: SqlServerEngine) -> None:
        self._plan = engine.plan

    def receive(self, spool: Path) -> DrmgrError | None:
        endpoint = self._plan.endpoint
        self._refuse_without_log(endpoint)
        for folder in (self.files(spool), spool / ABOUT):
            folder.mkdir(mode=0o700, exist_ok=True)
        problems = [self._take_up(spool, header) for header in self._left_behind()]
        options = Options(self._plan.options.compression)
        problems.append(self._take_up(spool, take(endpoint, LOG, self._plan.prefix(SHIPPED), options)))
        return next((problem for problem in problems if problem is not None), None)

    def waiting(self, spool: Path) -> tuple[LogBatch, ...]:
        folder, about = self.files(spool), spool / ABOUT
        for described in about.glob("*.json"):
            if not (folder / described.stem).exists():
                described.unlink()
        # one batch a log: the next one need not follow it
        return tuple(_batch(path, about / f"{path.name}.json") for path in sorted(folder.glob("*.trn")))

    def files(self, spool: Path) -> Path:
        return spool / WAITING

    def position(self, text: str) -> int | None:
        found = POSITION.fullmatch(text)
        return None if found is None else int(found[1])

    def position_text(self, position: int) -> str:
        return f"lsn:{position}"

    def locate(self, name: str, marks: Mapping[str, int]) -> int | None:
        return marks.get(name)

    def replay(self, member: Member, restored: Path, into: Instance, target: RecoveryTarget) -> str:
        # the logs were restored with the database, and the server said where it stopped
        return "the server stopped at it"

    def _left_behind(self) -> list[Header]:
        """Whole logs of ours that still lie in the shared place, the oldest first."""
        endpoint, found = self._plan.endpoint, []
        share, left = endpoint.access.share, left_by(endpoint, self._plan.prefix(SHIPPED))
        for name in left.halves:
            remove_file(endpoint, name)
        for name in left.files:
            with opened(endpoint) as session, told(f"the log {name}, left by an earlier call, could not be read"):
                if not _whole(session, share, name):
                    # broken off by the server, which then still has what was to be in it
                    remove_file(endpoint, name)
                    continue
                found.append(read_header(session, share, name))
        return sorted(found, key=lambda header: header.first)

    def _take_up(self, spool: Path, header: Header) -> SourceError | None:
        """Moves the log into the spool and gives what is missing before it."""
        before, chain = _read_state(spool), chain_name(header.family, header.fork)
        _keep(self._plan.endpoint, header, self.files(spool), spool / ABOUT)
        write_atomically(spool / STATE, json.dumps({"chain": chain, "last": str(header.last)}).encode())
        return self._gap(before, header)

    def _refuse_without_log(self, endpoint: Endpoint) -> None:
        with opened(endpoint, PreflightError) as session, told("the database could not be looked at", PreflightError):
            found = session.rows(statements.database(endpoint.database))
        if not found:
            raise PreflightError(f"there is no database {endpoint.database}")
        if not has_log(found[0]):
            raise PreflightError(
                f"the database {endpoint.database} is in the simple recovery model and has no log to ship",
                hint="set its recovery model to FULL and make a recovery point, or set ship_logs to false",
            )
        if found[0]["is_preferred"] == 0:
            raise PreflightError(
                f"this replica is not the one that the availability group of {endpoint.database} prefers for backups",
                hint="name the preferred replica as the connection's host",
            )

    def _gap(self, before: _Last | None, header: Header) -> SourceError | None:
        """What is missing between the last log and this one, and who took it."""
        if before is None or (before.chain == chain_name(header.family, header.fork) and header.first <= before.last):
            return None
        name = self._plan.endpoint.database
        if before.chain != chain_name(header.family, header.fork):
            return SourceError(
                f"the database {name} was restored to an earlier time since the last log, and has begun another life",
                hint="make a recovery point now: times after it can be restored again",
            )
        with opened(self._plan.endpoint) as session, told("the history of backups could not be read"):
            others = session.rows(statements.log_backups_between(name, before.last, header.first))
        who = (
            ", ".join(f"{row['physical_device_name']} by {row['user_name']}" for row in others)
            or "nobody in msdb says who"
        )
        return SourceError(
            f"the log of {name} from {before.last} to {header.first} was backed up by somebody else: {who}",
            hint="stop the other log backups, and make a recovery point now: times after it can be restored again",
        )


def _whole(session: Session, share: Handover, name: str) -> bool:
    """Whether the server wrote the backup to its end. Raises Complaint when it cannot be known."""
    try:
        rows = session.rows(statements.header_only(share.device(name)))
    except Complaint as complaint:
        if complaint.number in NO_BACKUP:
            return False
        raise
    return bool(rows) and not str(rows[0]["BackupName"]).startswith("*** INCOMPLETE")


def _read_state(spool: Path) -> _Last | None:
    try:
        found = json.loads((spool / STATE).read_text(encoding="utf-8"))
        return _Last(str(found["chain"]), int(found["last"]))
    except (OSError, ValueError, KeyError):
        # without it a gap still shows in the numbers of what is stored
        return None


def _keep(endpoint: Endpoint, header: Header, folder: Path, about: Path) -> None:
    """Moves the log into the spool, durably. Raises SourceError, SpoolFullError; then it still lies in the shared place."""
    name = f"{header.first:025}-{header.last:025}.trn"
    share, fresh = endpoint.access.share, about / f".{name}"
    described = {
        "chain": chain_name(header.family, header.fork),
        "first": str(header.first),
        "last": str(header.last),
        "until": header.started.astimezone(UTC).isoformat(),
    }
    try:
        write_atomically(about / f"{name}.json", json.dumps(described).encode())
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            share.read(header.file, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / name)
        sync_directory(folder)
    except OSError as failure:
        fresh.unlink(missing_ok=True)
        kind = SpoolFullError if failure.errno == errno.ENOSPC else SourceError
        raise kind(
            f"the log {header.file} could not be kept: {failure.strerror}",
            hint=f"it still lies in {share.where}, and the next call takes it up: make room",
        ) from failure
    remove_file(endpoint, header.file)


def _batch(path: Path, described: Path) -> LogBatch:
    try:
        found = json.loads(described.read_text(encoding="utf-8"))
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        file = LogFile(path.name, path.stat().st_size, digest)
        first, last = int(found["first"]), int(found["last"])
        until = datetime.fromisoformat(found["until"])
    except (OSError, ValueError, KeyError) as failure:
        raise SourceError(f"the waiting log {path.name} cannot be read") from failure
    # a log goes up to, and not with, its last number
    return LogBatch(found["chain"], 1, first, last - 1, until, last - 1, {}, (file,))
