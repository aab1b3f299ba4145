"""The demo's S3 server is a real one: keys, versions, object lock, outages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from drmgr.demo.objectstore import NAME, ObjectStore
from drmgr.errors import PreflightError
from drmgr.system.secret import Secret
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client
from tests.support.site import wait_until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["make_bucket", "object_store"]


def test_a_locked_version_cannot_be_deleted(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    client, bucket = s3_client(object_store), make_bucket(locked=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},  # type: ignore[typeddict-item]
    )
    version = client.put_object(Bucket=bucket, Key="kept", Body=b"content")["VersionId"]

    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key="kept", VersionId=version)

    assert client.delete_object(Bucket=bucket, Key="kept")["DeleteMarker"]
    kept = client.get_object(Bucket=bucket, Key="kept", VersionId=version)
    assert kept["Body"].read() == b"content"
    assert kept["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(hours=23)


def test_wrong_keys_and_missing_buckets_are_refused(object_store: ObjectStore) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3_client(object_store).put_object(Bucket="nowhere", Key="a", Body=b"")
    right = object_store.secret_key
    object_store.secret_key = Secret("wrong")
    try:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            s3_client(object_store).list_buckets()
    finally:
        object_store.secret_key = right


def read(client: "S3Client", bucket: str, key: str) -> bytes | None:
    """None while the store says that it cannot."""
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InternalError"
        return None


def test_data_endpoint_and_keys_outlast_an_outage(tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as store:
        client = s3_client(store)
        client.create_bucket(Bucket="here")
        client.put_object(Bucket="here", Key="a", Body=b"content")
        store.stop()
        with pytest.raises(EndpointConnectionError):
            client.list_buckets()
        store.start()

        # S3 answers before the server has found its data again
        wait_until(lambda: read(client, "here", "a") is not None, "the data to be there again", seconds=30)
        assert read(client, "here", "a") == b"content"
    assert (tmp_path / "s3.json").stat().st_mode & 0o077 == 0


def test_a_detached_server_runs_until_it_is_ended_by_its_directory(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    store.start_detached()
    try:
        assert s3_client(store).list_buckets()["Buckets"] == []
    finally:
        ended = ObjectStore.stop_detached(tmp_path)

    assert ended == NAME
    assert ObjectStore.stop_detached(tmp_path) is None
    with pytest.raises(EndpointConnectionError):
        s3_client(store).list_buckets()


def test_a_server_that_cannot_start_says_where_its_words_are(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    (tmp_path / "s3.json").write_text("no json")

    with pytest.raises(PreflightError, match="did not start") as caught:
        store.start()

    assert str(store.log) in caught.value.hint
    assert store.log.stat().st_size > 0
