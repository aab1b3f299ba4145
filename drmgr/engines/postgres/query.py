"""Questions in SQL, read-only and streamed; answers as JSON values."""

from collections.abc import Iterator

from psycopg import sql as compose

from drmgr.engines import answers
from drmgr.engines.postgres.connection import Endpoint, Session, connect, told
from drmgr.errors import SourceError
from drmgr.model import Json

BATCH_ROWS = 2000


def stream(endpoint: Endpoint, statement: str, timezone: str) -> Iterator[tuple[Json, ...]]:
    """All rows of one statement in a read-only transaction. Raises SourceError."""
    with connect(endpoint) as session, told("the query failed"):
        _make_read_only(session, timezone)
        with session.cursor(name="drmgr") as cursor:
            cursor.itersize = BATCH_ROWS
            # the statement is the site's own, from its job file
            cursor.execute(compose.SQL(statement))
            for row in cursor:
                yield tuple(to_json(value) for value in row)


def one_value(endpoint: Endpoint, statement: str, timezone: str) -> Json:
    """The single value of the single row. Raises SourceError for any other shape."""
    found: list[tuple[Json, ...]] = []
    for row in stream(endpoint, statement, timezone):
        found.append(row)
        if len(found) > 1:
            raise SourceError("the query gives more than one row where one value is wanted", hint=_SHAPE)
    if not found:
        raise SourceError("the query gives no row where one value is wanted", hint=_SHAPE)
    if len(found[0]) != 1:
        raise SourceError(f"the query gives {len(found[0])} columns where one value is wanted", hint=_SHAPE)
    return found[0][0]


_SHAPE = "mend the check's sql in the job: exactly one row of one column"


def _make_read_only(session: Session, timezone: str) -> None:
    session.execute("SELECT pg_catalog.set_config('timezone', %s, false)", (timezone,))
    session.commit()
    session.read_only = True


def to_json(value: object) -> Json:
    """A value as JSON can hold it: as answers.to_json, and lists and objects of such."""
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return answers.to_json(value)
