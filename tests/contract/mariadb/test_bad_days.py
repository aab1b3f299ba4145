"""A server that is killed in any phase, locks that others hold, full disks, another server: on real servers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.engines.mariadb import MariadbEngine, connection
from drmgr.engines.mariadb.shipper import MariadbLogShipper
from drmgr.errors import DrmgrError, PreflightError, SourceError, SpoolFullError
from drmgr.flows.points import find
from drmgr.flows.shipped import MANIFEST, log_ranges
from drmgr.model import Part, Payload
from drmgr.scratch.processes import wait_until
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner, find_program
from tests.support.folder_sink import FolderSink
from tests.support.mariadb import LOG_RIGHTS, LOGGED, MariadbServer, lock_tables, mariadb_server
from tests.support.mariadb_acts import BIG, Make
from tests.support.mariadb_physical import MariadbPlace


@pytest.fixture(scope="module")
def mortal() -> Iterator[MariadbServer]:
    """A server that tests may kill; each starts it again."""
    with mariadb_server(**LOGGED) as running:
        running.execute("", LOG_RIGHTS)
        yield running


class KillingSink(FolderSink):
    """Acts once the part of that name is stored."""

    def __init__(self, folder: Path, part: str, act: Callable[[], None]) -> None:
        super().__init__(folder)
        self._part, self._act = part, act

    def save(self, payload: Payload) -> Part:
        part = super().save(payload)
        if payload.part == self._part:
            self._act()
        return part


@pytest.mark.parametrize(
    ("physical", "part"),
    [
        (False, "dump"),
        (False, "globals"),
        (True, "backup"),
        (True, "binlog"),
        (True, "label"),
    ],
)
def test_a_server_that_dies_after_any_part_gives_no_facts_and_no_backup(
    mortal: MariadbServer, folder: Path, physical: bool, part: str
) -> None:
    place = MariadbPlace(folder, mortal, physical=physical)
    sink = KillingSink(folder / "parts", part, mortal.stop)
    try:
        with (
            pytest.raises(SourceError, match=r"connection to the server was lost|no database server answers"),
            place.engine.capture() as capture,
        ):
            capture.store(sink)
            capture.facts()
        assert not (folder / "staging").exists()
        assert list((folder / "runtime").glob("mariadb-*")) == []
    finally:
        mortal.start()
    place.back_up()


def test_a_lock_that_somebody_holds_for_long_ends_the_dump_before_it_begins(
    server: MariadbServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE z (n int)")
    short = connection.PINNED.replace("lock_wait_timeout = 60", "lock_wait_timeout = 1")
    monkeypatch.setattr(connection, "PINNED", short)
    with (
        held(server, f"{database}.z"),
        pytest.raises(SourceError, match="a lock was not given within"),
        make(server.connection(database)).capture(),
    ):
        pytest.fail("the view was opened behind a lock")
    # nobody who changes structure waits behind us any more
    server.execute(database, "SET lock_wait_timeout = 5; ALTER TABLE z ADD COLUMN m int")


def test_a_table_that_is_locked_in_the_middle_of_the_dump_is_waited_for_and_comes_whole(
    server: MariadbServer, make: Make, folder: Path
) -> None:
    database = server.create_database()
    server.execute(database, BIG)
    lock = held(server, f"{database}.z")
    waited: list[bool] = []

    def wait_and_free() -> None:
        query = "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock'"
        waited.append(wait_until(lambda: bool(server.execute("", query)), SystemClock(), 30))
        lock.__exit__(None, None, None)

    freeing = threading.Thread(target=wait_and_free)

    def act() -> None:
        lock.__enter__()
        freeing.start()

    sink = FolderSink(folder / "parts", after_first_bytes=act)
    with make(server.connection(database)).capture() as capture:
        capture.store(sink)
        facts = capture.facts()
    freeing.join()
    assert waited == [True]
    assert facts.groups["tables"]["z"]["rows"] == 1
    assert b"INSERT INTO `z`" in (folder / "parts/dump" / f"{database}.sql").read_bytes()


@contextmanager
def held(server: MariadbServer, table: str) -> Iterator[None]:
    """The table's write lock is another session's, from the start of the block to its end."""
    with lock_tables(server, table):
        yield


def test_a_full_disk_of_the_spool_is_an_alarm_and_loses_nothing_of_the_binary_log(
    server: MariadbServer, folder: Path
) -> None:
    place = MariadbPlace(folder, server, physical=False)
    place.back_up()
    place.ship()
    place.sql("INSERT INTO note (text) VALUES ('kept')")
    real = find_program("mariadb-binlog")
    tools = folder / "tools"
    tools.mkdir()
    for path in real.parent.glob("mariadb*"):
        (tools / path.name).symlink_to(path)
    (tools / "mariadb-binlog").unlink()
    (tools / "mariadb-binlog").write_text(
        # its very words on a file system of 256 KiB
        "#!/bin/sh\necho \"ERROR: Could not write into log file '/spool/incoming/mysqld-bin.000001'\" >&2; exit 1\n"
    )
    (tools / "mariadb-binlog").chmod(0o755)
    healthy = place.source
    broken = place.make(MariadbEngine, logged=True, binaries=tools)
    place.source = replace(healthy, logs=MariadbLogShipper(broken, Runner()))
    with pytest.raises(SpoolFullError, match="the disk of the spool"):
        place.ship()
    place.source = healthy
    before = log_ranges(place.repository, "his", "main")[-1]
    assert place.ship().files > 0
    now = log_ranges(place.repository, "his", "main")[-1]
    # it goes on where the one before ended, and holds what was written while the disk was full
    assert (now.chain, now.first) == (before.chain, before.last + 1)
    assert place.gtid() in json.loads(place.repository.read_bytes(now.snapshot.id, MANIFEST))["marks"]


def test_another_server_does_not_share_the_repository(
    server: MariadbServer, mortal: MariadbServer, folder: Path
) -> None:
    here = MariadbPlace(folder, server)
    here.back_up()
    (folder / "there").mkdir()
    there = MariadbPlace(folder / "there", mortal)
    there.store_in(here.repository)
    with pytest.raises(
        PreflightError, match=r"holds backups of the server \S+, and the server is the server"
    ) as refused:
        there.back_up()
    assert len(find(here.repository, here.bench.catalog, "his").points) == 1
    identifier = refused.value.hint.split('"')[1]
    there.engine = there.physical(identifier=identifier)
    there.wired = replace(there.wired, sources=(replace(there.source, engine=there.engine),))
    there.back_up()
    assert len(find(here.repository, here.bench.catalog, "his").points) == 2


def test_a_shipment_whose_server_dies_half_way_loses_nothing(mortal: MariadbServer, folder: Path) -> None:
    place = MariadbPlace(folder, mortal, physical=False)
    place.back_up()
    place.ship()
    made = place.now()
    # the log tells whole seconds: one that ends in the point's own opens no window
    assert wait_until(lambda: place.now().replace(microsecond=0) > made, place.clock, 5)
    place.sql("INSERT INTO note (text) VALUES ('late')")
    tools = folder / "tools"
    tools.mkdir()
    real = find_program("mariadb-binlog")
    for path in real.parent.glob("mariadb*"):
        (tools / path.name).symlink_to(path)
    (tools / "mariadb-binlog").unlink()
    # half of the file is there when the connection breaks
    (tools / "mariadb-binlog").write_text(
        f'#!/bin/sh\n{real} "$@" || exit 1\nfor word; do case "$word" in --result-file=*) folder="${{word#*=}}";; esac; done\n'
        'for file in "$folder"*; do head -c 300 "$file" > "$file.half"; mv "$file.half" "$file"; done\n'
        'echo "ERROR: Got error reading packet from server: Lost connection to server during query" >&2; exit 1\n'
    )
    (tools / "mariadb-binlog").chmod(0o755)
    healthy = place.source
    place.source = replace(
        healthy, logs=MariadbLogShipper(place.make(MariadbEngine, logged=True, binaries=tools), Runner())
    )
    with pytest.raises(DrmgrError, match="could not be received"):
        place.ship()
    place.source = healthy
    assert place.ship().files > 0
    assert len(place.times()) == 1
