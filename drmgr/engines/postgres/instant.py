"""An instant that a view of the data and the log both know: a snapshot, and a restore point that a replay can stop at.

A snapshot shows the transactions that had ended for other sessions; a replay shows those whose commit was in the log.
The two agree when nothing began or ended around the restore point, and no commit was in the log already that the
snapshot did not show yet: neither since the backup began, which the log itself tells, nor before, when only a wait for
a synchronous standby can have hidden it so long. All of it is proven here, and tried again until it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import LiteralString

from ulid import ULID

from drmgr.engines.postgres.connection import Session, told
from drmgr.engines.postgres.facts import read_sequences
from drmgr.engines.postgres.wal import WalReader, parse_lsn
from drmgr.errors import SourceError
from drmgr.interfaces import Clock

PATIENCE_SECONDS = 60.0
PAUSES = (0.0, 0.001, 0.003, 0.01, 0.02)
"""Between tries, in seconds, over and over: a rhythm of its own would meet the same rhythm of the writers each time."""

_VIEW: LiteralString = "SELECT pg_catalog.statement_timestamp(), pg_catalog.pg_current_snapshot()::text"
_MARK: LiteralString = "SELECT pg_catalog.pg_create_restore_point(%s)::text"
_AGAIN: LiteralString = "SELECT pg_catalog.pg_current_snapshot()::text"
_STANDBYS: LiteralString = "SELECT pg_catalog.current_setting('synchronous_standby_names')"
_MAY_LOOK: LiteralString = "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
# one that ends what was prepared has no number of its own
_WAITING: LiteralString = """
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE wait_event = 'SyncRep' AND (backend_xid IS NULL OR backend_xid::text = ANY (%s))"""


@dataclass(frozen=True)
class Snapshot:
    """Which transactions a view shows, as PostgreSQL writes it: ``xmin:xmax:running``."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(xid) for xid in running.split(",") if xid))

    def shows(self, xid: int) -> bool:
        """Whether the view shows that transaction, whose number is the log's, cut to 32 bits."""
        distance = (xid - self.xmax) % 2**32
        full = self.xmax + (distance if distance < 2**31 else distance - 2**32)
        return full < self.xmin or (full < self.xmax and full not in self.running)


@dataclass(frozen=True)
class Instant:
    """The restore point, where it lies, what it took to get it, and the sequences as they were just before it."""

    name: str
    position: int
    at: datetime
    tries: int
    sequences: dict[str, int]


@dataclass(frozen=True)
class Bracket:
    """What the search needs. ``open_view`` begins a transaction whose first statement takes its snapshot.

    ``view`` is the session of that transaction, ``marker`` another one. ``flush`` brings the log into ``log`` up to the
    present. What was logged before ``since`` is of transactions with a smaller number than ``older``.
    """

    view: Session
    marker: Session
    open_view: Callable[[], None]
    flush: Callable[[], None]
    reader: WalReader
    log: Path
    timeline: int
    since: int
    older: int
    clock: Clock


def find_instant(bracket: Bracket) -> Instant:
    """Tries until the view and the log agree on a restore point; the view stays open. Raises SourceError."""
    deadline = bracket.clock.monotonic() + PATIENCE_SECONDS
    tries, last = 0, ""
    while bracket.clock.monotonic() < deadline:
        bracket.clock.sleep(PAUSES[tries % len(PAUSES)])
        tries += 1
        found, last = _try(bracket, tries)
        if found is not None:
            return found
        bracket.view.rollback()
    raise SourceError(
        f"no instant that the view and the log agree on was found in {tries} tries within {PATIENCE_SECONDS:.0f} s: {last}",
        hint="the server commits without a pause; back it up at a quieter time",
    )


def _try(bracket: Bracket, number: int) -> tuple[Instant | None, str]:
    name = f"drmgr-{ULID()}"
    with told("no snapshot of the database could be taken"):
        bracket.open_view()
        row = bracket.view.execute(_VIEW).fetchone()
        assert row is not None
        at, before = row
        sequences = read_sequences(bracket.view)
    snapshot = Snapshot.parse(before)
    with told("no restore point could be made"):
        hidden = _hidden(bracket, snapshot)
        position = _text(bracket.marker, _MARK, name) if not hidden else ""
        after = _text(bracket.marker, _AGAIN) if not hidden else ""
    if hidden:
        return None, hidden
    if before != after:
        return None, "transactions began or ended around the restore point"
    bracket.flush()
    end = parse_lsn(position)
    for ending in bracket.reader.endings(bracket.log, bracket.timeline, bracket.since, end):
        if ending.committed and not snapshot.shows(ending.xid):
            return None, "a commit was in the log before it could be seen"
    return Instant(name, end, at, number, sequences), ""


def _hidden(bracket: Bracket, snapshot: Snapshot) -> str:
    """Why a commit may be in the log from before ``since`` that cannot be seen yet; empty: there is none.

    Only one that waits for a synchronous standby stays so for as long as a backup takes to begin.
    """
    old = [str(xid % 2**32) for xid in snapshot.running if xid < bracket.older]
    if not old or not _text(bracket.marker, _STANDBYS):
        return ""
    if _text(bracket.marker, _MAY_LOOK) != "True":
        return (
            f"{len(old)} transactions are older than the backup, the server has synchronous standbys, and whether they "
            "wait for one cannot be seen without the role pg_read_all_stats"
        )
    row = bracket.marker.execute(_WAITING, (old,)).fetchone()
    return "" if row == (0,) else "a commit from before the backup waits for a synchronous standby"


def _text(session: Session, query: LiteralString, *values: str) -> str:
    row = session.execute(query, values).fetchone()
    assert row is not None
    return str(row[0])
