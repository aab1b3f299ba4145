"""Anchors of the audit log in a real, locked bucket: who may write there can add to them, but not take them away."""

from drmgr.demo.objectstore import ObjectStore
from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]


def test_an_anchor_outlives_overwriting_and_deletion(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    name = make_bucket()
    lock = ObjectLock("governance", 1)
    bucket = Bucket(
        BucketSettings(
            object_store.endpoint,
            object_store.region,
            f"{name}-locked",
            object_store.access_key,
            object_store.secret_key,
            lock,
        )
    )
    bucket.ensure()
    for prefix in ("", "/site/one/"):
        assert list(bucket.anchors(prefix)) == []
        bucket.put_anchor(prefix, "1-a.json", b"true")
        bucket.put_anchor(prefix, "2-b.json", b"second")
        bucket.put_anchor(prefix, "1-a.json", b"forged")
        key = f"{prefix.strip('/')}/drmgr-audit/2-b.json".removeprefix("/")
        s3_client(object_store).delete_object(Bucket=f"{name}-locked", Key=key)
        found = sorted(bucket.anchors(prefix))
        assert found == [("1-a.json", b"forged"), ("1-a.json", b"true"), ("2-b.json", b"second")]
