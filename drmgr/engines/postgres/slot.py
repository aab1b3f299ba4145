"""How a server's log stands with the slot that keeps it for us."""

from dataclasses import dataclass
from typing import LiteralString

from drmgr.engines.postgres.connection import Session, told
from drmgr.errors import PreflightError

_STATE: LiteralString = """
SELECT s.wal_status, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint
FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = %s"""

_KEEP: LiteralString = "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'"

_ARCHIVE: LiteralString = """
SELECT pg_catalog.current_setting('archive_mode') <> 'off'
  AND coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
FROM pg_catalog.pg_stat_archiver"""


@dataclass(frozen=True)
class SlotState:
    """``behind``: bytes of log that the server keeps for the slot. ``status`` is PostgreSQL's word; empty: no slot.

    ``keeps_at_most`` in MiB; None: without bound. ``archive_fails``: the server's own archiving does not come on, so the
    server keeps its log for that too.
    """

    name: str
    status: str
    behind: int
    keeps_at_most: int | None
    archive_fails: bool


def slot_state(session: Session, name: str) -> SlotState:
    """Raises PreflightError."""
    with told("the replication slot could not be looked at", PreflightError):
        row = session.execute(_STATE, (name,)).fetchone()
        keep = session.execute(_KEEP).fetchone()
        archive = session.execute(_ARCHIVE).fetchone()
    limit = int(keep[0]) if keep else -1
    status, behind = (str(row[0] or "lost"), int(row[1] or 0)) if row else ("", 0)
    return SlotState(name, status, behind, None if limit < 0 else limit, bool(archive and archive[0]))
