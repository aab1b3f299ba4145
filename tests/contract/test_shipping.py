"""Any minute in between: logs shipped from a real server, recoveries to times, positions and names, and bad days."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import (
    DrmgrError,
    PointNotFoundError,
    RepositoryUnreachableError,
    SourceError,
    SpoolFullError,
    UsageError,
)
from drmgr.flows.points import find
from drmgr.flows.reach import Window, windows
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan, ToFolder
from drmgr.flows.ship_logs import Shipped, Spool, follow, spooled
from drmgr.flows.shipped import log_ranges
from drmgr.interfaces import Progress
from drmgr.model import CheckStatus, Level, Payload, Snapshot
from drmgr.repository.bucket import Bucket, BucketSettings
from drmgr.repository.plainfiles import BucketFiles
from drmgr.repository.restic import ResticRepository, ResticSettings
from drmgr.scratch.label import PREFIX
from drmgr.scratch.processes import processes_in
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret
from tests.support.fake_repository import FakeRepository
from tests.support.fault_proxy import FaultProxy
from tests.support.folders import passable_directory
from tests.support.objectstore import BucketMaker, make_bucket, object_store
from tests.support.physical import SLOT, Place, fill, note, notes, physical_server
from tests.support.postgres import PostgresServer

__all__ = ["make_bucket", "object_store"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    # small segments: less to copy, and nothing may take the usual size for granted
    with passable_directory() as directory, physical_server(directory, segment_mib=1) as running:
        fill(running, scale=0)
        yield running


@pytest.fixture
def place(server: PostgresServer) -> Iterator[Place]:
    """A repository and a spool of its own; the slot is the server's, as after a spool was lost."""
    with passable_directory() as directory:
        made = Place(directory, server)
        made.sql("DELETE FROM note; INSERT INTO note (text) VALUES ('一')")
        try:
            yield made
        finally:
            end_kept(made)


def end_kept(place: Place) -> None:
    """Ends what a restore left running for people to look at."""
    scratch = place.directory / "scratch"
    for workspace in scratch.glob(f"{PREFIX}*"):
        place.bench.scratch.keep(workspace.name.removeprefix(PREFIX), place.clock.now() - timedelta(days=1))
    place.bench.scratch.reap()
    assert not scratch.is_dir() or processes_in(scratch) == []


def times(place: Place) -> tuple[Window, ...]:
    found = find(place.repository, place.bench.catalog, "his")
    assert found.problems == ()
    return windows(found.points, log_ranges(place.repository, "his", "main"), "main")


def test_every_kind_of_instant_comes_back(place: Place) -> None:
    early = place.now().isoformat()
    place.back_up()
    at_a = note(place, "a")
    place.ship()
    place.sql("SELECT pg_create_restore_point('before b, the update')")
    note(place, "b")
    (row,) = place.sql("SELECT pg_current_wal_insert_lsn()")
    at_c = note(place, "c")
    place.ship()
    for at, expected in (
        (at_a, ["一", "a"]),
        ("before b, the update", ["一", "a"]),
        # the record at this position is the insert of c, whose commit comes after it
        (str(row[0]), ["一", "a", "b"]),
        (at_c, ["一", "a", "b", "c"]),
    ):
        done = place.restore(at)
        assert (at, notes(place, done)) == (at, expected)
        (check,) = (check for check in done.outcome.checks if check.name == "target-main")
        assert check.status is CheckStatus.PASS
        # the facts of the recovery point say nothing of a later instant
        assert not any(check.level is Level.FACTS for check in done.outcome.checks)
    (window,) = times(place)
    assert notes(place, place.restore(window.newest.isoformat()))[-1] == "c"
    for outside in (early, window.until.isoformat(), "2001-01-01", "no such name", "FFFF/0"):
        with pytest.raises(PointNotFoundError, match=r"main from 20\S+\+08:00 to 20\S+\+08:00"):
            place.restore(outside)
    with pytest.raises(UsageError, match="restored on scratch"):
        plan = RestorePlan("latest", ToFolder(place.directory / "out", lambda: None), at=at_a)
        restore(place.bench, place.wired, plan)


