"""SQL Server's backups by way of a bucket (BACKUP TO URL). On the stand-in, which puts its objects into a real SeaweedFS."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import DrmgrError, PreflightError, SourceError
from drmgr.flows.points import find
from drmgr.model import Level
from drmgr.system.mssql_access import Access
from drmgr.system.mssql_bucket import BucketShare
from drmgr.system.secret import Secret
from tests.contract.sqlserver.conftest import new_place, watching
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client
from tests.support.sqlserver import StandIn
from tests.support.sqlserver_place import SqlServerPlace, passed
from tests.support.tds.server import Fault
from tests.support.tds.store import BucketOf

__all__ = ["make_bucket", "object_store"]


class Yard:
    """A bucket with versions, in which nothing of ours may be left; and the two servers before it."""

    def __init__(self, servers: tuple[StandIn, StandIn], store: ObjectStore, bucket: str) -> None:
        self.servers, self.client, self.bucket = servers, s3_client(store), bucket
        versions = {"Status": "Enabled"}
        self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versions)  # type: ignore[arg-type]
        url = f"s3://store.example:9000/{bucket}/sql"
        self.share = BucketShare(url, store.endpoint, store.access_key, store.secret_key)

    @property
    def source(self) -> StandIn:
        return self.servers[0].into(self.share, BucketOf(self.client, self.bucket))

    @property
    def drill(self) -> StandIn:
        return self.servers[1].into(self.share, BucketOf(self.client, self.bucket))

    def left(self) -> list[str]:
        """Keys of all versions, of what hides them, and of uploads that were never completed."""
        listed = self.client.list_object_versions(Bucket=self.bucket)
        found = [each["Key"] for each in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ()))]
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        return sorted([*found, *(f"half {each['Key']}" for each in uploads)])


@pytest.fixture
def yard(servers: tuple[StandIn, StandIn], object_store: ObjectStore, make_bucket: BucketMaker) -> Iterator[Yard]:
    yield Yard(servers, object_store, make_bucket())
    for server in servers:
        server.store.buckets.clear()
        server.store.credentials.clear()
        server.store.version, server.store.engine_edition = "16.0.4175.1", 2


@pytest.fixture
def place(yard: Yard) -> Iterator[SqlServerPlace]:
    with new_place((yard.source, yard.drill)) as made:
        yield made


def test_a_point_goes_through_the_bucket_and_leaves_nothing_in_it(yard: Yard, place: SqlServerPlace) -> None:
    place.engine.preflight()
    place.note(101)
    made = place.back_up()
    (member,) = made.point.members
    assert [part.name for part in member.parts] == ["full", "log"]
    assert all(part.bytes > 0 for part in member.parts)
    assert yard.left() == []
    # the keys that the reading program was given are gone too
    assert list((place.directory / "runtime").glob("mssql-*")) == []
    done = place.restore()
    assert passed(done, Level.FACTS)
    assert place.notes(done) == [101]
    assert yard.left() == []
    sent = yard.servers[0].server.statements + yard.servers[1].server.statements
    assert any(f"RESTORE DATABASE [{done.instances['main'].database}] FROM URL = " in text for text in sent)
    assert not any(yard.share.secret_key.reveal() in text for text in sent)


@pytest.mark.parametrize("scratch_has_bucket", [True, False])
def test_the_two_servers_need_not_share_the_same_kind_of_place(yard: Yard, scratch_has_bucket: bool) -> None:
    servers = (yard.servers[0], yard.drill) if scratch_has_bucket else (yard.source, yard.servers[1])
    with new_place(servers) as place:
        place.back_up()
        assert passed(place.restore(), Level.FACTS)
    assert yard.left() == []


def test_differentials_and_logs_go_the_same_way(yard: Yard) -> None:
    servers = (yard.source, yard.drill)
    with new_place(servers, full_every=timedelta(days=1), compression=True) as place:
        place.back_up()
        place.note(101)
        second = place.back_up()
        assert [part.name for part in second.point.members[0].parts] == ["full", "differential", "log"]
        # the base alone waits in the bucket for the next differential
        assert [key.rsplit(".")[-1] for key in yard.left()] == ["bak"]
        at = place.note(102)
        place.ship()
        place.note(103)
        place.source.server.faults.append(Fault(r"VERIFYONLY", "drop"))
        with pytest.raises(SourceError):
            place.ship()
        assert sorted(key.rsplit(".")[-1] for key in yard.left()) == ["bak", "trn"]
        assert place.ship().files == 2
        assert place.notes(place.restore(at=at.isoformat())) == [101, 102]
        assert len(yard.left()) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(r"BACKUP DATABASE \[", "quiet"), "do backups.url and backups.endpoint|there is no file"),
        (Fault(r"BACKUP DATABASE \[", "drop", after=2), "the connection to the server broke"),
        (Fault(r"BACKUP DATABASE \[", "late-error", number=3013, text="terminating abnormally"), "the full backup of"),
        (Fault(r"VERIFYONLY", "error", number=3189, text="Damage to the backup set was detected."), "damaged"),
    ],
)
def test_a_backup_that_was_broken_off_leaves_neither_a_point_nor_half_an_object(
    yard: Yard, place: SqlServerPlace, fault: Fault, message: str
) -> None:
    place.source.server.faults.append(fault)
    with pytest.raises(DrmgrError, match=message):
        place.back_up()
    assert find(place.repository, place.bench.catalog, "his").points == ()
    assert yard.left() == []


def test_half_an_upload_of_a_killed_run_is_taken_away_by_the_next(yard: Yard, place: SqlServerPlace) -> None:
    key = f"sql/{place.engine.plan.prefix('point')}-20260101T000000Z-00000000.bak"
    yard.client.create_multipart_upload(Bucket=yard.bucket, Key=key)
    stranger = "sql/drmgr-other-point.bak"
    yard.client.create_multipart_upload(Bucket=yard.bucket, Key=stranger)
    place.back_up()
    assert yard.left() == [f"half {stranger}"]


def test_an_object_that_changes_or_vanishes_before_it_is_stored_makes_no_point(
    yard: Yard, place: SqlServerPlace
) -> None:
    for spoil, message in ((yard.client.delete_object, "no such object"), (yard.client.put_object, "nothing of full")):
        spoiling = iter([True])

        def act(_text: str, spoil: object = spoil, spoiling: Iterator[bool] = spoiling) -> None:
            if not next(spoiling, False):
                return
            for key in [key for key in yard.left() if key.endswith(".bak")]:
                spoil(Bucket=yard.bucket, Key=key)  # type: ignore[operator]

        with (
            watching(place.source, r"drmgr: fingerprint", act),
            pytest.raises(SourceError, match=message),
        ):
            place.back_up()
        assert find(place.repository, place.bench.catalog, "his").points == ()
        assert yard.left() == []


def test_preflight_names_what_a_bucket_needs(yard: Yard, place: SqlServerPlace) -> None:
    store, bucket = place.source.store, f"s3://store.example:9000/{yard.bucket}"

    def refused(message: str, share: BucketShare | None = None) -> None:
        engine = place.engine
        if share is not None:
            access = replace(place.source.access, share=share)
            engine = SqlServerPlace.make(_like(place, access))
        with pytest.raises(PreflightError, match=message):
            engine.preflight()

    for name, value in (("version", "15.0.4415.2"), ("engine_edition", 4)):
        right = getattr(store, name)
        setattr(store, name, value)
        refused("cannot back up into a bucket")
        setattr(store, name, right)
    store.rights.update(alter_any_credential=0)
    refused("lacks the right ALTER ANY CREDENTIAL")
    store.rights.clear()
    store.credentials.clear()
    refused(f"the server has no credential for {bucket}")
    store.credentials[bucket] = "Managed Identity"
    refused("its identity is not S3 Access Key")
    store.credentials[bucket] = "S3 Access Key"
    refused("cannot be used from this host: the object store refused", replace(yard.share, secret_key=Secret("no")))
    refused("cannot be used from this host: .*does not answer", replace(yard.share, endpoint="http://127.0.0.1:1"))
    place.engine.preflight()
    assert yard.left() == []


def _like(place: SqlServerPlace, access: Access) -> SqlServerPlace:
    other = object.__new__(SqlServerPlace)
    other.source, other.database, other.directory = (
        replace(place.source, access=access),
        place.database,
        place.directory,
    )
    return other


def test_the_server_refuses_where_there_is_no_credential(yard: Yard, place: SqlServerPlace) -> None:
    """Nobody asked first, or it was dropped since."""
    place.source.store.credentials.clear()
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(SourceError, match="cannot open or read"))
        stack.enter_context(place.engine.capture())
    assert yard.left() == []
