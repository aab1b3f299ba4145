"""Since when schedules are known, and when somebody last looked what is due; implements trouble.ScheduleBook."""

from datetime import datetime

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from drmgr.interfaces import Clock
from drmgr.state.catalog import to_text
from drmgr.state.database import Database
from drmgr.state.tables import beats, schedules


class SqlScheduleBook:
    """Kept in the catalog's database. Every method raises PreflightError when it cannot be used."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def since(self, key: str, expression: str) -> datetime:
        """The first time this schedule was seen with this expression; now, for a new one.

        A time that lies ahead was noted by a clock that was wrong; it is noted anew.
        """
        now = self._clock.now()
        found = self.known_since(key, expression)
        if found is not None and found <= now:
            return found
        self._put(schedules, {"key": key}, {"expression": expression, "since": to_text(now)})
        return now

    def known_since(self, key: str, expression: str) -> datetime | None:
        """As ``since``, without making a note of it."""
        query = select(schedules.c.since).where(schedules.c.key == key, schedules.c.expression == expression)
        with self._database.reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else datetime.fromisoformat(found)

    def beat(self, name: str) -> None:
        """Notes that ``name`` looked what is due just now."""
        self._put(beats, {"name": name}, {"at": to_text(self._clock.now())})

    def beats(self) -> dict[str, datetime]:
        """Who looked when."""
        with self._database.reading() as connection:
            return {row.name: datetime.fromisoformat(row.at) for row in connection.execute(select(beats))}

    def _put(self, table: Table, key: dict[str, str], values: dict[str, str]) -> None:
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        statement = insert(table).values(**key, **values)
        with self._database.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