def test_an_unfinished_segment_is_shipped_at_every_turn(place: Place) -> None:
    """A quiet server fills a segment in hours; what little is in it must not wait for that."""
    place.back_up()
    for text in ("a", "b"):
        at = note(place, text)
        before = place.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        assert place.ship().files >= 1
        assert place.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())") != before
        (window,) = times(place)
        assert window.newest.isoformat() >= at
    # and with nothing written at all, the time that can be restored moves on
    place.ship()
    assert times(place)[0].newest > window.newest


class Away(FakeRepository):
    """A store that is away until it is told to come back."""

    away = False

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        if self.away:
            raise RepositoryUnreachableError("the object store does not answer")
        return super().backup(payload, tags, progress)


def test_a_store_that_is_away_costs_nothing_but_room(place: Place) -> None:
    store = Away(place.directory / "repository")
    place.wired = replace(place.wired, repository=store)
    place.repository = store
    place.back_up()
    store.away = True
    note(place, "a")
    with pytest.raises(RepositoryUnreachableError):
        place.ship()
    held = sum(path.stat().st_size for path in place.spool.path.rglob("*") if path.is_file())
    place.spool = Spool(place.spool.path, held + 1024 * 512)
    note(place, "b")
    with pytest.raises(SpoolFullError, match="bytes of log wait in"):
        place.ship()
    waiting = sorted(path.name for path in (place.spool.path / "waiting").iterdir())
    # full: the server keeps the rest for our slot
    at = note(place, "c")
    with pytest.raises(SpoolFullError):
        place.ship()
    assert sorted(path.name for path in (place.spool.path / "waiting").iterdir()) == waiting
    store.away = False
    assert place.ship().files > len(waiting) - 1
    assert list((place.spool.path / "waiting").iterdir()) == []
    assert notes(place, place.restore(at))[-3:] == ["a", "b", "c"]


def test_a_slot_that_was_dropped_is_named_and_its_gap_cannot_be_passed(place: Place) -> None:
    place.back_up()
    at_a = note(place, "a")
    place.ship()
    place.server.execute("his", f"SELECT pg_drop_replication_slot('{SLOT}')")
    lost = note(place, "lost")
    # two checkpoints, and the server throws its log away
    for _ in range(2):
        place.server.execute("his", "SELECT pg_switch_wal(); CHECKPOINT")
    with pytest.raises(
        SourceError, match=rf"slot {SLOT} was dropped behind our back, and the log from \S+ to \S+ is lost"
    ):
        place.ship()
    # and as long as no new point was made
    with pytest.raises(SourceError, match="no recovery point of his reaches what is shipped of main"):
        place.ship()
    (before,) = times(place)
    assert before.until.isoformat() <= lost
    with pytest.raises(PointNotFoundError):
        place.restore(lost)
    place.back_up()
    at_b = note(place, "b")
    place.ship()
    first, second = times(place)
    assert first == before
    assert first.until < second.since
    assert notes(place, place.restore(at_a)) == ["一", "a"]
    assert notes(place, place.restore(at_b)) == ["一", "a", "lost", "b"]


def test_another_timeline_is_followed(place: Place) -> None:
    place.back_up()
    at_a = note(place, "a")
    place.ship()
    private = place.server.private
    private.stop()
    (private.data / "standby.signal").touch()
    private.start()
    place.server.execute("his", "SELECT pg_promote()")
    at_b = note(place, "b")
    place.ship()
    assert len({each.timeline for each in log_ranges(place.repository, "his", "main")}) == 2
    assert notes(place, place.restore(at_b)) == ["一", "a", "b"]
    assert notes(place, place.restore(at_a)) == ["一", "a"]


class Waits(SystemClock):
    """Does not sleep, but remembers how long it should have, and runs what a test wants to happen meanwhile."""

    def __init__(self, meanwhile: Callable[[int], None]) -> None:
        self.slept: list[float] = []
        self._meanwhile = meanwhile

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._meanwhile(len(self.slept))


