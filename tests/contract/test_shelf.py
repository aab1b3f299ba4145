"""What interfaces.Shelf promises, held by a folder and by a real bucket."""

from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import RepositoryError
from drmgr.interfaces import Shelf
from drmgr.repository.bucket import Bucket, BucketSettings
from drmgr.repository.shelf import FOLDER, BucketShelf, FolderShelf
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]


def bucket_shelf(store: ObjectStore, name: str) -> BucketShelf:
    settings = BucketSettings(store.endpoint, store.region, name, store.access_key, store.secret_key)
    return BucketShelf(Bucket(settings), "/site/one/")


@pytest.fixture(params=["folder", "bucket"])
def make_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Shelf]:
    if request.param == "folder":
        return lambda: FolderShelf(tmp_path)
    store = request.getfixturevalue("object_store")
    name = request.getfixturevalue("make_bucket")(locked=True)
    return lambda: bucket_shelf(store, name)


def test_what_was_put_is_found_again_by_name(make_shelf: Callable[[], Shelf]) -> None:
    shelf = make_shelf()
    assert shelf.names("kit") == []
    assert list(shelf.newest_first("kit")) == []
    for name in ("kit/2-b", "kit/1-a", "audit/host/1", "audit/other/1"):
        shelf.put(name, name.encode() * 1000)
    again = make_shelf()
    assert again.names("kit") == ["kit/1-a", "kit/2-b"]
    assert again.names("audit/host") == ["audit/host/1"]
    assert list(again.newest_first("kit")) == [("kit/2-b", b"kit/2-b" * 1000), ("kit/1-a", b"kit/1-a" * 1000)]
    assert [name for name, _ in again.newest_first("audit")] == ["audit/other/1", "audit/host/1"]


def test_a_store_that_is_not_there_is_an_error_and_not_an_empty_shelf(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    for shelf in (FolderShelf(tmp_path / "nowhere"), bucket_shelf(object_store, "there-is-none")):
        with pytest.raises(RepositoryError):
            shelf.names("kit")
        with pytest.raises(RepositoryError):
            list(shelf.newest_first("kit"))


def test_a_bucket_keeps_what_was_overwritten_and_deleted(object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    name = make_bucket(locked=True)
    shelf, client = bucket_shelf(object_store, name), s3_client(object_store)
    for content in (b"true", b"forged"):
        shelf.put("kit/1-a", content)
    shelf.put("kit/2-b", b"deleted")
    client.delete_object(Bucket=name, Key=f"site/one/{FOLDER}/kit/2-b")
    assert shelf.names("kit") == ["kit/1-a"]
    found = list(shelf.newest_first("kit"))
    assert found[0] == ("kit/2-b", b"deleted")
    assert sorted(found[1:]) == [("kit/1-a", b"forged"), ("kit/1-a", b"true")]
