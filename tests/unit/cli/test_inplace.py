"""Whether the server of a place answers, and what is typed to start it."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from drmgr.cli.inplace import answers
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
