"""What a backup file says of itself: the only thing about it that is believed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from drmgr.engines.sqlserver import statements
from drmgr.errors import DrmgrError, SourceError
from drmgr.system.mssql import Session
from drmgr.system.mssql_access import Handover

FULL, LOG, DIFFERENTIAL = "full", "log", "differential"
KINDS: Mapping[int, str] = {1: FULL, 2: LOG, 5: DIFFERENTIAL}


@dataclass(frozen=True)
class Header:
    """The one backup in a file. ``first`` and ``last`` are log sequence numbers; a log goes from the one to before the other.

    ``started`` was read from the server's own clock just before the backup. ``base`` is the set that a differential
    builds upon. ``fork`` changes whenever the database is restored to an earlier time and goes another way from there.
    """

    file: str
    label: str
    kind: str
    database: str
    family: str
    fork: str
    first: int
    last: int
    checkpoint: int
    started: datetime
    set_id: str
    base: str
    version: int
    size: int
    sound: bool
    copy_only: bool


def read_header(session: Session, share: Handover, name: str, error: type[DrmgrError] = SourceError) -> Header:
    """The header of the only backup in that file. Raises ``error`` when it is another; Complaint."""
    found = session.rows(statements.header_only(share.device(name)))
    if len(found) != 1:
        raise error(f"the file {name} holds {len(found)} backups where one was to be")
    try:
        return header_of(name, found[0])
    except (KeyError, TypeError, ValueError, ArithmeticError) as failure:
        raise error(f"the header of the backup {name} cannot be read") from failure


def header_of(name: str, row: Mapping[str, Any]) -> Header:
    """Raises KeyError, TypeError, ValueError for a row that is none."""
    return Header(
        file=name,
        label=str(row["BackupName"]),
        kind=KINDS[int(row["BackupType"])],
        database=str(row["DatabaseName"]),
        family=str(row["FamilyGUID"]).lower(),
        fork=str(row["RecoveryForkID"]).lower(),
        first=int(row["FirstLSN"]),
        last=int(row["LastLSN"]),
        checkpoint=int(row["CheckpointLSN"]),
        started=started_of(row["BackupDescription"]),
        set_id=str(row["BackupSetGUID"]).lower(),
        base=str(row["DifferentialBaseGUID"] or "").lower(),
        version=int(row["SoftwareVersionMajor"]),
        size=int(row["BackupSize"]),
        sound=bool(row["HasBackupChecksums"]) and not row["IsDamaged"],
        copy_only=bool(row["IsCopyOnly"]),
    )


def note_of(clock: Mapping[str, Any]) -> str:
    """What is written into the description: the header's own dates are local, to the second, and do not say whose."""
    now: datetime = clock["utc_now"]
    return f"drmgr begun={now.isoformat(timespec='microseconds')} utc_offset_minutes={int(clock['utc_offset_minutes'])}"


_NOTE = re.compile(r"drmgr begun=(\S+) utc_offset_minutes=(-?\d+)")


def started_of(note: Any) -> datetime:
    """The instant, with the offset that the server's clock had from UTC. Raises ValueError for another's backup."""
    found = _NOTE.fullmatch(str(note or ""))
    if found is None:
        raise ValueError("not a backup that drmgr made")
    offset = timezone(timedelta(minutes=int(found[2])))
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC).astimezone(offset)
