"""Questions in SQL, read-only and streamed; answers as JSON values."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from zoneinfo import ZoneInfo

from pymysql.cursors import SSCursor

from drmgr.engines.answers import to_json
from drmgr.engines.mariadb.connection import Endpoint, connect, run, told
from drmgr.interfaces import Clock
from drmgr.model import Json

BATCH_ROWS = 2000


def stream(endpoint: Endpoint, statement: str, zone: ZoneInfo, clock: Clock) -> Iterator[tuple[Json, ...]]:
    """All rows of one statement in a read-only transaction. Raises SourceError.

    TIMESTAMP columns are told with the site's present offset: servers need not know zones by name.
    """
    offset = clock.now().astimezone(zone).utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    with closing(connect(endpoint)) as session, told("the query failed"):
        sign = "-" if minutes < 0 else "+"
        run(session, "SET time_zone = %s", f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}")
        run(session, "SET SESSION TRANSACTION READ ONLY")
        run(session, "START TRANSACTION READ ONLY")
        with session.cursor(SSCursor) as cursor:
            # the statement is the site's own, from its job file
            cursor.execute(statement)
            while batch := cursor.fetchmany(BATCH_ROWS):
                for row in batch:
                    yield tuple(to_json(value) for value in row)
