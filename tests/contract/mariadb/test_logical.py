"""What holds for MariaDB beyond the contract of every engine, on real servers."""

import array
import fcntl
import os
import termios
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines.mariadb import MariadbEngine
from drmgr.errors import LoadError, PreflightError, SourceError, ToolError
from drmgr.scratch.processes import wait_until
from drmgr.scratch.workspace import ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.mariadb_acts import BIG, MONEY, Make, back_up, moving_money, quiet

PIPE_BYTES = 65536


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": Secret("wrong")}, "refused the password of user drmgr"),
        ({"password": None}, "refused the password of user drmgr"),
        ({"database": "nowhere"}, "no database nowhere"),
        ({"user": "nobody_here"}, "refused the password of user nobody_here"),
        ({"host": "/nowhere"}, "no database server answers"),
        ({"host": "127.0.0.1", "port": 1}, "no database server answers"),
        ({"host": "no-such-host.invalid"}, "cannot be resolved"),
    ],
)
def test_each_way_of_not_connecting_has_its_own_sentence(
    server: MariadbServer, make: Make, change: dict[str, Any], message: str
) -> None:
    server.execute("", "CREATE DATABASE IF NOT EXISTS his")
    connection = replace(server.connection("his"), **change)
    with pytest.raises(PreflightError, match=message) as caught:
        make(connection).preflight()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    # the same on the way to a backup
    with pytest.raises(SourceError, match=message), make(connection).capture():
        pass


def test_what_stands_against_a_backup_is_told_before_it(server: MariadbServer, make: Make, tmp_path: Path) -> None:
    database = server.create_database()
    engine = make(server.connection(database))

    def refused(match: str, **options: Any) -> str:
        with pytest.raises(PreflightError, match=match) as caught:
            make(server.connection(database), **options).preflight()
        return caught.value.hint

    refused("has no tables")
    server.execute(database, "CREATE TABLE a (n int); CREATE TABLE old (n int) ENGINE = MyISAM")
    assert "ENGINE=InnoDB" in refused("1 tables know no transactions.*: old$")
    server.execute(database, "ALTER TABLE old ENGINE = InnoDB WITH SYSTEM VERSIONING")
    refused("1 tables are system-versioned.*: old$")
    server.execute(database, "DROP TABLE old; CREATE TABLE b (n int); CREATE VIEW v AS SELECT * FROM b; DROP TABLE b")
    refused("1 views refer to what is not there: v$")
    server.execute(database, "DROP VIEW v")
    engine.preflight()
    refused(r"newest row of a\.n .* no such column of dates", newest=[("a", "n")])
    server.execute(
        "", f"CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'p'; GRANT SELECT ON {database}.* TO poor@localhost"
    )
    with pytest.raises(PreflightError, match="lacks global rights: SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, PROCESS"):
        make(server.connection(database, "poor", "p")).preflight()
    with pytest.raises(ToolError) as missing:
        make(replace(server.connection(database), binaries=tmp_path)).preflight()
    assert "mariadb-client" in missing.value.hint


def test_dump_and_facts_are_one_view_while_others_commit(server: MariadbServer, make: Make, folder: Path) -> None:
    database = server.create_database()
    server.execute(database, MONEY)
    server.execute("", f"CREATE OR REPLACE USER app@localhost; GRANT ALL ON {database}.* TO app@localhost")
    engine = make(server.connection(database))
    with moving_money(server, database):
        taken = [back_up(engine, folder / f"parts-{number}") for number in range(6)]
    rows = [facts.groups["tables"]["log"]["rows"] for facts in taken]
    assert rows == sorted(set(rows))
    target = server.create_database()
    as_superuser = replace(server.private.instance(), database=target)
    for number, facts in enumerate(taken):
        server.execute("", f"DROP DATABASE {target}; CREATE DATABASE {target} CHARACTER SET utf8mb4")
        instance = engine.load(folder / f"parts-{number}", as_superuser, quiet)
        # under another name on the same server the accounts have the rights that they have on the name in use
        assert differences(facts, engine.facts(instance, facts)) == []
        assert engine.scalar(instance, "SELECT (SELECT SUM(amount) FROM a) + (SELECT SUM(amount) FROM b)") == 40000