def test_following_survives_a_server_that_goes_and_comes(place: Place) -> None:
    place.back_up()
    private = place.server.private
    told: list[DrmgrError] = []
    shipped: list[Shipped] = []

    def meanwhile(turn: int) -> None:
        if turn == 1:
            note(place, "a")
            private.stop()
        if turn == 4:
            private.start()

    clock = Waits(meanwhile)
    bench = replace(place.bench, clock=clock)
    follow(bench, lambda: shipped.append(place.ship()), timedelta(minutes=5), told.append, turns=5)
    assert [type(error) for error in told] == [SourceError, SourceError, SourceError]
    assert clock.slept == [300.0, 1.0, 2.0, 4.0]
    at = note(place, "b")
    place.ship()
    assert notes(place, place.restore(at))[-2:] == ["a", "b"]


def behind(proxy: FaultProxy, store: ObjectStore, bucket: str, folder: Path) -> ResticRepository:
    """A repository in a bucket that is reached through the proxy, and asked first whether it is there, as a site does."""
    keys = f"aws_access_key_id={store.access_key.reveal()}\naws_secret_access_key={store.secret_key.reveal()}\n"
    write_atomically(folder / "credentials", f"[default]\n{keys}".encode())
    place = BucketSettings(proxy.endpoint, store.region, bucket, store.access_key, store.secret_key)
    settings = ResticSettings(
        f"s3:{proxy.endpoint}/{bucket}/his",
        "site",
        folder / "cache",
        BucketFiles(Bucket(place), "his"),
        env={"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_PROFILE": "default"},
        options=("-o", "s3.bucket-lookup=path", "-o", f"s3.region={store.region}"),
    )
    return ResticRepository(settings, lambda: Secret("p" * 64), Runner(), Bucket(place).probe)


def test_following_loses_nothing_while_the_store_is_away_for_hours(
    place: Place, object_store: ObjectStore, make_bucket: BucketMaker
) -> None:
    """The store goes, the server restarts meanwhile, the spool fills, the store comes back."""
    with FaultProxy(object_store.endpoint) as proxy:
        place.use(behind(proxy, object_store, make_bucket(), place.directory))
        place.repository.init()
        limit = 3 * 1024 * 1024
        place.spool = Spool(place.spool.path, limit)
        told: list[DrmgrError] = []
        shipped: list[Shipped] = []
        most = 0

        def meanwhile(turn: int) -> None:
            nonlocal most
            most = max(most, spooled(place.spool.path))
            if turn == 1:
                proxy.drop()
            if turn == 3:
                place.server.private.stop()
                place.server.private.start()
            if turn < 8:
                note(place, f"n{turn}")
            if turn == 32:
                proxy.heal()

        clock = Waits(meanwhile)
        bench = replace(place.bench, clock=clock)
        follow(bench, lambda: shipped.append(place.ship()), timedelta(minutes=5), told.append, turns=33)
        assert sum(clock.slept) > 2 * 3600
        assert {type(error) for error in told} == {RepositoryUnreachableError, SpoolFullError}
        assert isinstance(told[-1], SpoolFullError) and len(told) == 31
        # it took no more than the one stretch that went over the limit
        assert limit < most < 2 * limit
        assert spooled(place.spool.path) < 4096
        # all that the server kept meanwhile came after it, without a gap
        ranges = log_ranges(place.repository, "his", "main")
        assert len(shipped) == 2 and shipped[1].files > 3
        assert all(earlier.last + 1 == later.first for earlier, later in pairwise(ranges))
        # there is no recovery point that it could carry on
        assert ranges[-1].until is not None and shipped[1].until is None


def test_the_log_of_another_cluster_is_refused(place: Place, tmp_path: Path) -> None:
    place.ship()
    state = place.spool.path / "received.json"
    state.write_text(re.sub(r'"chain": "\d+"', '"chain": "1"', state.read_text()))
    with pytest.raises(SourceError, match="the spool holds the log of the cluster 1"):
        place.ship()


def test_a_slot_in_use_elsewhere_is_told(place: Place) -> None:
    place.ship()
    dsn = f"host={place.server.socket} user=postgres password={place.server.password} dbname=his"
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute(b"SELECT pg_drop_replication_slot('" + SLOT.encode() + b"')")
        session.execute(b"SELECT pg_create_physical_replication_slot('" + SLOT.encode() + b"', true, true)")
        with pytest.raises(SourceError):
            place.ship()
