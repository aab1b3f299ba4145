"""A bucket that a SQL Server (2022 and newer) and this host both see: backups go there as objects, and are taken away again."""

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from drmgr.system.mssql_names import Device, literal
from drmgr.system.secret import Secret

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DEFAULT_REGION = "us-east-1"
LARGEST_TRANSFER = 20 * 1024 * 1024
"""Bytes of one part of an object, of which there are 10,000 at most. The server takes more than 10 MiB only compressed."""

BLOCK_BYTES = 1 << 20
TRIES = 5
"""How often a read may be cut off in a row before it is given up; each goes on where the one before ended."""

MISSING, REFUSED, CHANGED = 404, frozenset({401, 403}), 412


@dataclass(frozen=True)
class BucketShare:
    """``url`` is ``s3://HOST[:PORT]/BUCKET[/PREFIX]`` as the server sees it, by HTTPS; ``endpoint`` the store as this host does.

    The keys are drmgr's own; the server has others, in a credential that an administrator made. See Handover.
    """

    url: str
    endpoint: str
    access_key: Secret
    secret_key: Secret
    region: str = DEFAULT_REGION
    ca: Path | None = None

    @classmethod
    def of(cls, found: Mapping[str, str | None]) -> "BucketShare":
        """What ``described`` told. Raises KeyError."""
        texts = {name: str(found[name]) for name in ("url", "endpoint", "region")}
        access_key, secret_key = (Secret(str(found[name])) for name in ("access_key", "secret_key"))
        ca = found["ca"]
        return cls(**texts, access_key=access_key, secret_key=secret_key, ca=None if ca is None else Path(ca))

    def described(self) -> Mapping[str, object]:
        return {
            "url": self.url,
            "endpoint": self.endpoint,
            "access_key": self.access_key.reveal(),
            "secret_key": self.secret_key.reveal(),
            "region": self.region,
            "ca": None if self.ca is None else str(self.ca),
        }

    @property
    def where(self) -> str:
        return f"the bucket {self.url}"

    @property
    def hint(self) -> str:
        return "do backups.url and backups.endpoint in the site file lead to the same bucket?"

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the server's credentials that would open the place: of the bucket, or of a folder in it."""
        host, *folders = self.url.removeprefix("s3://").split("/")
        return tuple(f"s3://{'/'.join((host, *folders[: count + 1]))}" for count in range(len(folders)))

    def device(self, name: str) -> Device:
        region = json.dumps({"s3": {"region": self.region}})
        other = self.region != DEFAULT_REGION
        return Device(
            f"URL = {literal(f'{self.url}/{name}')}",
            # INIT is not known for objects, and to stop on an error is what CHECKSUM does anyway
            ("FORMAT", "CHECKSUM", *((f"BACKUP_OPTIONS = {literal(region)}",) if other else ())),
            (f"MAXTRANSFERSIZE = {LARGEST_TRANSFER}",),
            (f"RESTORE_OPTIONS = {literal(region)}",) if other else (),
        )

    def size(self, name: str) -> int:
        return self.look(name)[0]

    def look(self, name: str) -> tuple[int, str]:
        """Size and tag; the tag changes with the content."""
        with self._mapped():
            found = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        return found["ContentLength"], found["ETag"]

    def names(self, prefix: str) -> list[str]:
        with self._mapped():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix)
            )
            return sorted(self._name(found["Key"]) for page in pages for found in page.get("Contents", ()))

    def halves(self, prefix: str) -> list[str]:
        return sorted({self._name(key) for key, _ in self._uploads(prefix)})

    def put(self, source: Path, name: str) -> None:
        from boto3.exceptions import S3UploadFailedError

        with self._mapped():
            try:
                self._client.upload_file(str(source), self._bucket, self._key(name))
            except S3UploadFailedError as error:
                raise error.__context__ or error from None

    def read(self, name: str, into: IO[bytes]) -> None:
        self.copy(name, into)

    def copy(self, name: str, into: IO[bytes], tag: str = "") -> int:
        """Bytes copied: all of the object, and of one and the same (with a tag: of that one). Raises OSError."""
        at, size, cut = 0, -1, 0
        while at != size:
            answer = self._open(name, at, tag)
            if size < 0:
                size, tag = answer["ContentLength"], answer["ETag"]
            before = at
            for block in self._blocks(answer["Body"]):
                into.write(block)
                at += len(block)
            cut = 0 if at > before else cut + 1
            if at != size and cut >= TRIES:
                raise OSError(errno.EIO, f"the object store gave {at} of {size} bytes and no more")
        return at

    def _open(self, name: str, at: int, tag: str) -> Any:
        wanted = {"Bucket": self._bucket, "Key": self._key(name)}
        wanted |= {"Range": f"bytes={at}-"} if at else {}
        wanted |= {"IfMatch": tag} if tag else {}
        with self._mapped():
            return self._client.get_object(**wanted)  # type: ignore[arg-type]

    def _blocks(self, body: Any) -> Iterator[bytes]:
        """What arrives before the connection breaks."""
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        while True:
            try:
                block = body.read(BLOCK_BYTES)
            except (BotoCoreError, HTTPError):
                return
            if not block:
                return
            yield block

    def remove(self, name: str) -> None:
        bucket = self._bucket
        for _, upload in [found for found in self._uploads(name) if found[0] == self._key(name)]:
            with self._mapped():
                self._client.abort_multipart_upload(Bucket=bucket, Key=self._key(name), UploadId=upload)
        # where the bucket keeps versions, a plain removal would leave the backup there, hidden
        for version in self._versions(name):
            with self._mapped():
                self._client.delete_object(Bucket=bucket, Key=self._key(name), VersionId=version)
        if self._versions(name):
            raise OSError(errno.EACCES, "the bucket still has it; is it locked?")

    def _versions(self, name: str) -> list[str]:
        key = self._key(name)
        with self._mapped():
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
            listed = [each for page in pages for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))]
            return [found["VersionId"] for found in listed if found["Key"] == key]

    def _uploads(self, prefix: str) -> list[tuple[str, str]]:
        with self._mapped():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix)
            )
            return [(found["Key"], found["UploadId"]) for page in pages for found in page.get("Uploads", ())]

    @property
    def _bucket(self) -> str:
        return self.url.removeprefix("s3://").split("/")[1]

    @property
    def _folder(self) -> str:
        return "".join(f"{folder}/" for folder in self.url.removeprefix("s3://").split("/")[2:])

    def _key(self, name: str) -> str:
        return self._folder + name

    def _name(self, key: str) -> str:
        return key.removeprefix(self._folder)

    @cached_property
    def _client(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key.reveal(),
            aws_secret_access_key=self.secret_key.reveal(),
            verify=None if self.ca is None else str(self.ca),
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"},
            ),
        )

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """boto3's errors as those of files."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            yield
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            if status == MISSING:
                what = "bucket" if code == "NoSuchBucket" else "object"
                raise FileNotFoundError(errno.ENOENT, f"the object store has no such {what}") from None
            if status in REFUSED:
                raise PermissionError(errno.EACCES, f"the object store refused drmgr's keys ({code})") from None
            if status == CHANGED:
                raise OSError(errno.ESTALE, "the object was changed while it was read") from None
            raise OSError(errno.EIO, f"the object store answered {code}") from None
        except (ParamValidationError, ValueError):
            # boto3's own words may quote what it was given
            raise OSError(errno.EINVAL, "boto3 refuses the endpoint, the region or the bucket's name") from None
        except BotoCoreError as error:
            raise OSError(errno.EIO, f"the object store does not answer ({type(error).__name__})") from None
