"""Copies in locked buckets are protected with the store, and what is done to them is told."""

from datetime import UTC, datetime, timedelta

import pytest

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import use_bucket
from tests.support.objectstore import BucketMaker, s3_client
from tests.support.site import Site


@pytest.fixture
def far(site: Site, object_store: ObjectStore, make_bucket: BucketMaker) -> str:
    """The bucket of a copy, which is not there yet; the store itself is the folder that it was."""
    bucket = f"{make_bucket()}-far"
    before = site.json("config", "show")["site"]["store"]
    use_bucket(site, object_store, bucket)

    def change(document: dict) -> None:  # type: ignore[type-arg]
        copy = {**document["store"], "rpo": "6h", "object_lock": {"mode": "compliance", "days": 10}}
        document.update(copies={"far": copy}, store={"kind": "folder", "path": before["path"]})

    site.edit(change)
    return bucket


def test_a_copy_in_a_locked_bucket_is_protected_and_watched(site: Site, object_store: ObjectStore, far: str) -> None:
    site.json("repo", "copy", "docs")
    owner, where = s3_client(object_store), {"Bucket": far}
    assert owner.get_object_lock_configuration(**where)["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    (row,) = site.json("repo", "protect", "docs", "--days", "40")["systems"]
    assert (row["system"], row["copy"], row["ok"], row["extended"] > 5) == ("docs", "far", True, True)
    (copy,) = site.json("points", "docs")["copies"]
    assert datetime.fromisoformat(copy["protected_until"]) - datetime.now(UTC) > timedelta(days=39)
    assert site.json("status", "docs")["ok"]

    (seal, *_) = owner.list_objects_v2(Bucket=far, Prefix="docs/snapshots/")["Contents"]
    owner.delete_object(Bucket=far, Key=seal["Key"])
    (row,) = site.json("repo", "protect", "docs", code=4)["systems"]
    assert (row["copy"], row["ok"], bool(row["problems"])) == ("far", False, True)
    found = site.json("status", "docs", code=4)["systems"][0]
    assert {(each["code"], each["subject"]) for each in found["problems"]} == {
        ("unprotected", "far"),
        ("copy-damaged", "far"),
        ("copy-behind", "far"),
    }
