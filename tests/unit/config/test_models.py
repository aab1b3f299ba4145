"""The models hold the same rules when they are built in code, without a file."""

import pytest
from pydantic import TypeAdapter, ValidationError

from drmgr.config.models import BilingualText, Connection, Expect, Job, S3Store
from drmgr.config.references import site_mistakes
from drmgr.config.trees import FilesSource


def test_an_expectation_of_null_is_an_expectation() -> None:
    expect = Expect.model_validate({"equals": None})
    assert (expect.rule, expect.value) == ("equals", None)


@pytest.mark.parametrize("given", [0, 1.5, True, "2026-01-01", None])
def test_an_expected_value_keeps_its_type(given: object) -> None:
    value = Expect.model_validate({"equals": given}).value
    assert value == given
    assert type(value) is type(given)


def test_a_job_with_a_dangling_check_cannot_be_built() -> None:
    job = {
        "system": "his",
        "title": {"zh": "一", "en": "HIS"},
        "tier": 1,
        "objectives": {"rpo": "1h", "rto": "2h"},
        "sources": [{"name": "main", "kind": "database", "connection": "his"}],
        "checks": [
            {
                "name": "a",
                "kind": "sql",
                "title": {"zh": "一", "en": "A"},
                "source": "main",
                "sql": "SELECT n FROM x",
                "expect": {"equals": 0},
            }
        ],
    }
    assert Job.model_validate(job).checks[0].name == "a"
    job["sources"] = [{"name": "other", "kind": "database", "connection": "his"}]
    with pytest.raises(ValidationError) as caught:
        Job.model_validate(job)
    assert [error["loc"] for error in caught.value.errors()] == [("checks", 0, "source")]


def test_parts_do_not_change() -> None:
    source = FilesSource(name="a", kind="files", connection="b")
    with pytest.raises(ValidationError, match="frozen"):
        source.name = "c"


@pytest.mark.parametrize(
    ("field", "bad"), [("bucket", "B"), ("prefix", "/a"), ("prefix", "a//b"), ("endpoint", "s3.x")]
)
def test_a_bucket_address_is_checked(field: str, bad: str) -> None:
    store = {
        "kind": "s3",
        "endpoint": "http://127.0.0.1:8333",
        "bucket": "drmgr",
        "prefix": "a/b",
        "access_key": "env:A",
        "secret_key": "env:B",
    }
    assert S3Store.model_validate(store).region == "us-east-1"
    with pytest.raises(ValidationError, match=field):
        S3Store.model_validate({**store, field: bad})


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "bell\a"])
def test_names_are_one_line(name: str) -> None:
    with pytest.raises(ValidationError, match="one line"):
        BilingualText(zh="一", en=name)


def test_each_engine_has_its_own_connection() -> None:
    connections: TypeAdapter[Connection] = TypeAdapter(Connection)
    server = {"engine": "mariadb", "host": "/run/mysqld", "database": "lis", "user": "drmgr"}
    assert connections.validate_python(server).engine == "mariadb"
    assert connections.validate_python({"engine": "sqlite", "path": "queue.db"}).engine == "sqlite"
    with pytest.raises(ValidationError, match="tls"):
        connections.validate_python({**server, "tls": "perhaps"})
    with pytest.raises(ValidationError, match="path"):
        connections.validate_python({"engine": "sqlite"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"port": 5433}, "has another port than his"),
        ({"host": "elsewhere"}, "has another host than his"),
        ({"database": "other"}, "has another database than his"),
    ],
)
def test_what_restores_go_through_is_the_same_database(change: dict[str, object], said: str) -> None:
    place = {"engine": "postgresql", "host": "db", "database": "his", "user": "drmgr"}
    site = {
        "connections": {"his": place, "his-admin": {**place, "port": 5432, "user": "postgres", **change}},
        "restore": {"through": {"his": "his-admin"}},
    }
    assert [mistake.text for mistake in site_mistakes(site)] == (
        [f"names the connection his-admin, which {said}"] if said else []
    )
    site["restore"] = {"through": {"his": "nobody"}}
    assert "nobody, which is not there" in site_mistakes(site)[0].text


FOLDER = {"server": "/b", "local": "/mnt/b"}
BUCKET = {"url": "s3://store:9000/bucket/his", "access_key": "file:a", "secret_key": "file:b"}
SQLSERVER = {"engine": "sqlserver", "host": "h", "database": "d", "user": "u"}


@pytest.mark.parametrize("backups", [FOLDER, BUCKET, {**BUCKET, "endpoint": "http://h:9000", "region": "cn-north-1"}])
def test_a_sql_server_hands_files_over_in_a_folder_or_in_a_bucket(backups: dict[str, str]) -> None:
    TypeAdapter[object](Connection).validate_python({**SQLSERVER, "backups": backups})


@pytest.mark.parametrize(
    ("backups", "told"),
    [
        ({}, "must hold either"),
        ({**FOLDER, **BUCKET}, "must hold either"),
        ({"server": "/b"}, "must hold either"),
        ({**FOLDER, "endpoint": "http://h"}, "must hold either"),
        ({"url": BUCKET["url"], "access_key": "file:a"}, "must hold either"),
        ({**BUCKET, "url": "s3://key:secret@store/bucket"}, "keys do not belong here"),
        ({**BUCKET, "url": "s3://store"}, "must be s3://"),
        ({**BUCKET, "url": f"s3://store/bucket/{'x' * 110}"}, "at most 120"),
    ],
)
def test_anything_between_the_two_is_a_mistake(backups: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TypeAdapter[object](Connection).validate_python({**SQLSERVER, "backups": backups})
