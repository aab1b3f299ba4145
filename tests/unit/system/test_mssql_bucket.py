"""Reading one object whole over a connection that breaks."""

import io
from pathlib import Path
from typing import Any

import pytest

from drmgr.system.mssql import Server
from drmgr.system.mssql_access import Access, read_access
from drmgr.system.mssql_bucket import TRIES, BucketShare
from drmgr.system.secret import Secret

CONTENT = bytes(range(256)) * 40


class Body:
    def __init__(self, content: bytes, breaks: bool) -> None:
        self._content, self._breaks = io.BytesIO(content), breaks

    def read(self, size: int) -> bytes:
        from botocore.exceptions import ReadTimeoutError

        block = self._content.read(min(size, 1000))
        if not block and self._breaks:
            raise ReadTimeoutError(endpoint_url="http://store.example")
        return block


class Client:
    """Gives at most so many bytes a request, and then breaks the connection or ends the answer without a word."""

    def __init__(self, gives: list[int], *, breaks: bool = True, tag: str = '"a"') -> None:
        self.gives, self.breaks, self.tag, self.asked = gives, breaks, tag, []  # type: ignore[var-annotated]

    def get_object(self, **wanted: Any) -> Any:
        from botocore.exceptions import ClientError

        self.asked.append(wanted)
        if wanted.get("IfMatch", self.tag) != self.tag:
            answer = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(answer, "GetObject")  # type: ignore[arg-type]
        at = int(wanted.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        given = self.gives.pop(0) if self.gives else 0
        rest = CONTENT[at:]
        return {"Body": Body(rest[:given], self.breaks), "ContentLength": len(rest), "ETag": self.tag}


def share_with(client: Client) -> BucketShare:
    share = BucketShare("s3://h/bucket/a/b", "http://store.example", Secret("id"), Secret("key"))
    share.__dict__["_client"] = client
    return share


@pytest.mark.parametrize("breaks", [True, False])
def test_a_read_that_is_cut_off_goes_on_where_it_ended_and_only_in_the_same_object(breaks: bool) -> None:
    client, target = Client([3000, 0, 1, len(CONTENT)], breaks=breaks), io.BytesIO()
    assert share_with(client).copy("x.bak", target, '"a"') == len(CONTENT)
    assert target.getvalue() == CONTENT
    assert [asked.get("Range", "") for asked in client.asked] == ["", "bytes=3000-", "bytes=3000-", "bytes=3001-"]
    assert {asked["IfMatch"] for asked in client.asked} == {'"a"'}
    assert {asked["Key"] for asked in client.asked} == {"a/b/x.bak"}


def test_a_store_that_gives_no_more_is_given_up() -> None:
    client = Client([5000])
    with pytest.raises(OSError, match="gave 5000 of 10240 bytes and no more"):
        share_with(client).copy("x.bak", io.BytesIO())
    assert len(client.asked) == TRIES + 1


def test_an_object_that_is_another_one_now_is_refused() -> None:
    with pytest.raises(OSError, match="changed while it was read"):
        share_with(Client([5000], tag='"b"')).copy("x.bak", io.BytesIO(), '"a"')


def test_credentials_are_looked_for_by_the_bucket_and_by_each_folder_in_it() -> None:
    share = share_with(Client([]))
    assert share.credentials == ("s3://h/bucket", "s3://h/bucket/a", "s3://h/bucket/a/b")
    assert share.device("x'.bak").text == "URL = N's3://h/bucket/a/b/x''.bak'"
    assert share.device("x").reading == ()


def test_an_access_file_brings_the_bucket_back(tmp_path: Path) -> None:
    share = BucketShare("s3://h/bucket", "https://h", Secret("id"), Secret("key"), "cn-north-1", Path("/ca.pem"))
    Access(Server("h", 1433, "u", Secret("p")), share).write(tmp_path / "access")
    assert read_access(tmp_path / "access").share == share
    assert (tmp_path / "access").stat().st_mode & 0o777 == 0o600
