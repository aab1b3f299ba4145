"""Which alarms there are and who was told; implements trouble.AlarmBook."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from ulid import ULID

from drmgr.interfaces import Clock
from drmgr.state.catalog import to_text
from drmgr.state.database import Database
from drmgr.state.tables import alarm_deliveries, alarms
from drmgr.trouble import Alarm, Delivery, News, Problem


class SqlAlarmBook:
    """Kept in the catalog's database. Every method raises PreflightError when it cannot be used."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open_alarms(self) -> list[Alarm]:
        """Those that have not recovered, oldest first."""
        query = select(alarms).where(alarms.c.recovered_at.is_(None)).order_by(alarms.c.number)
        with self._database.reading() as connection:
            return [_alarm(row) for row in connection.execute(query)]

    def raise_alarm(self, problem: Problem, recipients: Sequence[str]) -> Alarm:
        """Opens an alarm and owes each recipient the news.

        One that is open already is seen once more; only recipients who are new are owed the news of it.
        """
        is_open = select(alarms).where(alarms.c.key == problem.key, alarms.c.recovered_at.is_(None))
        with self._database.writing() as connection:
            there = connection.execute(is_open).first()
            now = self._clock.now()
            if there is not None:
                connection.execute(update(alarms).where(alarms.c.id == there.id).values(seen_at=to_text(now)))
                self._owe(connection, there.id, News.RAISED, recipients)
                return replace(_alarm(there), seen_at=now)
            alarm_id = str(ULID.from_datetime(now))
            connection.execute(
                alarms.insert().values(
                    id=alarm_id,
                    key=problem.key,
                    system=problem.system,
                    code=problem.code,
                    subject=problem.subject,
                    figures=json.dumps(dict(problem.figures)),
                    raised_at=to_text(now),
                    seen_at=to_text(now),
                )
            )
            self._owe(connection, alarm_id, News.RAISED, recipients)
            return _alarm(connection.execute(is_open).one())

    def recovered_since(self, key: str, since: datetime) -> bool:
        """Whether an alarm of that key was over since then."""
        query = select(alarms.c.id).where(alarms.c.key == key, alarms.c.recovered_at >= to_text(since)).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def recover(self, alarm: Alarm, recipients: Sequence[str]) -> None:
        """Closes the alarm and owes each recipient the news."""
        close = update(alarms).where(alarms.c.id == alarm.id, alarms.c.recovered_at.is_(None))
        with self._database.writing() as connection:
            if connection.execute(close.values(recovered_at=to_text(self._clock.now()))).rowcount == 1:
                self._owe(connection, alarm.id, News.RECOVERED, recipients)

    def owed(self) -> list[Delivery]:
        """What nobody has got yet, in the order of the alarms."""
        query = (
            select(alarms, alarm_deliveries)
            .join(alarm_deliveries, alarm_deliveries.c.alarm == alarms.c.id)
            .where(alarm_deliveries.c.delivered_at.is_(None))
            .order_by(alarms.c.number, alarm_deliveries.c.news)
        )
        with self._database.reading() as connection:
            return [
                Delivery(_alarm(row), News(row.news), row.recipient, row.attempts, row.error)
                for row in connection.execute(query)
            ]

    def delivered(self, deliveries: Sequence[Delivery]) -> None:
        """They have got it."""
        self._note(deliveries, {"delivered_at": to_text(self._clock.now()), "error": ""})

    def not_delivered(self, deliveries: Sequence[Delivery], error: str) -> None:
        """They have not, and why."""
        self._note(deliveries, {"error": error})

    def forget_recipients(self, known: Sequence[str]) -> None:
        """Drops what is owed to anybody who is not ``known`` any more."""
        gone = delete(alarm_deliveries).where(
            alarm_deliveries.c.delivered_at.is_(None), alarm_deliveries.c.recipient.not_in(list(known))
        )
        with self._database.writing() as connection:
            connection.execute(gone)

    def _note(self, deliveries: Sequence[Delivery], values: dict[str, str]) -> None:
        with self._database.writing() as connection:
            for each in deliveries:
                connection.execute(
                    update(alarm_deliveries)
                    .where(
                        alarm_deliveries.c.alarm == each.alarm.id,
                        alarm_deliveries.c.news == each.news.value,
                        alarm_deliveries.c.recipient == each.recipient,
                    )
                    .values(attempts=alarm_deliveries.c.attempts + 1, **values)
                )

    def _owe(self, connection: Connection, alarm: str, news: News, recipients: Sequence[str]) -> None:
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        for name in recipients:
            owed = insert(alarm_deliveries).values(alarm=alarm, news=news.value, recipient=name, attempts=0, error="")
            connection.execute(owed.on_conflict_do_nothing())


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(
        id=row.id,
        key=row.key,
        system=row.system,
        code=row.code,
        subject=row.subject,
        figures=json.loads(row.figures),
        raised_at=datetime.fromisoformat(row.raised_at),
        recovered_at=None if row.recovered_at is None else datetime.fromisoformat(row.recovered_at),
        seen_at=None if row.seen_at is None else datetime.fromisoformat(row.seen_at),
    )
