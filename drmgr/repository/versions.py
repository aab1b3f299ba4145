"""The versions of a repository's objects in a bucket: what is locked, what was overwritten or hidden, what can come back."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from drmgr.errors import RepositoryError
from drmgr.interfaces import Objects
from drmgr.model import Retention, Stored, Version
from drmgr.model.objects import newest_first
from drmgr.repository.bucket import UNLOCKED, Bucket

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ListObjectVersionsOutputTypeDef

BLOCK: Final = 1 << 20
PAGE: Final = 1000


class BucketObjects:
    """The objects below ``folder``; implements interfaces.Objects. Safe between threads once ``all`` was begun."""

    def __init__(self, bucket: Bucket, folder: str, page: int = PAGE) -> None:
        self.bucket = bucket
        self._page = page
        self.folder = folder.strip("/") + "/"
        self.location = f"{bucket.settings.name}/{folder.strip('/')}"

    def all(self) -> Iterator[Stored]:
        for key, versions in groupby(self._rows(), key=lambda version: version.key):
            yield Stored(key, newest_first(versions))

    def _rows(self) -> Iterator[Version]:
        pages = self.bucket.client.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket.settings.name, Prefix=self.folder, PaginationConfig={"PageSize": self._page}
        )
        iterator = iter(pages)
        while True:
            with self.bucket.mapped("list the versions of the objects"):
                page = next(iterator, None)
            if page is None:
                return
            # the answer keeps contents and markers apart; only both together are in the order of the keys
            yield from sorted(self._of(page), key=lambda version: version.key.encode())

    def _of(self, page: "ListObjectVersionsOutputTypeDef") -> Iterator[Version]:
        for item in page.get("Versions", ()):
            yield Version(
                key=item["Key"].removeprefix(self.folder),
                id=item["VersionId"],
                modified=_whole(item["LastModified"]),
                size=item["Size"],
                etag=item.get("ETag", "").strip('"'),
                latest=item["IsLatest"],
            )
        for mark in page.get("DeleteMarkers", ()):
            yield Version(
                key=mark["Key"].removeprefix(self.folder),
                id=mark["VersionId"],
                modified=_whole(mark["LastModified"]),
                marker=True,
                latest=mark["IsLatest"],
            )

    def now(self) -> datetime:
        return _whole(self.bucket.probe() or datetime.now(UTC))

    def retention(self, version: Version) -> Retention | None:
        from botocore.exceptions import ClientError

        with self.bucket.mapped("read the lock of an object"):
            try:
                answer = self.bucket.client.get_object_retention(**self.named(version))
            except ClientError as error:
                if error.response["Error"]["Code"] in UNLOCKED:
                    return None
                raise
        found = answer.get("Retention", {})
        if "Mode" not in found or "RetainUntilDate" not in found:
            return None
        return Retention(found["Mode"].lower(), found["RetainUntilDate"].astimezone(UTC))

    def retain(self, version: Version, until: datetime, held: Retention | None) -> datetime:
        lock = self.bucket.settings.object_lock
        # a part of a second would be cut off, and the lock be shorter than asked for
        until = _whole(until + timedelta(seconds=1))
        if held is not None and held.until >= until:
            return held.until
        mode = held.mode if held else lock.mode if lock else "governance"
        wanted: Any = {"Mode": mode.upper(), "RetainUntilDate": until}
        with self.bucket.mapped("lock an object for longer"):
            self.bucket.client.put_object_retention(**self.named(version), Retention=wanted)
        return until

    def proves(self, version: Version, digest: str) -> bool:
        found = hashlib.sha256()
        with self.bucket.mapped("read a version of an object"):
            body = self.bucket.client.get_object(**self.named(version))["Body"]
            with body:
                for block in body.iter_chunks(BLOCK):
                    found.update(block)
        return found.hexdigest() == digest

    def uncover(self, version: Version, above: Sequence[Version]) -> None:
        for marker in above:
            if not marker.marker:
                raise RepositoryError(f"{version.key}: what lies above it is no delete marker")
            with self.bucket.mapped("take a delete marker away"):
                self.bucket.client.delete_object(**self.named(marker))

    def bring_forward(self, version: Version) -> None:
        self.copy_to(version, self)

    def hide(self, key: str) -> None:
        with self.bucket.mapped("hide an object"):
            self.bucket.client.delete_object(Bucket=self.bucket.settings.name, Key=self.folder + key)

    def copy_to(self, version: Version, into: Objects) -> None:
        if not isinstance(into, BucketObjects):
            raise TypeError("objects are copied between buckets only")
        source = self.named(version)
        with self.bucket.mapped("copy a version of an object"):
            into.bucket.client.copy_object(
                Bucket=into.bucket.settings.name, Key=into.folder + version.key, CopySource=source
            )

    def named(self, version: Version) -> Any:
        return {"Bucket": self.bucket.settings.name, "Key": self.folder + version.key, "VersionId": version.id}


def _whole(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)
