"""Objects in a real, locked bucket, and the fake that stands in for it elsewhere: the same ways."""

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import RepositoryError
from drmgr.interfaces import Objects
from drmgr.model import Stored
from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock
from drmgr.repository.versions import BucketObjects
from tests.support.fake_objects import FakeObjects
from tests.support.fakes import FakeClock
from tests.support.objectstore import make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]

Put = Callable[[str, bytes], None]
LOCK = ObjectLock("compliance", 30)


@pytest.fixture(scope="module")
def locked(object_store: ObjectStore) -> Bucket:
    keys = (object_store.access_key, object_store.secret_key)
    bucket = Bucket(BucketSettings(object_store.endpoint, object_store.region, "versions", *keys, LOCK))
    bucket.ensure()
    return bucket


@pytest.fixture(params=["fake", "bucket"])
def made(request: pytest.FixtureRequest) -> tuple[Objects, Put]:
    """Objects, and how somebody else puts one there."""
    if request.param == "fake":
        fake = FakeObjects(FakeClock())

        def put_there(key: str, content: bytes) -> None:
            fake.put(key, content)

        return fake, put_there
    bucket = request.getfixturevalue("locked")
    store = request.getfixturevalue("object_store")
    folder = request.node.name.replace("[", "-").strip("]")

    def put(key: str, content: bytes) -> None:
        s3_client(store).put_object(Bucket="versions", Key=f"{folder}/{key}", Body=content)

    # beside it lies what must never be in its answers
    s3_client(store).put_object(Bucket="versions", Key=f"{folder}-other/config", Body=b"of another")
    return BucketObjects(bucket, folder, page=2), put


def one(objects: Objects, key: str) -> Stored:
    (found,) = [stored for stored in objects.all() if stored.key == key]
    return found


def test_every_version_of_every_key_is_told_newest_first(made: tuple[Objects, Put]) -> None:
    objects, put = made
    for key, contents in {
        "config": [b"1"],
        "data/aa/b": [b"1", b"22", b"22"],
        "locks/x": [b"1"],
        "z": [b"1", b"2"],
    }.items():
        for content in contents:
            put(key, content)
    objects.hide("data/aa/b")
    objects.hide("locks/x")
    objects.hide("locks/x")
    put("locks/x", b"333")
    found = {stored.key: stored for stored in objects.all()}
    assert list(found) == ["config", "data/aa/b", "locks/x", "z"]
    assert [version.marker for version in found["data/aa/b"].versions] == [True, False, False, False]
    assert [len(stored.versions) for stored in found.values()] == [1, 4, 4, 2]
    assert found["data/aa/b"].current is None
    assert [version.size for version in found["data/aa/b"].contents] == [2, 1]
    current = found["locks/x"].current
    assert current is not None
    assert (current.size, current.latest) == (3, True)
    assert abs(current.modified - objects.now()) < timedelta(minutes=1)
    assert objects.now().microsecond == 0


def test_a_lock_is_read_and_lengthened_and_never_shortened(made: tuple[Objects, Put]) -> None:
    objects, put = made
    put("config", b"1")
    version, now = one(objects, "config").versions[0], objects.now()
    held = objects.retention(version)
    assert held is not None
    assert held.mode == "compliance"
    assert abs(held.until - (now + timedelta(days=30))) < timedelta(minutes=1)
    assert objects.retain(version, now + timedelta(days=3), held) == held.until
    assert objects.retention(version) == held
    until = objects.retain(version, now + timedelta(days=90), held)
    assert until >= now + timedelta(days=90)
    longer = objects.retention(version)
    assert longer is not None
    assert longer.until == until


def test_hidden_and_overwritten_objects_come_back(made: tuple[Objects, Put]) -> None:
    objects, put = made
    good = hashlib.sha256(b"good").hexdigest()
    put("config", b"good")
    objects.hide("config")
    objects.hide("config")
    hidden = one(objects, "config")
    objects.uncover(hidden.contents[0], [version for version in hidden.versions if version.marker])
    back = one(objects, "config")
    assert back.current is not None
    assert len(back.versions) == 1
    put("config", b"evil")
    evil, kept = one(objects, "config").versions
    assert (objects.proves(evil, good), objects.proves(kept, good)) == (False, True)
    with pytest.raises((RepositoryError, AssertionError)):
        objects.uncover(kept, [evil])
    objects.bring_forward(kept)
    assert [objects.proves(version, good) for version in one(objects, "config").versions] == [True, False, True]
    assert len(one(objects, "config").contents) == 2


def test_objects_are_copied_elsewhere_and_locked_there(
    object_store: ObjectStore, locked: Bucket, make_bucket: Callable[..., str]
) -> None:
    client, name = s3_client(object_store), make_bucket(locked=True)
    client.put_object(Bucket="versions", Key="copied/config", Body=b"good")
    keys = (object_store.access_key, object_store.secret_key)
    other = Bucket(BucketSettings(object_store.endpoint, object_store.region, name, *keys, LOCK))
    source, target = BucketObjects(locked, "copied"), BucketObjects(other, "a/b")
    source.copy_to(one(source, "config").versions[0], target)
    assert client.get_object(Bucket=name, Key="a/b/config")["Body"].read() == b"good"
    copied = one(target, "config").versions[0]
    # SeaweedFS gives the copy the lock of its source, S3 that of the bucket's default: here none
    until = target.now() + timedelta(days=60)
    assert target.retain(copied, until, target.retention(copied)) >= until
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=name, Key="a/b/config", VersionId=copied.id)
