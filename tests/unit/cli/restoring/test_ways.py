"""Which targets are offered: what the site file allows, and of that only what works with the backup that there is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drmgr.cli.restoring.ways import Wish, lost_server_advice, pairs, ways
from drmgr.config.models import MariadbConnection, PostgresqlConnection, SqliteConnection, SqlServerConnection
from drmgr.config.trees import FilesConnection

PG = {"engine": "postgresql", "user": "u", "password": "file:p"}
MSSQL = {"engine": "sqlserver", "host": "ms", "user": "u", "password": "file:p", "database": "mi"}
CONNECTIONS = {
    "dump": PostgresqlConnection.model_validate(PG | {"host": "a", "database": "lis"}),
    "whole": PostgresqlConnection.model_validate(
        PG | {"host": "b", "database": "his", "method": "physical", "data_directory": "/srv/pg"}
    ),
    "far": PostgresqlConnection.model_validate(PG | {"host": "c", "database": "emr", "method": "physical"}),
    "maria": MariadbConnection.model_validate(
        PG | {"engine": "mariadb", "host": "d", "database": "nis", "ship_logs": True}
    ),
    "ms": SqlServerConnection.model_validate(MSSQL | {"backups": {"server": "/b", "local": "/b"}, "ship_logs": True}),
    "tree": FilesConnection.model_validate({"engine": "files", "root": "tree"}),
    "file": SqliteConnection.model_validate({"engine": "sqlite", "path": "file.db"}),
    "spare": PostgresqlConnection.model_validate(PG | {"host": "e", "database": "empty"}),
}
JOBS = {"lis": ["dump"], "his": ["whole"], "emr": ["far"], "nis": ["maria"], "mi": ["ms"], "pacs": ["dump", "tree"]}


def site(*systems: str) -> Any:
    jobs = {
        system: SimpleNamespace(
            system=system, sources=tuple(SimpleNamespace(name=name, connection=name) for name in JOBS[system])
        )
        for system in systems
    }
    allow = SimpleNamespace(connections=["spare"], folders=[Path("restored")], original=list(systems))
    return cast(
        "Any",
        SimpleNamespace(
            config=SimpleNamespace(connections=CONNECTIONS, restore=SimpleNamespace(allow=allow, through={})),
            loaded=SimpleNamespace(jobs=jobs, job=lambda name: jobs[name]),
            place=Path("/site").joinpath,
        ),
    )


EVERYWHERE = ["scratch", "folder:/site/restored", "connection:spare", "original"]


@pytest.mark.parametrize(
    ("system", "at_a_point", "between"),
    [
        ("lis", EVERYWHERE, ["scratch"]),
        # a physical backup is the server's own files, and no running server takes them
        ("his", ["scratch", "folder:/site/restored", "original"], ["scratch", "original"]),
        ("emr", ["scratch", "folder:/site/restored"], ["scratch"]),
        ("nis", ["scratch", "folder:/site/restored", "original"], ["scratch"]),
        ("mi", ["scratch", "folder:/site/restored", "original"], ["scratch", "original"]),
        ("pacs", EVERYWHERE, ["scratch"]),
    ],
)
def test_only_what_works_is_offered(system: str, at_a_point: list[str], between: list[str]) -> None:
    assert list(ways(site(system), Wish(system)).offered) == at_a_point
    there = ways(site(system), Wish(system, between=True))
    assert list(there.offered) == between
    assert any(why.startswith("folder: the log") for why in there.not_possible)


def test_what_the_point_holds_counts_for_a_job_that_was_changed_since() -> None:
    members = (SimpleNamespace(source="dump", engine="postgresql-physical"),)
    wish = Wish("lis", point=cast("Any", SimpleNamespace(members=members)))
    there = ways(site("lis"), wish)
    assert list(there.offered) == ["scratch", "folder:/site/restored"]
    assert any("another method" in why for why in there.not_possible)
    assert pairs(site("lis"), wish) == []


def test_of_several_systems_in_one_place_none_is_set_aside() -> None:
    there = ways(site("lis", "pacs"), Wish("lis"))
    assert "original" not in there.offered
    assert any("same place" in why for why in there.not_possible)


def test_the_advice_for_a_lost_server_is_that_of_its_backups() -> None:
    assert "do not start it" in lost_server_advice(site("his"), "his")
    advice = lost_server_advice(site("pacs"), "pacs")
    assert "dump: start an empty server" in advice and "tree: mount a disk" in advice
