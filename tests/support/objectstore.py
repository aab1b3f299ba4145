"""One real S3 server for the whole test run; each test gets a bucket of its own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drmgr.demo.objectstore import ObjectStore

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BucketMaker = Callable[..., str]


def s3_client(store: ObjectStore, endpoint: str | None = None) -> "S3Client":
    """A client with the server's own keys; ``endpoint`` is a proxy before it."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint or store.endpoint,
        region_name=store.region,
        aws_access_key_id=store.access_key.reveal(),
        aws_secret_access_key=store.secret_key.reveal(),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5),
    )


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running S3 server, shared: tests that stop it start one of their own."""
    with ObjectStore(tmp_path_factory.mktemp("objectstore")) as store:
        yield store


@pytest.fixture(scope="session")
def make_bucket(object_store: ObjectStore) -> BucketMaker:
    """Makes an empty bucket with a new name; ``locked=True`` with versions and object lock."""
    numbers = itertools.count(1)

    def make(*, locked: bool = False) -> str:
        name = f"bucket-{next(numbers)}"
        s3_client(object_store).create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return name

    return make


def fill_bucket(store: ObjectStore, bucket: str, folder: Path, system: str = "*", *, locked_days: int = 0) -> None:
    """Puts the repositories of a folder into an empty bucket: the passwords of those that restic makes cost much to try."""
    client = s3_client(store)
    if locked_days:
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": locked_days}}
        client.put_object_lock_configuration(
            Bucket=bucket,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},  # type: ignore[typeddict-item]
        )
    for path in folder.glob(f"{system}/**/*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
