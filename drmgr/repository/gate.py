"""One repository in a bucket, shown to restic through a private unix socket: for a source whose keys are not the target's.

restic takes one set of S3 keys, and so cannot copy between two services by itself. Here boto3 speaks to the one, in restic's
REST protocol (version 2), and restic to the other. It can be read, and restic's own locks be set and lifted; everything
else is refused. Nothing is kept: bodies and listings are streamed.
"""

import json
import os
import re
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drmgr.errors import DrmgrError
from drmgr.repository.bucket import Bucket

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

VERSION_2: Final = "application/vnd.x.restic.rest.v2"
BLOCK: Final = 256 * 1024
LARGEST_LOCK: Final = 64 * 1024
LONGEST_FOLDER: Final = 100
"""A socket's path has 107 bytes at most."""

_FILE: Final = re.compile(r"/(data|index|keys|locks|snapshots)/([0-9a-f]{64})")
_FOLDER: Final = re.compile(r"/(data|index|keys|locks|snapshots)/")
_RANGE: Final = re.compile(r"bytes=[0-9]+-[0-9]*")


@contextmanager
def gate(bucket: Bucket, folder: str, runtime: Path) -> Iterator[str]:
    """Serves the repository in that folder of the bucket while the block lasts; gives its place in restic's notation.

    The socket lies in a folder of our own in ``runtime``.
    """
    # made before threads share it
    _ = bucket.client
    with tempfile.TemporaryDirectory(prefix="gate-", dir=runtime) as place, _short(Path(place)) as way:
        socket = way / "s"
        with _Server(str(socket), bucket, folder.strip("/")) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="gate")
            thread.start()
            try:
                yield f"rest:http+unix://{socket}:/"
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The folder by a name that is short enough for a socket in it."""
    if len(os.fsencode(folder)) <= LONGEST_FOLDER:
        yield folder
        return
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{handle}")
    finally:
        os.close(handle)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    # restic keeps its connections open: their threads end with it, or with us
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, socket: str, bucket: Bucket, folder: str) -> None:
        self.bucket = bucket
        self.folder = folder
        super().__init__(socket, _Handler)


class _Handler(BaseHTTPRequestHandler):
    """One connection of restic's."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
        return

    def address_string(self) -> str:
        return "restic"

    # --- what restic asks for ---

    def do_HEAD(self) -> None:
        key = self._key()
        if key is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with self._answered():
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            self._begin(HTTPStatus.OK, found["ContentLength"])

    def do_GET(self) -> None:
        key, folder = self._key(), _FOLDER.fullmatch(self.path)
        if key is not None:
            self._send_file(key)
        elif folder is not None:
            self._send_listing(folder[1])
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or -1)
        if not 0 <= length <= LARGEST_LOCK:
            # what it goes on to send is not read
            self._begin(HTTPStatus.FORBIDDEN, 0, {"Connection": "close"})
            return
        # also of what is refused: whoever is still sending would see a broken connection instead of the answer
        body, key = self.rfile.read(length), self._lock_key()
        if key is None:
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        with self._answered():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
            self._begin(HTTPStatus.OK, 0)

    def do_DELETE(self) -> None:
        key = self._lock_key()
        if key is None:
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        with self._answered():
            self._client.delete_object(Bucket=self._bucket, Key=key)
            self._begin(HTTPStatus.OK, 0)

    # --- how it is answered ---

    @property
    def _client(self) -> Any:
        return self.server.bucket.client

    @property
    def _bucket(self) -> str:
        return self.server.bucket.settings.name

    def _key(self) -> str | None:
        """The object of the file that is asked for; data lie in folders by their first two digits."""
        if self.path == "/config":
            return f"{self.server.folder}/config"
        found = _FILE.fullmatch(self.path)
        if found is None:
            return None
        kind, name = found.groups()
        return (
            f"{self.server.folder}/{kind}/{name[:2]}/{name}"
            if kind == "data"
            else f"{self.server.folder}/{kind}/{name}"
        )

    def _lock_key(self) -> str | None:
        return self._key() if self.path.startswith("/locks/") else None

    def _send_file(self, key: str) -> None:
        asked = self.headers.get("Range", "")
        if asked and not _RANGE.fullmatch(asked):
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        with self._answered():
            arguments: dict[str, Any] = {"Range": asked} if asked else {}
            found: GetObjectOutputTypeDef = self._client.get_object(Bucket=self._bucket, Key=key, **arguments)
            with closing(found["Body"]) as body:
                status = HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK
                self._begin(status, found["ContentLength"], {"Content-Range": found.get("ContentRange", "")})
                for block in body.iter_chunks(BLOCK):
                    self.wfile.write(block)

    def _send_listing(self, kind: str) -> None:
        with self._answered():
            pages = iter(self._pages(kind))
            first = next(pages, [])
            self._begin(HTTPStatus.OK, None, {"Content-Type": VERSION_2, "Transfer-Encoding": "chunked"})
            self._chunk(b"[" + b",".join(first))
            some = bool(first)
            for page in pages:
                if page:
                    self._chunk((b"," if some else b"") + b",".join(page))
                    some = True
            self._chunk(b"]")
            self.wfile.write(b"0\r\n\r\n")

    def _pages(self, kind: str) -> Iterator[list[bytes]]:
        prefix = f"{self.server.folder}/{kind}/"
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield [
                json.dumps({"name": name, "size": item["Size"]}).encode()
                for item in page.get("Contents", ())
                if re.fullmatch("[0-9a-f]{64}", name := item["Key"].rpartition("/")[2])
            ]

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def _begin(self, status: HTTPStatus, length: int | None, headers: dict[str, str] | None = None) -> None:
        self._begun = True
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: HTTPStatus) -> None:
        self._begin(status, 0)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """The store's refusals as HTTP's; when an answer has begun already, its connection is broken off: restic asks again."""
        from botocore.exceptions import BotoCoreError, ClientError

        self._begun = False
        try:
            yield
        except ClientError as error:
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            self._failed(HTTPStatus(status) if status in {403, 404, 416} else HTTPStatus.BAD_GATEWAY)
        except BotoCoreError:
            self._failed(HTTPStatus.BAD_GATEWAY)
        except (OSError, DrmgrError):
            # restic has gone, or the store in the middle of a body
            self._failed(HTTPStatus.BAD_GATEWAY)

    def _failed(self, status: HTTPStatus) -> None:
        if self._begun:
            self.close_connection = True
            return
        try:
            self._refuse(status)
        except OSError:
            self.close_connection = True
