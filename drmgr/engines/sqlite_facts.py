"""What is true of a SQLite database: counts, fingerprints, definitions, the settings its file carries."""

# ruff: noqa: S608 - names are quoted by quoted

import hashlib
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drmgr.engines.answers import instant
from drmgr.errors import DrmgrError, SourceError
from drmgr.model import Json

Groups = dict[str, dict[str, Json]]

PRAGMAS = ("user_version", "application_id", "encoding", "page_size", "auto_vacuum", "journal_mode")
KINDS = {"table": "tables", "index": "indexes", "view": "views", "trigger": "triggers"}
LEAST_MILLISECONDS = 10**11
"""Unix times from here on are milliseconds: as seconds they would lie after the year 5000."""


def read_groups(
    session: sqlite3.Connection, *, full: bool, newest: Sequence[tuple[str, str]], zone: ZoneInfo
) -> Groups:
    """All groups. Raises sqlite3.Error; SourceError for a newest column that is not there."""
    session.execute("BEGIN")
    groups: Groups = {
        "pragmas": {name: session.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS},
        "structure": _structure(session),
        "newest": {},
    }
    for table, column in newest:
        found = newest_value(session, table, column, zone)
        groups["newest"][f"{table}.{column}"] = None if found is None else found.isoformat()
    # texts as they are stored, well-formed or not, and told apart from blobs
    session.text_factory = bytearray
    groups["tables"] = {name: table_facts(session, name, full=full) for name in _tables(session)}
    session.rollback()
    return groups


def _tables(session: sqlite3.Connection) -> list[str]:
    # a virtual table has no pages of its own; the tables that hold its content are listed as well
    statement = "SELECT CAST(name AS BLOB) FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    return [name.decode("utf-8", errors="surrogateescape") for (name,) in session.execute(statement)]


def table_facts(session: sqlite3.Connection, name: str, *, full: bool, place: str = "main") -> dict[str, Json]:
    """Its rows, and with ``full`` their fingerprint: texts must come as bytearrays. Raises sqlite3.Error."""
    table = f"{quoted(place)}.{quoted(name)}"
    if not full:
        (count,) = session.execute(f"SELECT count(*) FROM {table}").fetchone()
        return {"rows": count}
    count = total = 0
    for row in session.execute(f"SELECT * FROM {table}"):
        count += 1
        total += int.from_bytes(row_digest(row), "big")
    return {"rows": count, "fingerprint": f"{total % 2**128:032x}"}


def row_digest(row: Iterable[object]) -> bytes:
    """16 bytes for one row: equal for equal values of equal types, whatever lies in the row beside them."""
    digest = hashlib.sha256()
    for value in row:
        kind, content = _encoded(value)
        digest.update(b"%c%d:" % (kind, len(content)))
        digest.update(content)
    return digest.digest()[:16]


def _encoded(value: object) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, int):
        return b"i", b"%d" % value
    if isinstance(value, float):
        return b"f", struct.pack(">d", value)
    if isinstance(value, bytearray):
        return b"t", bytes(value)
    assert isinstance(value, bytes)
    return b"b", value


def _structure(session: sqlite3.Connection) -> dict[str, Json]:
    """``{kind: {"count", "digest"}}`` of all definitions."""
    digests = {kind: hashlib.sha256() for kind in KINDS}
    counts = dict.fromkeys(KINDS, 0)
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name, tbl_name"
    for kind, *rest in session.execute(statement):
        digests[kind].update("\x00".join([*(text or "" for text in rest), "\n"]).encode(errors="surrogatepass"))
        counts[kind] += 1
    return {KINDS[kind]: {"count": counts[kind], "digest": digests[kind].hexdigest()} for kind in KINDS}


def newest_value(
    session: sqlite3.Connection, table: str, column: str, zone: ZoneInfo, error: type[DrmgrError] = SourceError
) -> datetime | None:
    """The greatest value of a column that holds ISO texts or Unix times (seconds or milliseconds); None without rows.

    Raises ``error``.
    """
    name = table.removeprefix("main.")
    try:
        # the table's name before the column: "x" alone would be a text where there is no such column
        (value,) = session.execute(f"SELECT max(t.{quoted(column)}) FROM {quoted(name)} AS t").fetchone()
    except sqlite3.Error:
        raise error(
            f"the newest row of {table}.{column} cannot be had: no such column",
            hint="mend the source's newest list in the job",
        ) from None
    try:
        return None if value is None else _instant(value, zone)
    except (ValueError, OverflowError, OSError):
        raise error(
            f"the newest row of {table}.{column} cannot be had: its values are not dates or times",
            hint="name a column of ISO texts or Unix times in the source's newest list",
        ) from None


def _instant(value: object, zone: ZoneInfo) -> datetime:
    if isinstance(value, str):
        return instant(datetime.fromisoformat(value), zone)
    if isinstance(value, int | float):
        seconds = value / 1000 if value >= LEAST_MILLISECONDS else value
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    raise ValueError


def quoted(name: str) -> str:
    """An identifier for a statement."""
    return '"' + name.replace('"', '""') + '"'
