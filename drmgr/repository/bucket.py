"""The object store beneath the repositories, by boto3: buckets, versioning, object lock, reachability."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from drmgr.errors import (
    RepositoryAccessError,
    RepositoryError,
    RepositoryMissingError,
    RepositoryUnreachableError,
)
from drmgr.system.secret import Secret

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


CONNECTIONS: Final = 16
"""Requests to the store at the same time."""

AUDIT_FOLDER: Final = "drmgr-audit"
EVIDENCE_FOLDER: Final = "drmgr-evidence"
PROTECTION_FOLDER: Final = "drmgr-protection"
"""Folders of the bucket, beside the repositories."""

# what makers answer differently
NOT_THERE: Final = {"NoSuchKey", "NoSuchVersion"}
UNLOCKED: Final = {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"}
"""For a version, or a bucket, that has no lock. AWS: the first, or the last for a bucket without."""
REFUSED_BY_LOCK: Final = {"AccessDenied", "InvalidRequest", "ObjectLocked", "MethodNotAllowed", "InvalidObjectState"}
"""To an act that a lock forbids. S3, SeaweedFS: the first. MinIO, Ceph: as their papers say."""
NO_RULES: Final = {"NoSuchLifecycleConfiguration"}
"""For a bucket without a lifecycle."""


@dataclass(frozen=True)
class ObjectLock:
    """Default retention of new objects: ``governance`` or ``compliance``, for so many days."""

    mode: str
    days: int


@dataclass(frozen=True)
class BucketSettings:
    """Where the bucket lives. ``object_lock`` None: the bucket is only versioned."""

    endpoint: str
    region: str
    name: str
    access_key: Secret
    secret_key: Secret
    object_lock: ObjectLock | None = None


class Bucket:
    """One S3 bucket. Differences between S3 makers belong in here and nowhere else."""

    def __init__(self, settings: BucketSettings) -> None:
        self.settings = settings
        self.requests = 0
        """How many requests were sent, repeated ones too."""
        self._counting = threading.Lock()

    @cached_property
    def client(self) -> "S3Client":
        """boto3's; made before threads share it. Whoever uses it does so within ``mapped``."""
        import boto3
        from botocore.config import Config

        settings = self.settings
        client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key.reveal(),
            aws_secret_access_key=settings.secret_key.reveal(),
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"max_attempts": 2, "mode": "standard"},
                max_pool_connections=CONNECTIONS,
                s3={"addressing_style": "path"},
            ),
        )
        client.meta.events.register("before-send.s3", self._count)
        return client

    def _count(self, **_: object) -> None:
        with self._counting:
            self.requests += 1

    def probe(self) -> datetime | None:
        """Proves that the bucket is there and our keys are accepted; gives the store's clock where it tells it.

        Raises RepositoryUnreachableError, RepositoryAccessError, RepositoryMissingError.
        """
        with self.mapped("open the bucket"):
            answer = self.client.list_objects_v2(Bucket=self.settings.name, MaxKeys=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else None

    def ensure(self) -> bool:
        """Makes the bucket, versioned and locked as the settings ask; True when it was made now.

        An existing bucket is checked against the settings, for object lock cannot be added later everywhere. Raises
        RepositoryError when it does not protect what it should.
        """
        try:
            self.probe()
        except RepositoryMissingError:
            self._create()
            made = True
        else:
            made = False
        self._check_protection()
        return made

    def _create(self) -> None:
        settings, client = self.settings, self.client
        arguments: dict[str, Any] = {
            "Bucket": settings.name,
            "ObjectLockEnabledForBucket": settings.object_lock is not None,
        }
        if settings.region not in {"", "us-east-1"}:
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": settings.region}
        with self.mapped("make the bucket"):
            client.create_bucket(**arguments)
            client.put_bucket_versioning(Bucket=settings.name, VersioningConfiguration={"Status": "Enabled"})
            if settings.object_lock is not None:
                client.put_object_lock_configuration(
                    Bucket=settings.name,
                    ObjectLockConfiguration={
                        "ObjectLockEnabled": "Enabled",
                        "Rule": {"DefaultRetention": _retention(settings.object_lock)},
                    },
                )

    def _check_protection(self) -> None:
        lock = self.settings.object_lock
        if lock is None:
            return
        found = self.protection()
        if found != lock:
            raise RepositoryError(
                f"the bucket {self.settings.name} is to lock objects ({lock.mode}, {lock.days} days) but says {found}",
                hint="set its object lock and default retention, or choose a new bucket name",
            )

    def protection(self) -> ObjectLock | None:
        """The bucket's default retention as it is now; None when it has none."""
        from botocore.exceptions import ClientError

        with self.mapped("read the bucket's object lock"):
            versioning = self.client.get_bucket_versioning(Bucket=self.settings.name)
            if versioning.get("Status") != "Enabled":
                return None
            try:
                answer = self.client.get_object_lock_configuration(Bucket=self.settings.name)
            except ClientError as error:
                if error.response["Error"]["Code"] in UNLOCKED:
                    return None
                raise
        rule = answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention")
        if not rule:
            return None
        return ObjectLock(str(rule["Mode"]).lower(), rule.get("Days", 0) or 365 * rule.get("Years", 0))

    def put(self, key: str, content: bytes) -> None:
        """Stores one small object. Raises RepositoryError."""
        with self.mapped(f"store {key}"):
            self.client.put_object(Bucket=self.settings.name, Key=key, Body=content)

    def remove(self, key: str) -> None:
        """Takes one object away; where there are versions, a delete marker covers them. Raises RepositoryError."""
        with self.mapped(f"remove {key}"):
            self.client.delete_object(Bucket=self.settings.name, Key=key)

    def put_anchor(self, prefix: str, name: str, content: bytes, folder: str = AUDIT_FOLDER) -> None:
        """Stores a few signed bytes, such as the head of an audit log, where the bucket's default retention keeps them.

        Raises RepositoryError.
        """
        self.put(anchor_folder(prefix, folder) + name, content)

    def anchors(self, prefix: str, folder: str = AUDIT_FOLDER, name: str = "") -> Iterator[tuple[str, bytes]]:
        """Every version of every anchor (``name``: of those that begin so), newest first for each name.

        Also of those that were overwritten or marked as deleted. Raises RepositoryError.
        """
        place, bucket = anchor_folder(prefix, folder), self.settings.name
        with self.mapped("read the anchors"):
            pages = self.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=place + name)
            for page in pages:
                for version in page.get("Versions", ()):
                    found = self.client.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
                    yield version["Key"].removeprefix(place), found["Body"].read()

    @contextmanager
    def mapped(self, action: str) -> Iterator[None]:
        """boto3's errors as ours."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            if code in NOT_THERE:
                raise RepositoryError(f"{action}: the object is not there any more ({code})") from error
            if code in {"NoSuchBucket", "404"} or status == 404:  # noqa: PLR2004 - HTTP's own number
                raise RepositoryMissingError(f"{action}: there is no bucket {self.settings.name}") from error
            if status in {401, 403}:
                raise RepositoryAccessError(f"{action}: the object store refused our keys ({code})") from error
            raise RepositoryError(f"{action}: the object store answered {code}") from error
        except (ParamValidationError, ValueError) as error:
            # boto3's own words may quote what it was given
            raise RepositoryError(
                f"{action}: boto3 refuses the endpoint, the region or the bucket's name",
                hint="look at store.endpoint, store.region and store.bucket in the site file",
            ) from error
        except BotoCoreError as error:
            raise RepositoryUnreachableError(
                f"{action}: the object store at {self.settings.endpoint} does not answer ({type(error).__name__})"
            ) from error


def anchor_folder(prefix: str, folder: str = AUDIT_FOLDER) -> str:
    """Where the anchors lie, beside the repositories."""
    return f"{prefix.strip('/')}/{folder}/".removeprefix("/")


def _retention(lock: ObjectLock) -> Any:
    return {"Mode": lock.mode.upper(), "Days": lock.days}
