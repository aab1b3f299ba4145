"""The gate before a bucket: restic reads through it as it would without, and can change nothing but its locks."""

import http.client
import json
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.repository.bucket import Bucket, BucketSettings
from drmgr.repository.gate import VERSION_2, gate
from tests.support.objectstore import BucketMaker, make_bucket, object_store, s3_client

__all__ = ["make_bucket", "object_store"]

NAME, OTHER = "a1" * 32, "b2" * 32
CONTENT = secrets.token_bytes(700_000)


class Through(http.client.HTTPConnection):
    """A client of that socket."""

    def __init__(self, place: Path) -> None:
        super().__init__("restic")
        self._place = str(place)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._place)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        self.request(method, path, body, headers)
        answer = self.getresponse()
        return answer.status, answer.read()


def asked(place: Path, method: str, path: str) -> tuple[int, bytes]:
    with closing(Through(place)) as client:
        return client.ask(method, path)


@dataclass
class Shown:
    client: Through
    socket: Path
    store: ObjectStore
    bucket: str

    def keys(self) -> list[str]:
        answer = s3_client(self.store).list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Contents", ())]


@pytest.fixture
def shown(object_store: ObjectStore, make_bucket: BucketMaker, tmp_path: Path) -> Iterator[Shown]:
    bucket, owner = make_bucket(), s3_client(object_store)
    for key in ("config", f"data/{NAME[:2]}/{NAME}", f"data/{OTHER[:2]}/{OTHER}", f"keys/{NAME}", f"locks/{NAME}"):
        owner.put_object(Bucket=bucket, Key=f"site/his/{key}", Body=CONTENT)
    owner.put_object(Bucket=bucket, Key=f"site/emr/keys/{OTHER}", Body=b"another system's")
    keys = (object_store.access_key, object_store.secret_key)
    with gate(
        Bucket(BucketSettings(object_store.endpoint, object_store.region, bucket, *keys)), "site/his/", tmp_path
    ) as at:
        place = Path(at.removeprefix("rest:http+unix://").removesuffix(":/"))
        with closing(Through(place)) as client:
            yield Shown(client, place, object_store, bucket)


def test_files_are_read_whole_in_part_and_listed(shown: Shown) -> None:
    client = shown.client
    assert client.ask("GET", "/config") == (200, CONTENT)
    assert client.ask("GET", f"/data/{NAME}") == (200, CONTENT)
    assert client.ask("GET", f"/data/{NAME}", Range="bytes=10-19") == (206, CONTENT[10:20])
    assert client.ask("GET", f"/data/{NAME}", Range="bytes=699990-") == (206, CONTENT[-10:])
    assert client.ask("HEAD", f"/keys/{NAME}") == (200, b"")
    status, listing = client.ask("GET", "/data/", Accept=VERSION_2)
    sizes = {item["name"]: item["size"] for item in json.loads(listing)}
    assert (status, sizes) == (200, {NAME: len(CONTENT), OTHER: len(CONTENT)})
    assert client.ask("GET", "/snapshots/") == (200, b"[]")


@pytest.mark.parametrize(
    "path",
    [f"/data/{'c3' * 32}", f"/keys/{OTHER}", f"/../emr/keys/{OTHER}", "/", "/config/", f"/other/{NAME}", "/data/x"],
)
def test_what_is_not_there_or_is_another_systems_is_not_found(shown: Shown, path: str) -> None:
    assert shown.client.ask("GET", path) == (404, b"")
    assert shown.client.ask("HEAD", path) == (404, b"")


def test_only_locks_can_be_set_and_lifted(shown: Shown) -> None:
    before = shown.keys()
    for path in (
        "/config",
        f"/data/{'c3' * 32}",
        f"/keys/{OTHER}",
        f"/snapshots/{NAME}",
        "/?create=true",
        f"/locks/../{OTHER}",
    ):
        assert shown.client.ask("POST", path, b"x") == (403, b"")
    for path in ("/config", f"/data/{NAME}", f"/keys/{NAME}"):
        assert shown.client.ask("DELETE", path) == (403, b"")
    # by its length alone: the answer does not wait for the body
    shown.client.putrequest("POST", f"/locks/{OTHER}")
    shown.client.putheader("Content-Length", "100000")
    shown.client.endheaders()
    answer = shown.client.getresponse()
    assert (answer.status, answer.read()) == (403, b"")
    assert shown.keys() == before
    assert shown.client.ask("POST", f"/locks/{OTHER}", b"held") == (200, b"")
    assert shown.client.ask("GET", f"/locks/{OTHER}") == (200, b"held")
    assert shown.client.ask("DELETE", f"/locks/{OTHER}") == (200, b"")
    assert shown.keys() == before


def test_nobody_else_reaches_the_socket_and_it_goes_with_the_block(
    object_store: ObjectStore, make_bucket: BucketMaker, tmp_path: Path
) -> None:
    keys = (object_store.access_key, object_store.secret_key)
    bucket = Bucket(BucketSettings(object_store.endpoint, object_store.region, make_bucket(), *keys))
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    for runtime in (tmp_path, deep):
        with gate(bucket, "his", runtime) as at:
            place = Path(at.removeprefix("rest:http+unix://").removesuffix(":/"))
            (own,) = runtime.glob("gate-*")
            assert stat.S_IMODE(own.stat().st_mode) == 0o700
            assert stat.S_ISSOCK((own / "s").stat().st_mode)
            assert len(str(place)) < 108
            assert asked(place, "GET", "/config") == (404, b"")
        assert not own.exists()


def test_a_store_that_refuses_or_is_away_is_told_and_nothing_hangs(
    object_store: ObjectStore, make_bucket: BucketMaker, tmp_path: Path
) -> None:
    from drmgr.system.secret import Secret

    name = make_bucket()
    wrong = BucketSettings(object_store.endpoint, object_store.region, name, object_store.access_key, Secret("w" * 40))
    with gate(Bucket(wrong), "his", tmp_path) as at:
        place = Path(at.removeprefix("rest:http+unix://").removesuffix(":/"))
        assert asked(place, "GET", "/config") == (403, b"")
        assert asked(place, "GET", "/keys/") == (403, b"")
    away = BucketSettings("http://127.0.0.1:9", "r", name, Secret("a" * 20), Secret("s" * 40))
    with gate(Bucket(away), "his", tmp_path) as at:
        place = Path(at.removeprefix("rest:http+unix://").removesuffix(":/"))
        assert asked(place, "GET", "/config") == (502, b"")
