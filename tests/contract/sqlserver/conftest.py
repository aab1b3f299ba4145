"""Two stand-ins a file, and for each test a place of its own between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.support.folders import passable_directory
from tests.support.sqlserver import StandIn, stand_in
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.store import appended


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[StandIn, StandIn]]:
    with passable_directory() as folder, stand_in(folder / "a") as source, stand_in(folder / "b", "DRILL") as scratch:
        yield source, scratch


@pytest.fixture
def place(servers: tuple[StandIn, StandIn]) -> Iterator[SqlServerPlace]:
    with new_place(servers) as made:
        yield made


@contextmanager
def new_place(servers: tuple[StandIn, StandIn], **options: object) -> Iterator[SqlServerPlace]:
    """At its end nothing is left behind on either server, whatever went wrong in between."""
    source, scratch = servers
    with passable_directory() as directory:
        made = SqlServerPlace(directory, source, scratch, **options)
        try:
            yield made
            made.end_kept()
            assert list(scratch.store.databases) == []
        finally:
            for server in servers:
                server.server.faults.clear()
                for path in server.folder.local.iterdir():
                    path.unlink()
            scratch.store.databases.clear()
            scratch.store.free_bytes = 10**12
            source.store.drift = timedelta()
            source.store.rights.clear()


@contextmanager
def writing(place: SqlServerPlace) -> Iterator[None]:
    """A row is committed between the full backup and the log of a point."""

    def write(_text: str) -> None:
        place.source.store.change(
            place.database.name,
            lambda tables: tables.update(
                {"dbo.queue": appended(tables["dbo.queue"], (len(tables["dbo.queue"].rows),))}
            ),
        )

    with watching(place.source, r"BACKUP LOG \[", write):
        yield


@contextmanager
def watching(server: StandIn, pattern: str, act: object) -> Iterator[None]:
    """Acts when a statement that matches is under way."""
    server.server.watchers.append((pattern, act))  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.server.watchers.clear()


def take_away_log(place: SqlServerPlace) -> None:
    database = place.database
    header = {"DatabaseName": database.name, "BackupType": 2, "FirstLSN": database.log_start, "LastLSN": database.lsn}
    place.source.store.history.append(
        {
            **header,
            "IsCopyOnly": False,
            "BackupStartDate": place.source.store.now(),
            "user": "SA",
            "path": "/other/stolen.trn",
        }
    )
    database.log_start = database.lsn
