"""The lock as it is proven, not as it is set: on a real store with a lock, without one, and with keys that may lift it."""

from dataclasses import replace

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import RepositoryMissingError
from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock
from drmgr.repository.lifecycle import RULE, dangers, ensure_rule, lets_expire
from drmgr.repository.lockproof import prove_lock
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]


def bucket_with(store: ObjectStore, name: str, mode: str = "compliance") -> Bucket:
    return Bucket(
        BucketSettings(store.endpoint, store.region, name, store.access_key, store.secret_key, ObjectLock(mode, 10))
    )


@pytest.mark.parametrize(("mode", "bypass"), [("compliance", False), ("governance", True)])
def test_a_lock_is_proven_by_attacking_it(object_store: ObjectStore, mode: str, *, bypass: bool) -> None:
    bucket = bucket_with(object_store, f"proof-{mode}", mode)
    bucket.ensure()
    for _ in range(3):
        proof = prove_lock(bucket, "a/site")
        assert proof.broken == ()
        assert proof.bypass is bypass
        assert proof.lock is not None
        assert proof.lock.mode == mode
    versions = s3_client(object_store).list_object_versions(Bucket=f"proof-{mode}", Prefix="a/site/drmgr-probe/")
    # one probe serves for days, unless somebody lifted its lock, as a governance lock lets our own keys do
    assert len(versions["Versions"]) == (4 if bypass else 2)


def test_what_does_not_lock_is_found(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    # object lock is on, but without a default retention: new objects are free to delete
    assert prove_lock(bucket_with(object_store, make_bucket(locked=True)), "").broken == ("a new object is not locked",)
    with pytest.raises(RepositoryMissingError):
        prove_lock(bucket_with(object_store, "nowhere"), "")
    plain = make_bucket()
    assert "keeps no versions" in prove_lock(bucket_with(object_store, plain), "").broken[0]


def test_the_lifecycle_lets_go_of_older_versions_only_and_others_are_told(object_store: ObjectStore) -> None:
    bucket = bucket_with(object_store, "lifecycle")
    bucket.ensure()
    assert (lets_expire(bucket), dangers(bucket)) == (False, ())
    assert ensure_rule(bucket)
    assert not ensure_rule(bucket)
    client = s3_client(object_store)
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket="lifecycle")["Rules"]
    assert (rule.get("ID"), rule["NoncurrentVersionExpiration"]["NoncurrentDays"]) == (RULE, 10)
    assert (lets_expire(bucket), dangers(bucket)) == (True, ())
    # what an attacker would set
    evil = {"ID": "evil", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    evil["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    client.put_bucket_lifecycle_configuration(
        Bucket="lifecycle",
        LifecycleConfiguration={"Rules": [evil]},  # type: ignore[list-item]
    )
    assert dangers(bucket) == (
        "the rule evil hides objects by their age, whether they are needed or not",
        "the rule evil takes older versions away after 1 days, before 10 are over",
    )
    assert not ensure_rule(bucket)
    unlocked = Bucket(replace(bucket.settings, object_lock=None))
    assert not ensure_rule(unlocked)
