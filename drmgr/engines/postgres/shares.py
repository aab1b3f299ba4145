"""Questions about many tables, or parts of a large one, asked by several sessions that all see one snapshot.

The session that holds the view asks as well, and it alone holds the locks: another session that would have to wait, for
a lock or for a place on the server, leaves its questions to it. So more sessions are faster, and never needed.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from drmgr.engines.postgres.connection import Endpoint, Session, connect, pin
from drmgr.errors import SourceError

PIECE_BYTES = 64 * 1024 * 1024
"""So much of a table's file is one question."""

MOST_SESSIONS = 4
SHORT_WAIT = "1s"
RANGES_SINCE = 140000
"""Older servers read the whole table for a range of it."""

ALL = sql.SQL("true").format()
"""The condition that every row meets."""


@dataclass(frozen=True)
class Question:
    """A query with one row for an answer, on that table (schema, name)."""

    table: tuple[str, str]
    query: sql.Composed


def ranges(size: int, block: int, version: int) -> list[sql.Composed]:
    """Conditions on the table ``t``, a file of ``size`` bytes, that together name every row once.

    The last one has no end: rows of the snapshot may lie in blocks that came after the file was measured.
    """
    step = max(1, PIECE_BYTES // block)
    starts = list(range(0, size // block, step)) if version >= RANGES_SINCE else []
    if len(starts) < 2:  # noqa: PLR2004 - one piece is the whole
        return [ALL]
    ends = [*starts[1:], None]
    return [
        sql.SQL("t.ctid >= {}::pg_catalog.tid").format(sql.Literal(f"({start},0)"))
        + (
            sql.SQL("")
            if end is None
            else sql.SQL(" AND t.ctid < {}::pg_catalog.tid").format(sql.Literal(f"({end},0)"))
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def ask(session: Session, questions: Sequence[Question], endpoint: Endpoint | None) -> list[tuple[Any, ...]]:
    """Each question's row, in order. ``session`` holds a view open; with an ``endpoint`` others are opened beside it.

    Raises psycopg.Error.
    """
    others = min(MOST_SESSIONS, os.cpu_count() or 1, len(questions)) - 1
    asked = _Asked(questions)
    if endpoint is None or others < 1:
        asked.work(session)
        return asked.rows()
    row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    assert row is not None
    with ThreadPoolExecutor(max_workers=others) as pool:
        try:
            helping = [pool.submit(asked.help, endpoint, str(row[0])) for _ in range(others)]
            asked.work(session)
            for each in helping:
                each.result()
        except BaseException:
            asked.stop()
            raise
    # what was left to us after we had thought that nothing was
    asked.work(session)
    return asked.rows()


class _Asked:
    """Questions that wait, and the answers so far; several threads work on it."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self._waiting = deque(range(len(questions)))
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._helpers: list[Session] = []
        self._stopped = False

    def rows(self) -> list[tuple[Any, ...]]:
        return [self._rows[number] for number in range(len(self._questions))]

    def work(self, session: Session) -> None:
        """Answers until nothing waits."""
        for number in self._next():
            self._rows[number] = _answer(session, self._questions[number].query)

    def help(self, endpoint: Endpoint, snapshot: str) -> None:
        """The same in a session of its own that sees that snapshot, as long as it need not wait for anybody."""
        try:
            session = connect(endpoint)
        except SourceError:
            return
        with closing(session), self._known(session):
            pin(session)
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.read_only = True
            session.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
            session.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(SHORT_WAIT)))
            for number in self._next():
                question = self._questions[number]
                try:
                    table = sql.Identifier(*question.table)
                    session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT").format(table))
                    self._rows[number] = _answer(session, question.query)
                except psycopg.errors.LockNotAvailable:
                    # whoever waits for the table's lock waits for the view, and we would wait behind him
                    self._waiting.append(number)
                    return

    def stop(self) -> None:
        """Ends what the others are doing; their answers are not wanted any more."""
        self._stopped = True
        for session in tuple(self._helpers):
            with suppress(psycopg.Error):
                session.cancel()

    def _next(self) -> Iterator[int]:
        while not self._stopped:
            try:
                yield self._waiting.popleft()
            except IndexError:
                return

    @contextmanager
    def _known(self, session: Session) -> Iterator[None]:
        self._helpers.append(session)
        try:
            yield
        finally:
            self._helpers.remove(session)


def _answer(session: Session, query: sql.Composed) -> tuple[Any, ...]:
    row = session.execute(query).fetchone()
    assert row is not None
    return row