def test_writers_wait_only_while_the_view_is_opened(server: MariadbServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (n int)")
    with make(server.connection(database)).capture() as capture:
        server.execute(
            database, "SET lock_wait_timeout = 5; INSERT INTO a VALUES (1); CREATE TABLE b (n int); DROP TABLE b"
        )
        assert capture.facts().groups["tables"]["a"]["rows"] == 0


def test_a_server_that_dies_during_the_dump_leaves_nothing_stored(make: Make, folder: Path) -> None:
    with mariadb_server() as mortal:
        database = mortal.create_database()
        mortal.execute(database, BIG)
        sink = FolderSink(folder / "parts", after_first_bytes=mortal.stop)
        with (
            pytest.raises(SourceError, match="could not be dumped: the connection to the server was lost"),
            make(mortal.connection(database)).capture() as capture,
        ):
            capture.store(sink)
        assert sink.parts == []
        assert [path for path in (folder / "parts").rglob("*") if path.is_file()] == []
        with (
            pytest.raises(SourceError, match="no database server answers"),
            make(mortal.connection(database)).capture(),
        ):
            pass


def test_a_dump_whose_session_is_killed_is_not_stored(server: MariadbServer, make: Make, folder: Path) -> None:
    database = server.create_database()
    server.execute(database, BIG)

    def kill() -> None:
        ((session,),) = server.execute(
            "", "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT /*!40001 SQL_NO_CACHE */%'"
        )
        server.execute("", f"KILL {session}")

    sink = FolderSink(folder / "parts", after_first_bytes=kill)
    with (
        # the dump's end and that of the program which hands it on are seen in either order
        pytest.raises(SourceError, match=r"could not be dumped|ended before its last line"),
        make(server.connection(database)).capture() as capture,
    ):
        capture.store(sink)
    assert sink.parts == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE z ADD COLUMN more int",
        "TRUNCATE z",
        "RENAME TABLE z TO y",
        "CREATE TABLE zz (n int)",
        "DROP TABLE z",
    ],
)
def test_a_table_changed_during_the_dump_is_an_error(
    server: MariadbServer, make: Make, folder: Path, change: str
) -> None:
    database = server.create_database()
    server.execute(database, BIG)
    sink = FolderSink(folder / "parts", after_first_bytes=lambda: void(server.execute(database, change)))
    with pytest.raises(SourceError), make(server.connection(database)).capture() as capture:
        capture.store(sink)
        capture.facts()


def test_a_view_changed_during_the_dump_is_an_error(server: MariadbServer, make: Make, folder: Path) -> None:
    database = server.create_database()
    server.execute(
        database, "CREATE TABLE a (n int); CREATE VIEW v AS SELECT n FROM a; CREATE FUNCTION f() RETURNS int RETURN 1"
    )
    with make(server.connection(database)).capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        server.execute(database, "ALTER VIEW v AS SELECT n + 1 AS n FROM a; DROP FUNCTION f")
        with pytest.raises(SourceError, match=r"views and routines changed during the backup") as caught:
            capture.facts()
        assert caught.value.hint


def void(_: object) -> None:
    pass


def test_a_broken_dump_does_not_load_and_quotes_no_data(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (name varchar(9) PRIMARY KEY); INSERT INTO a VALUES ('张三')")
    engine = make(server.connection(database))
    facts = back_up(engine, folder / "parts")
    (dump,) = (folder / "parts" / "dump").iterdir()
    whole = dump.read_bytes()
    dump.write_bytes(whole.replace("('张三')".encode(), "('张三'),('张三')".encode()))
    empty = workspace.start(engine.recipe(facts))
    with pytest.raises(LoadError, match=r"did not load: .* \(error \d+ at line \d+ of the dump\)") as caught:
        engine.load(folder / "parts", empty, quiet)
    assert "张三" not in caught.value.message
    dump.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LoadError, match="ends before its last line"):
        engine.load(folder / "parts", empty, quiet)


class Late(SystemClock):
    """Looks only when the dump has filled the pipe, read all and logged off, as on a busy host."""

    def __init__(self, server: MariadbServer, runtime: Path) -> None:
        self._server, self._runtime = server, runtime
        self.looks = 0

    def sleep(self, seconds: float) -> None:
        self.looks += 1
        assert wait_until(self._through, SystemClock(), 20)

    def _through(self) -> bool:
        (pipe,) = self._runtime.glob("mariadb-*/pipe")
        held = array.array("i", [0])
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(reader, termios.FIONREAD, held)
        finally:
            os.close(reader)
        ((sessions,),) = self._server.execute(
            "", "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'drmgr'"
        )
        # our own two are left
        return held[0] > 0 and sessions == 2


def test_a_dump_that_has_read_all_before_we_look_holds_nobody_up(
    server: MariadbServer, make: Make, folder: Path
) -> None:
    """Its end is longer than a pipe holds by less than what is written after the last row."""
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (n int PRIMARY KEY, t longtext); INSERT INTO a VALUES (1, '')")
    engine = make(server.connection(database))
    with engine.capture() as empty:
        empty.store(FolderSink(folder / "empty"))
    size = max(path.stat().st_size for path in (folder / "empty").rglob("*") if path.is_file())
    server.execute(database, f"UPDATE a SET t = REPEAT('x', {PIPE_BYTES + 200 - size})")
    clock = Late(server, folder / "run")
    late = MariadbEngine("his", server.connection(database), runner=Runner(), clock=clock, runtime=folder / "run")
    with late.capture() as capture:
        capture.store(FolderSink(folder / "stored"))
    assert clock.looks == 1
