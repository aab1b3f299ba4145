"""A copy in a bucket that only other keys open, as with another S3 service."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import use_bucket
from tests.support.objectstore import s3_client
from tests.support.site import Site, wait_until

NEAR, FAR = "near-bucket", "far-bucket"


def access_of(bucket: str) -> str:
    return f"{bucket.upper().replace('-', ''):A<20}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    """A store with two buckets, each opened by one key that does not open the other."""
    made = ObjectStore(tmp_path)
    config = json.loads((tmp_path / "s3.json").read_bytes())
    for bucket in (NEAR, FAR):
        keys = [{"accessKey": access_of(bucket), "secretKey": f"secret-of-{bucket}"}]
        actions = [f"{what}:{bucket}" for what in ("Admin", "Read", "Write", "List", "Tagging")]
        config["identities"].append({"name": bucket, "credentials": keys, "actions": actions})
    (tmp_path / "s3.json").write_text(json.dumps(config))
    with made:
        for bucket in (NEAR, FAR):
            s3_client(made).create_bucket(Bucket=bucket)
        yield made


def use_both(site: Site, store: ObjectStore) -> None:
    """The site's store in the one bucket, with its key; a copy in the other, with that one's."""
    use_bucket(site, store, NEAR)
    texts = {"s3-access": access_of(NEAR), "s3-secret": f"secret-of-{NEAR}"}
    texts |= {"far-access": access_of(FAR), "far-secret": f"secret-of-{FAR}"}
    for name, text in texts.items():
        (site.directory / "secrets" / name).write_text(text)
        (site.directory / "secrets" / name).chmod(0o600)
    far = {
        "kind": "s3",
        "endpoint": store.endpoint,
        "bucket": FAR,
        "prefix": "hospital",
        "access_key": "file:secrets/far-access",
        "secret_key": "file:secrets/far-secret",
        "rpo": "6h",
    }
    site.edit(lambda document: document.update(copies={"far": far}))


def move_into_bucket(site: Site, store: ObjectStore) -> list[str]:
    """The documents' repository as it lies in its folder, where it costs little to open; the ids of its points."""
    points, folder = site.points("docs"), site.directory / "repositories/docs"
    for path in folder.rglob("*"):
        if path.is_file():
            s3_client(store).upload_file(str(path), NEAR, f"docs/{path.relative_to(folder)}")
    use_both(site, store)
    return points


def test_a_copy_with_keys_of_its_own_is_made_after_a_kill_too_and_mends_the_store(
    site: Site, store: ObjectStore
) -> None:
    (point,) = move_into_bucket(site, store)
    owner = s3_client(store)
    with site.started("repo", "copy", "docs") as process:
        wait_until(
            lambda: "Contents" in owner.list_objects_v2(Bucket=FAR, Prefix="hospital/docs/data/"), "data to arrive"
        )
        process.kill()
        site.kill_all()
        process.communicate()
    (row,) = site.json("repo", "copy", "docs")["copies"]
    assert (row["points"], row["problems"], row["error"]) == (1, [], None)
    (held,) = site.json("points", "docs", "--from-copy", "far")["points"]
    assert (held["id"], held["copies"]) == (point, ["far"])

    # the data of the store are lost: the copy has them, and the way is the other one
    (lost, *_) = sorted(
        owner.list_objects_v2(Bucket=NEAR, Prefix="docs/data/")["Contents"], key=lambda item: -item["Size"]
    )
    owner.delete_object(Bucket=NEAR, Key=lost["Key"])
    (mended,) = site.json("repo", "check", "docs", "--repair-from", "far")["repositories"]
    assert mended["error"] is None
    assert site.points("docs") == [point]
