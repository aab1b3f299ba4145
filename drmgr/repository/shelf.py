"""Small sealed things kept beside the repositories: in the same bucket, or in the same folder."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drmgr.errors import RepositoryError, RepositoryUnreachableError
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.repository.bucket import Bucket

FOLDER: Final = "drmgr-recovery"
"""No system may be named so: a repository would lie in its place."""

_NAME: Final = re.compile(r"[a-z]+(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+")


class BucketShelf:
    """The shelf of interfaces.Shelf in a bucket, whose default retention keeps every version from being taken away."""

    def __init__(self, bucket: "Bucket", prefix: str) -> None:
        self._bucket = bucket
        self._folder = f"{prefix.strip('/')}/{FOLDER}/".removeprefix("/")
        self.where = f"bucket {bucket.settings.name}"

    def put(self, name: str, content: bytes) -> None:
        self._bucket.put(self._folder + name, content)

    def names(self, folder: str) -> list[str]:
        bucket, prefix = self._bucket.settings.name, f"{self._folder}{folder}/"
        with self._bucket.mapped(f"list {folder}"):
            pages = self._bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return sorted(
                filter(None, (self._name(found["Key"]) for page in pages for found in page.get("Contents", ())))
            )

    def newest_first(self, folder: str) -> Iterator[tuple[str, bytes]]:
        for name, _, version in sorted(self._versions(folder), reverse=True):
            with self._bucket.mapped(f"read {name}"):
                found = self._bucket.client.get_object(
                    Bucket=self._bucket.settings.name, Key=self._folder + name, VersionId=version
                )
                content = found["Body"].read()
            yield name, content

    def _versions(self, folder: str) -> Iterator[tuple[str, datetime, str]]:
        bucket, prefix = self._bucket.settings.name, f"{self._folder}{folder}/"
        with self._bucket.mapped(f"list the versions of {folder}"):
            for page in self._bucket.client.get_paginator("list_object_versions").paginate(
                Bucket=bucket, Prefix=prefix
            ):
                for each in page.get("Versions", ()):
                    if name := self._name(each["Key"]):
                        yield name, each["LastModified"], each["VersionId"]

    def _name(self, key: str) -> str:
        """Our name of that object; empty for one that somebody else put there."""
        name = key.removeprefix(self._folder)
        return name if _NAME.fullmatch(name) else ""


class FolderShelf:
    """The shelf in a folder. Nothing protects it but the folder's own rights."""

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER
        self.where = f"folder {store}"

    def put(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self._folder / name, content)
        except OSError as error:
            raise RepositoryError(f"{FOLDER} cannot be written: {(error.strerror or '').lower()}") from error

    def names(self, folder: str) -> list[str]:
        return sorted(self._found(folder))

    def newest_first(self, folder: str) -> Iterator[tuple[str, bytes]]:
        for name in sorted(self._found(folder), reverse=True):
            try:
                yield name, (self._folder / name).read_bytes()
            except OSError as error:
                raise RepositoryError(f"{name} cannot be read: {(error.strerror or '').lower()}") from error

    def _found(self, folder: str) -> Iterator[str]:
        if not self._folder.parent.is_dir():
            raise RepositoryUnreachableError(f"the store's folder {self._folder.parent} is not there")
        for path in (self._folder / folder).rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file() and _NAME.fullmatch(name):
                yield name
