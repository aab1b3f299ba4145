"""A Bucket against a real S3 server: what protects the repositories is there, or drmgr says that it is not."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import (
    RepositoryAccessError,
    RepositoryError,
    RepositoryMissingError,
    RepositoryUnreachableError,
)
from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock
from drmgr.system.secret import Secret
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]

LOCK = ObjectLock("governance", 7)


def settings(store: ObjectStore, name: str, lock: ObjectLock | None = LOCK) -> BucketSettings:
    return BucketSettings(store.endpoint, store.region, name, store.access_key, store.secret_key, lock)


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_a_bucket_is_made_versioned_and_locked(object_store: ObjectStore, mode: str) -> None:
    name, lock = f"made-{mode}", ObjectLock(mode, 7)
    bucket = Bucket(settings(object_store, name, lock))
    assert bucket.ensure() is True
    assert bucket.ensure() is False
    assert bucket.protection() == lock

    client = s3_client(object_store)
    first = client.put_object(Bucket=name, Key="a", Body=b"first")["VersionId"]
    client.put_object(Bucket=name, Key="a", Body=b"second")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=name, Key="a", VersionId=first)
    kept = client.get_object(Bucket=name, Key="a", VersionId=first)
    assert kept["Body"].read() == b"first"
    assert kept["ObjectLockMode"] == mode.upper()
    assert timedelta(days=6) < kept["ObjectLockRetainUntilDate"] - datetime.now(UTC) <= timedelta(days=7)


def test_without_a_lock_the_bucket_still_keeps_versions(object_store: ObjectStore) -> None:
    bucket = Bucket(settings(object_store, "only-versions", None))
    assert bucket.ensure() is True
    client = s3_client(object_store)
    first = client.put_object(Bucket="only-versions", Key="a", Body=b"first")["VersionId"]
    client.delete_object(Bucket="only-versions", Key="a")
    assert client.get_object(Bucket="only-versions", Key="a", VersionId=first)["Body"].read() == b"first"
    assert bucket.protection() is None


@pytest.mark.parametrize("locked", [False, True])
def test_a_bucket_that_does_not_protect_as_asked_is_refused(
    object_store: ObjectStore, make_bucket: BucketMaker, *, locked: bool
) -> None:
    """One without object lock, and one whose lock has no default retention."""
    bucket = Bucket(settings(object_store, make_bucket(locked=locked)))
    with pytest.raises(RepositoryError, match="is to lock objects") as caught:
        bucket.ensure()
    assert "retention" in caught.value.hint


@pytest.mark.parametrize("wanted", [ObjectLock("compliance", 7), ObjectLock("governance", 8)])
def test_another_protection_than_the_one_asked_for_is_refused(object_store: ObjectStore, wanted: ObjectLock) -> None:
    Bucket(settings(object_store, "weak", LOCK)).ensure()
    with pytest.raises(RepositoryError, match="is to lock objects"):
        Bucket(settings(object_store, "weak", wanted)).ensure()


def test_a_missing_bucket_is_told_from_refused_keys(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    with pytest.raises(RepositoryMissingError, match="there is no bucket nowhere"):
        Bucket(settings(object_store, "nowhere")).probe()
    here = settings(object_store, make_bucket())
    for wrong in (replace(here, secret_key=Secret("wrong")), replace(here, access_key=Secret("nobody"))):
        for act in (Bucket(wrong).probe, Bucket(wrong).ensure, Bucket(wrong).protection):
            with pytest.raises(RepositoryAccessError) as caught:
                act()
            assert here.secret_key.reveal() not in str(caught.value)
            assert "wrong" not in str(caught.value)


def test_the_stores_clock_is_told(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    told = Bucket(settings(object_store, make_bucket())).probe()
    assert told is not None
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_store_that_is_away_is_told_at_once_and_found_again(tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as store:
        bucket = Bucket(settings(store, "here", None))
        bucket.ensure()
        store.stop()
        started = time.monotonic()
        with pytest.raises(RepositoryUnreachableError, match="does not answer"):
            bucket.probe()
        assert time.monotonic() - started < 10
        store.start()
        bucket.probe()


@contextmanager
def no_s3(status: int) -> Iterator[str]:
    """A web server that is no object store."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html><body>welcome")

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_server_that_is_no_object_store_is_an_error_of_the_repository(status: int) -> None:
    with no_s3(status) as endpoint, pytest.raises(RepositoryError):
        Bucket(BucketSettings(endpoint, "us-east-1", "b", Secret("a"), Secret("b"))).probe()


@pytest.mark.parametrize(("endpoint", "name"), [("not an address", "b"), ("http://127.0.0.1:1", "Not A Bucket/")])
def test_settings_that_boto3_refuses_are_an_error_of_the_repository(endpoint: str, name: str) -> None:
    with pytest.raises(RepositoryError, match="refuses") as caught:
        Bucket(BucketSettings(endpoint, "us-east-1", name, Secret("a"), Secret("b"))).probe()
    assert "store.endpoint" in caught.value.hint
