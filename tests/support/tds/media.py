"""The stand-in's backup files: a header that HEADERONLY reads, and a body with its hash."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from tests.support.tds.store import Column, Commit, Index, Table

MAGIC = b"TDS-STAND-IN 1\n"


class Readable(Protocol):
    """A file, or something that is read like one."""

    @property
    def name(self) -> str: ...

    def read_bytes(self) -> bytes: ...


class NoBackup(Exception):
    """The file is none of ours, or was broken off."""


class Damaged(Exception):
    """The body is not what was written."""


@dataclass(frozen=True)
class Medium:
    """What one file holds: the header's fields, all tables of a database or differential, or the commits of a log."""

    header: dict[str, Any]
    tables: dict[str, Table]
    commits: tuple[Commit, ...]


def begin(path: Path) -> None:
    """What a backup that is under way, or was broken off, looks like."""
    path.write_bytes(MAGIC[:5])


def write(path: Path, medium: Medium) -> int:
    """Bytes written."""
    return path.write_bytes(content_of(medium))


def content_of(medium: Medium) -> bytes:
    body = json.dumps(
        {
            "tables": {name: _table_json(table) for name, table in medium.tables.items()},
            "commits": [
                [each.lsn, _plain(each.time), {n: _table_json(t) for n, t in each.changed.items()}, list(each.dropped)]
                for each in medium.commits
            ],
        },
        ensure_ascii=False,
    ).encode("utf-8")
    header = json.dumps({**medium.header, "sha256": hashlib.sha256(body).hexdigest()}, default=_plain).encode()
    return MAGIC + header + b"\n" + body


def read_header(path: Readable) -> dict[str, Any]:
    return _parts(path)[0]


def read(path: Readable) -> Medium:
    header, body = _parts(path)
    if hashlib.sha256(body).hexdigest() != header["sha256"]:
        raise Damaged
    found = json.loads(body)
    commits = tuple(
        Commit(lsn, _value(time), {n: _table(t) for n, t in changed.items()}, tuple(dropped))
        for lsn, time, changed, dropped in found["commits"]
    )
    return Medium(header, {name: _table(table) for name, table in found["tables"].items()}, commits)


def _parts(path: Readable) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    head, _, body = content.removeprefix(MAGIC).partition(b"\n")
    if not content.startswith(MAGIC):
        raise NoBackup
    try:
        header = {name: _value(value) for name, value in json.loads(head).items()}
    except ValueError as error:
        raise NoBackup from error
    return header, body


def _table_json(table: Table) -> Any:
    """All of its fields by name; a row is a list of plain values."""
    return {**_fields(table), "rows": [[_plain(value) for value in row] for row in table.rows]}


def _fields(of: Table) -> dict[str, Any]:
    columns, indexes = ([asdict(each) for each in group] for group in (of.columns, of.indexes))
    return {"columns": columns, "indexes": indexes, "comment": of.comment, "others": of.others}


def _table(found: Any) -> Table:
    return Table(
        tuple(Column(**_tuples(each)) for each in found["columns"]),
        tuple(tuple(_value(value) for value in row) for row in found["rows"]),
        tuple(Index(**_tuples(each)) for each in found["indexes"]),
        found["comment"],
        tuple(found["others"]),
    )


def _tuples(found: Any) -> Any:
    """JSON knows lists only."""
    if isinstance(found, dict):
        return {name: _tuples(value) for name, value in found.items()}
    return tuple(map(_tuples, found)) if isinstance(found, list) else found


def _plain(value: Any) -> Any:
    """A value with its type, where JSON has none for it."""
    for kind, name in ((datetime, "datetime"), (date, "date"), (Decimal, "decimal"), (UUID, "uuid")):
        if isinstance(value, kind):
            return {name: str(value)}
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def _value(found: Any) -> Any:
    if not isinstance(found, dict) or len(found) != 1:
        return found
    ((name, text),) = found.items()
    makers: dict[str, Callable[[str], Any]] = {
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
        "decimal": Decimal,
        "uuid": UUID,
        "bytes": bytes.fromhex,
    }
    return makers[name](text) if name in makers else found
