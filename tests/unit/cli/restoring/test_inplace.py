"""Whether the server of a place answers, and what is typed to start it."""

import socket
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drmgr.cli.restoring.inplace import answers, same_place
from drmgr.config.models import MariadbConnection, PostgresqlConnection, SqliteConnection
from drmgr.config.trees import FilesConnection
from drmgr.scratch.closing import ClosingMariadb, ClosingPostgres
from drmgr.system.command import Runner

NAMES = ("mysqld.sock", "mariadb.sock")


def test_a_server_answers_by_its_socket_in_a_folder_or_itself(tmp_path: Path) -> None:
    place = tmp_path / "mariadb.sock"
    assert not answers(str(tmp_path), 3306, NAMES)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as line:
        line.bind(str(place))
        # what a server that was killed leaves behind is no server
        assert not answers(str(tmp_path), 3306, NAMES)
        line.listen()
        assert answers(str(tmp_path), 3306, NAMES)
        assert answers(str(place), 3306, NAMES)
    assert not answers(str(place), 3306, NAMES)


def test_a_server_answers_over_the_network_whoever_may_enter() -> None:
    with closing(socket.socket()) as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
        assert not answers("127.0.0.1", port, NAMES)
        line.listen()
        assert answers("127.0.0.1", port, NAMES)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("/var/lib/postgresql/15/main", "systemctl start postgresql@15-main"),
        ("/srv/pg", "pg_ctl --pgdata=/srv/pg start"),
    ],
)
def test_the_command_that_starts_it_is_told(data: str, said: str) -> None:
    assert ClosingPostgres(Runner()).by_hand(Path(data), "postgres") == said
    assert ClosingMariadb().by_hand(Path("/var/lib/mysql"), "mysql") == "systemctl start mariadb"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("tree", "tree_within", True),
        ("tree", "file_within", True),
        ("file_within", "tree_within", False),
        ("tree", "cluster_within", True),
        ("tree", "cluster_elsewhere", False),
        ("cluster_within", "database_within", True),
        ("database_within", "other_within", False),
    ],
)
def test_what_lies_below_a_folder_is_set_aside_with_it(one: str, other: str, *, same: bool, tmp_path: Path) -> None:
    server = {"host": "/run/pg", "user": "u"}
    within = server | {"data_directory": "srv/pg"}
    connections = {
        "tree": FilesConnection.model_validate({"engine": "files", "root": "srv"}),
        "tree_within": FilesConnection.model_validate({"engine": "files", "root": "srv/a"}),
        "file_within": SqliteConnection.model_validate({"engine": "sqlite", "path": "srv/q.db"}),
        "cluster_within": PostgresqlConnection.model_validate(
            {"engine": "postgresql", "method": "physical", "database": "a", **within}
        ),
        "database_within": PostgresqlConnection.model_validate({"engine": "postgresql", "database": "b", **server}),
        "other_within": PostgresqlConnection.model_validate({"engine": "postgresql", "database": "c", **server}),
        "cluster_elsewhere": MariadbConnection.model_validate({"engine": "mariadb", "database": "d", **server}),
    }
    site = SimpleNamespace(config=SimpleNamespace(connections=connections), place=lambda path: tmp_path / path)
    assert same_place(cast("Any", site), one, other) is same
    assert same_place(cast("Any", site), other, one) is same
