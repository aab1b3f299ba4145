"""What drmgr remembers, in SQLite or PostgreSQL, by SQLAlchemy Core."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, Table, delete, func, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from ulid import ULID

from drmgr.errors import LockedError, PreflightError
from drmgr.interfaces import Clock
from drmgr.model import AuditHead, EvidenceEntry, Json, RecoveryPoint, Run, RunKind, RunStatus, Verdict
from drmgr.model_json import point_from_json, point_to_json
from drmgr.state.database import Database, open_database
from drmgr.state.marks import Marks
from drmgr.state.tables import audit_heads, evidence, expired, points, runs
from drmgr.system.process import ProcessIdentity, is_alive, this_process

LEFT_OPEN = {"code": "interrupted", "message": "the process that did this run is gone", "hint": ""}

GIVEN_UP = timedelta(days=7)
"""A run that another host opened, and whose process cannot be asked for from here, is taken for dead after this."""


class SqlCatalog:
    """The catalog of interfaces.Catalog. Every method raises PreflightError when the database cannot be used."""

    def __init__(self, database: Database, clock: Clock, process: ProcessIdentity) -> None:
        self._database = database
        self._clock = clock
        self._process = process
        self._marks = Marks(database.state_dir / "running")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def open_run(self, kind: RunKind, system: str) -> Run:
        """Records the intent, durably, before anything acts; also marks what dead processes left open."""
        self.interrupt_leftovers()
        now = self._clock.now()
        run = Run(id=str(ULID.from_datetime(now)), kind=kind, system=system, status=RunStatus.RUNNING, started_at=now)
        # before the row: an open run without a mark is one of another state folder
        self._marks.set(run.id)
        with self._database.writing() as connection:
            connection.execute(
                runs.insert().values(
                    id=run.id,
                    kind=kind.value,
                    system=system,
                    status=run.status.value,
                    started_at=to_text(now),
                    detail="{}",
                    host=self._process.host,
                    pid=self._process.pid,
                    process_started=self._process.started,
                )
            )
        return run

    def close_run(
        self, run: str, status: RunStatus, detail: Mapping[str, Json], error: Mapping[str, Json] | None = None
    ) -> Run:
        """Records how the run ended.

        Raises PreflightError for a run that is not known or not open any more, ValueError for the status ``running``.
        """
        if status is RunStatus.RUNNING:
            raise ValueError("a run cannot be closed as running")
        with self._database.writing() as connection:
            closed = self._end_run(connection, run, status, detail, error)
            if closed is None:
                raise PreflightError(
                    f"the run {run} is not open in the catalog",
                    hint="the catalog was changed, moved or restored while the run was at work; see: drmgr doctor",
                )
        self._marks.clear(run)
        return closed

    @property
    def database(self) -> Database:
        """For the books that are kept in the same database."""
        return self._database

    def runs(
        self,
        system: str | None = None,
        kind: RunKind | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        decided: bool = False,
        limit: int | None = None,
    ) -> list[Run]:
        """Newest first; of one system, of one kind, and begun within a time, where they are given.

        ``decided``: only those that have ended and were not refused by a lock.
        """
        query = select(runs).order_by(runs.c.started_at.desc(), runs.c.number.desc()).limit(limit)
        if since is not None:
            query = query.where(runs.c.started_at >= to_text(since))
        if until is not None:
            query = query.where(runs.c.started_at <= to_text(until))
        if system is not None:
            query = query.where(runs.c.system == system)
        if kind is not None:
            query = query.where(runs.c.kind == kind.value)
        if decided:
            refused = runs.c.error.contains(f'"code": {json.dumps(LockedError.code)}', autoescape=True)
            query = query.where(runs.c.status != RunStatus.RUNNING.value, or_(runs.c.error.is_(None), not_(refused)))
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def open_runs(self) -> list[Run]:
        """Those that have not ended, newest first."""
        query = select(runs).where(runs.c.status == RunStatus.RUNNING.value).order_by(runs.c.started_at.desc())
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def interrupt_leftovers(self) -> list[Run]:
        """Marks the runs that are still ``running`` though their process is gone; gives back those it marked.

        Whoever opened it: a host that was renamed, or that took the state folder over, judges by the run's own mark. A run of
        another state folder, as two hosts with one catalog have them, counts as dead only after GIVEN_UP.
        """
        query = select(runs).where(runs.c.status == RunStatus.RUNNING.value)
        with self._database.reading() as connection:
            open_runs = connection.execute(query).all()
        dead = [row.id for row in open_runs if not self._lives(row)]
        if not dead:
            return []
        with self._database.writing() as connection:
            ended = [self._end_run(connection, run, RunStatus.INTERRUPTED, {}, LEFT_OPEN) for run in dead]
        for run in dead:
            self._marks.clear(run)
        return [run for run in ended if run is not None]

    def _lives(self, row: Row[Any]) -> bool:
        identity = ProcessIdentity(row.host, row.pid, row.process_started)
        if row.host == self._process.host:
            return is_alive(identity)
        held = self._marks.held(row.id)
        if held is not None:
            return held
        if self._database.dialect == "sqlite":
            # it lies in the state folder itself, so nobody else's runs are in it: one of an older drmgr, which made no marks
            return is_alive(identity)
        return self._clock.now() - datetime.fromisoformat(row.started_at) < GIVEN_UP

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        """Keeps a sealed point under the full id of its seal's snapshot; once more is the same as once."""
        values = {
            "id": point.id,
            "system": point.system,
            "created_at": to_text(point.created_at),
            "document": json.dumps(point_to_json(point)),
        }
        with self._database.writing() as connection:
            self.put(connection, points, {"seal": seal}, values)

    def point(self, seal: str) -> RecoveryPoint | None:
        """The point kept under that seal.

        None also when what is kept cannot be read by this drmgr: the caller then reads the seal, which is the truth.
        """
        with self._database.reading() as connection:
            document = connection.execute(select(points.c.document).where(points.c.seal == seal)).scalar()
        if document is None:
            return None
        try:
            return point_from_json(json.loads(document))
        except ValueError:
            return None

    def seals(self, system: str) -> dict[str, str]:
        """The points of that system that are remembered: seal → point's id, oldest first; without those that have expired."""
        gone = select(expired.c.seal).where(expired.c.place == "")
        query = (
            select(points.c.seal, points.c.id)
            .where(points.c.system == system, points.c.seal.not_in(gone))
            .order_by(points.c.created_at)
        )
        with self._database.reading() as connection:
            return {row.seal: row.id for row in connection.execute(query)}

    def first_points(self) -> dict[str, datetime]:
        """When the first recovery point of each system was made, as far back as is remembered, expired ones too."""
        query = select(points.c.system, func.min(points.c.created_at).label("first")).group_by(points.c.system)
        with self._database.reading() as connection:
            return {row.system: datetime.fromisoformat(row.first) for row in connection.execute(query)}

    def forget_points(self, system: str) -> None:
        """For a repository that is begun anew: it has none of them."""
        with self._database.writing() as connection:
            connection.execute(delete(points).where(points.c.system == system))

    def remember_evidence(self, entry: EvidenceEntry) -> None:
        """Keeps the entry; one with the same id is replaced."""
        values = {
            "run": entry.run,
            "sequence": entry.sequence,
            "name": entry.name,
            "verdict": entry.verdict.value,
            "sealed_at": to_text(entry.sealed_at),
            "path": entry.path,
            "sha256": entry.sha256,
        }
        with self._database.writing() as connection:
            self.put(connection, evidence, {"id": entry.id}, values)

    def evidence(self) -> list[EvidenceEntry]:
        """All entries in the order of their sequence."""
        with self._database.reading() as connection:
            rows = connection.execute(select(evidence).order_by(evidence.c.sequence, evidence.c.id)).all()
        return [_entry(row) for row in rows]

    def audit_head(self, host: str) -> AuditHead | None:
        """The newest line of that host's audit log, as it was remembered."""
        row = self._audit_row(host)
        return None if row is None else AuditHead(row.log, row.sequence, row.sha256)

    def remember_audit_head(self, host: str, head: AuditHead) -> None:
        """Takes the place of the head before it."""
        values = {"log": head.log, "sequence": head.sequence, "sha256": head.sha256}
        with self._database.writing() as connection:
            self.put(connection, audit_heads, {"host": host}, values)

    def audit_anchored_at(self, host: str) -> datetime | None:
        """When that host's head was last anchored outside; None: never."""
        row = self._audit_row(host)
        return None if row is None or row.anchored_at is None else datetime.fromisoformat(row.anchored_at)

    def remember_audit_anchor(self, host: str, at: datetime) -> None:
        """Only for a host whose head is remembered."""
        statement = update(audit_heads).where(audit_heads.c.host == host).values(anchored_at=to_text(at))
        with self._database.writing() as connection:
            connection.execute(statement)

    def _audit_row(self, host: str) -> Row[Any] | None:
        with self._database.reading() as connection:
            return connection.execute(select(audit_heads).where(audit_heads.c.host == host)).one_or_none()

    def _end_run(
        self,
        connection: Connection,
        run: str,
        status: RunStatus,
        detail: Mapping[str, Json],
        error: Mapping[str, Json] | None,
    ) -> Run | None:
        """The closed run; None when it was not open."""
        # one statement decides, so of two processes that close the same run only one does
        statement = (
            update(runs)
            .where(runs.c.id == run, runs.c.status == RunStatus.RUNNING.value)
            .values(
                status=status.value,
                finished_at=to_text(self._clock.now()),
                detail=json.dumps(dict(detail)),
                error=None if error is None else json.dumps(dict(error)),
            )
        )
        if connection.execute(statement).rowcount != 1:
            return None
        return _run(connection.execute(select(runs).where(runs.c.id == run)).one())

    def put(self, connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        """Adds the row of that key, or takes the place of the one that is there."""
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        statement = insert(table).values(**key, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def open_catalog(url: str | None, state_dir: Path, clock: Clock) -> SqlCatalog:
    """The catalog at ``url`` (PostgreSQL), or in SQLite below ``state_dir``; made or migrated where needed.

    Marks the runs that dead processes left open as interrupted. Use it in a ``with`` block, or close it. Raises ConfigError for a
    wrong url, PreflightError when the database cannot be used or is of a newer drmgr.
    """
    catalog = SqlCatalog(open_database(url, state_dir), clock, this_process())
    catalog.interrupt_leftovers()
    return catalog


def to_text(instant: datetime) -> str:
    """How the tables hold an instant."""
    # always the same width and zone: then the order of the text is the order of time, in every collation
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        kind=RunKind(row.kind),
        system=row.system,
        status=RunStatus(row.status),
        started_at=datetime.fromisoformat(row.started_at),
        finished_at=None if row.finished_at is None else datetime.fromisoformat(row.finished_at),
        detail=json.loads(row.detail),
        error=None if row.error is None else json.loads(row.error),
    )


def _entry(row: Row[Any]) -> EvidenceEntry:
    return EvidenceEntry(
        id=row.id,
        run=row.run,
        sequence=row.sequence,
        name=row.name,
        verdict=Verdict(row.verdict),
        sealed_at=datetime.fromisoformat(row.sealed_at),
        path=row.path,
        sha256=row.sha256,
    )
