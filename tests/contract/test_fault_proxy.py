"""The proxy that the fault tests trust: what it lets through is unharmed, what it is told to break is broken."""

import os
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from drmgr.demo.objectstore import ObjectStore
from tests.support.fault_proxy import FaultProxy
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]

CUT = (ConnectionClosedError, EndpointConnectionError)


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(object_store.endpoint) as running:
        yield running


def test_it_lets_through_breaks_and_heals(
    object_store: ObjectStore, make_bucket: BucketMaker, proxy: FaultProxy
) -> None:
    bucket, content = make_bucket(), os.urandom(3_000_000)
    client = s3_client(object_store, proxy.endpoint)
    client.put_object(Bucket=bucket, Key="a b/文", Body=content)
    assert client.get_object(Bucket=bucket, Key="a b/文")["Body"].read() == content
    assert client.head_object(Bucket=bucket, Key="a b/文")["ContentLength"] == len(content)
    assert [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b/文"]

    proxy.fail(500, after=1, times=2)
    client.list_objects_v2(Bucket=bucket)
    for _ in range(2):
        with pytest.raises(ClientError, match="InternalError"):
            client.put_object(Bucket=bucket, Key="b", Body=content)
    proxy.fail(403, methods={"PUT"}, matching="/refused")
    client.put_object(Bucket=bucket, Key="taken", Body=b"1")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=bucket, Key="refused", Body=b"1")
    proxy.heal()
    client.put_object(Bucket=bucket, Key="refused", Body=b"1")
    proxy.drop(times=1)
    with pytest.raises(CUT):
        client.list_objects_v2(Bucket=bucket)
    assert len(client.list_objects_v2(Bucket=bucket)["Contents"]) == 3
    assert proxy.count("PUT", "/refused") == 2

    proxy.slow(latency=0.2, bandwidth=10_000_000)
    began = time.monotonic()
    assert client.get_object(Bucket=bucket, Key="a b/文")["Body"].read() == content
    assert time.monotonic() - began > 0.45


def test_a_store_that_is_away_is_away_behind_it_too(object_store: ObjectStore) -> None:
    with FaultProxy("http://127.0.0.1:9") as proxy, pytest.raises(CUT):
        s3_client(object_store, proxy.endpoint).list_buckets()
