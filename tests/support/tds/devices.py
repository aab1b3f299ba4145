"""Where the stand-in's backups go: files in folders, and objects in real buckets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.tds import media
from tests.support.tds.media import Medium
from tests.support.tds.store import BucketOf, Store

S3_IDENTITY = "S3 Access Key"


class NoDevice(Exception):
    """The device cannot be opened; the text is what the operating system says."""


@dataclass
class FileDevice:
    path: Path

    def begin(self) -> None:
        media.begin(self.path)

    def end(self, medium: Medium) -> None:
        media.write(self.path, medium)

    @property
    def name(self) -> str:
        return self.path.name

    def read_bytes(self) -> bytes:
        return self.path.read_bytes()


@dataclass
class ObjectDevice:
    """As SQL Server does, what is not completed stays as an upload that nobody sees."""

    bucket: BucketOf
    key: str
    upload: str = field(default="")

    def begin(self) -> None:
        client = self.bucket.client
        self.upload = client.create_multipart_upload(Bucket=self.bucket.name, Key=self.key)["UploadId"]

    def end(self, medium: Medium) -> None:
        place: dict[str, Any] = {"Bucket": self.bucket.name, "Key": self.key, "UploadId": self.upload}
        client, content = self.bucket.client, media.content_of(medium)
        tag = client.upload_part(**place, PartNumber=1, Body=content)["ETag"]
        client.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": 1}]})

    @property
    def name(self) -> str:
        return self.key

    def read_bytes(self) -> bytes:
        content: bytes = self.bucket.client.get_object(Bucket=self.bucket.name, Key=self.key)["Body"].read()
        return content


def open_device(store: Store, kind: str, place: str, *, must_exist: bool) -> FileDevice | ObjectDevice:
    """Raises NoDevice."""
    return _object(store, place, must_exist) if kind == "URL" else _file(store, place, must_exist)


def _file(store: Store, path: str, must_exist: bool) -> FileDevice:
    real = store.real(path)
    if real is None or not real.parent.is_dir() or (must_exist and not real.is_file()):
        raise NoDevice("Operating system error 3(The system cannot find the path specified.)")
    return FileDevice(real)


def _object(store: Store, url: str, must_exist: bool) -> ObjectDevice:
    root = next((root for root in store.buckets if url.startswith(f"{root}/")), None)
    opened = [name for name, identity in store.credentials.items() if identity == S3_IDENTITY and url.startswith(name)]
    if int(store.version.split(".")[0]) < 16 or root is None or not opened:
        raise NoDevice("Operating system error 50(The request is not supported.)")
    bucket, key = store.buckets[root], url.removeprefix(f"{root}/")
    if must_exist:
        try:
            bucket.client.head_object(Bucket=bucket.name, Key=key)
        except bucket.client.exceptions.ClientError as error:
            raise NoDevice("Operating system error 2(The system cannot find the file specified.)") from error
    return ObjectDevice(bucket, key)
