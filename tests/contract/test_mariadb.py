"""What holds for MariaDB beyond the contract of every engine, on real servers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from drmgr.engines.mariadb import MariadbConnection, MariadbEngine
from drmgr.errors import LoadError, PreflightError, SourceError, ToolError
from drmgr.model import CheckStatus, Facts, Instance
from drmgr.scratch import mariadb as private
from drmgr.scratch.workspace import ScratchHost, ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.folders import passable_directory
from tests.support.mariadb import SERVER_USER, MariadbServer, ask, mariadb_server


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    with mariadb_server() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


Make = Callable[..., MariadbEngine]


@pytest.fixture
def make(folder: Path) -> Make:
    def engine(connection: MariadbConnection, **options: Any) -> MariadbEngine:
        return MariadbEngine("his", connection, runner=Runner(), clock=SystemClock(), runtime=folder / "run", **options)

    return engine


@pytest.fixture
def workspace(folder: Path) -> Iterator[ScratchWorkspace]:
    scratch = ScratchHost(folder / "scratch", SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open("R1", 0) as opened:
        yield opened


def quiet(share: float, what: str) -> None:
    pass


def back_up(engine: MariadbEngine, folder: Path) -> Facts:
    with engine.capture() as capture:
        capture.store(FolderSink(folder))
        return capture.facts()


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


MONEY = """
CREATE TABLE a (id int PRIMARY KEY, amount int NOT NULL); CREATE TABLE b LIKE a;
CREATE TABLE log (id bigint AUTO_INCREMENT PRIMARY KEY, n int);
INSERT INTO a SELECT seq, 100 FROM seq_1_to_200; INSERT INTO b SELECT seq, 100 FROM seq_1_to_200;
"""


@contextmanager
def moving_money(server: MariadbServer, database: str) -> Iterator[None]:
    """Three sessions move money between two tables as fast as they can; the sum is the same in every true view."""
    stop, failed = threading.Event(), []
    started = threading.Barrier(4)

    def move(number: int) -> None:
        try:
            with (
                pymysql.connect(
                    unix_socket=f"{server.socket}/{private.SOCKET_NAME}",
                    user=f"mover{number}",
                    password="m",
                    database=database,
                ) as session,
                session.cursor() as cursor,
            ):
                started.wait(30)
                while not stop.is_set():
                    row = 1 + number * 50
                    cursor.execute(f"UPDATE a SET amount = amount - 1 WHERE id = {row}")
                    cursor.execute(f"UPDATE b SET amount = amount + 1 WHERE id = {row}")
                    cursor.execute(f"INSERT INTO log (n) VALUES ({number})")
                    session.commit()
        except (pymysql.Error, threading.BrokenBarrierError) as error:
            failed.append(error)

    for number in range(3):
        server.execute(
            "",
            f"CREATE OR REPLACE USER mover{number}@localhost IDENTIFIED BY 'm';"
            f"GRANT ALL ON {database}.* TO mover{number}@localhost",
        )
    threads = [threading.Thread(target=move, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        started.wait(30)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_dump_and_facts_are_one_view_while_others_commit(server: MariadbServer, make: Make, folder: Path) -> None:
    database = server.create_database()
    server.execute(database, MONEY)
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
        assert differences(facts, replace_accounts(engine.facts(instance, facts), facts)) == []
        assert engine.scalar(instance, "SELECT (SELECT SUM(amount) FROM a) + (SELECT SUM(amount) FROM b)") == 40000


def replace_accounts(found: Facts, stored: Facts) -> Facts:
    """Under another name in the same server the accounts keep the rights they have there."""
    return replace(found, groups={**found.groups, "accounts": stored.groups["accounts"]})


def test_writers_wait_only_while_the_view_is_opened(server: MariadbServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (n int)")
    with make(server.connection(database)).capture() as capture:
        server.execute(
            database, "SET lock_wait_timeout = 5; INSERT INTO a VALUES (1); CREATE TABLE b (n int); DROP TABLE b"
        )
        assert capture.facts().groups["tables"]["a"]["rows"] == 0


BIG = (
    "CREATE TABLE a (id int PRIMARY KEY, note varchar(700)); CREATE TABLE z (id int PRIMARY KEY, note varchar(70));"
    "INSERT INTO a SELECT seq, repeat(md5(seq), 20) FROM seq_1_to_20000; INSERT INTO z VALUES (1, 'z')"
)


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
        pytest.raises(SourceError, match="could not be dumped"),
        make(server.connection(database)).capture() as capture,
    ):
        capture.store(sink)
    assert sink.parts == []


@pytest.mark.parametrize(
    "change", ["ALTER TABLE z ADD COLUMN more int", "TRUNCATE z", "RENAME TABLE z TO y", "CREATE TABLE zz (n int)"]
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


def test_accounts_come_back_with_their_passwords_and_rights(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(
        database,
        "CREATE TABLE a (n int); INSERT INTO a VALUES (1); CREATE OR REPLACE USER clerk@localhost IDENTIFIED BY 'geheim';"
        f"GRANT SELECT ON {database}.a TO clerk@localhost; GRANT SELECT ON his.* TO clerk@localhost",
    )
    engine = make(server.connection(database), facts_mode="counts")
    facts = back_up(engine, folder / "parts")
    assert facts.groups["tables"] == {"a": {"rows": 1}}
    assert facts.groups["origin"]["grants_elsewhere"] >= 1
    instance = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert differences(facts, engine.facts(instance, facts)) == []
    clerk = make(MariadbConnection(str(instance.socket), database, "clerk", password=Secret("geheim")))
    assert clerk.scalar(clerk.target(), "SELECT n FROM a") == 1
    with pytest.raises(SourceError, match="lacks a right"):
        clerk.scalar(clerk.target(), "SELECT count(*) FROM mysql.global_priv")


def test_every_character_set_keeps_its_bytes(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database("CHARACTER SET gbk")
    server.execute(
        database,
        "CREATE TABLE a (g varchar(50), u varchar(50) CHARACTER SET utf8mb4, l varchar(50) CHARACTER SET latin1,"
        " k varchar(50) CHARACTER SET big5, b varbinary(50), w varchar(50) CHARACTER SET utf16);"
        "INSERT INTO a VALUES ('镕·收费', '𠮷😀㐀', 'Müller', '收費', unhex('d5c5c8fd00ff'), '𠮷'), ('', '', '', '', '', '')",
    )
    engine = make(server.connection(database))
    facts = back_up(engine, folder / "parts")
    instance = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert differences(facts, engine.facts(instance, facts)) == []
    sql = "SELECT hex(g), hex(u), hex(l), hex(k), hex(b), hex(w) FROM a WHERE l <> ''"
    assert list(engine.rows(instance, sql)) == list(engine.rows(engine.target(), sql))
    assert (
        engine.scalar(
            instance,
            "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = database()",
        )
        == "gbk"
    )
    ask(instance, "UPDATE a SET b = unhex('d5c5c8fd00fe') WHERE l <> ''")
    assert differences(facts, engine.facts(instance, facts)) == ["tables: a"]


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


def test_the_newest_row_is_an_instant_of_the_site(server: MariadbServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (at datetime, stamp timestamp NULL, day date, n int)")
    engine = make(server.connection(database), timezone="Asia/Shanghai")
    assert engine.newest(engine.target(), "a", "at") is None
    server.execute(
        database,
        "SET time_zone = '+08:00'; INSERT INTO a VALUES ('2026-01-05 14:03:22', '2026-01-05 14:03:22', '2026-01-05', 1)",
    )
    for column, expected in (("at", "14:03:22"), ("stamp", "14:03:22"), ("day", "00:00:00")):
        found = engine.newest(engine.target(), f"{database}.a", column)
        assert found is not None
        assert found.isoformat() == f"2026-01-05T{expected}+08:00"
    for table, column in (("a", "nothing"), ("nothing", "at"), ("a", "n")):
        with pytest.raises(SourceError, match="no such column of dates or times"):
            engine.newest(engine.target(), table, column)


def test_questions_are_read_only_and_answers_are_json(server: MariadbServer, make: Make) -> None:
    database = server.create_database()
    server.execute(
        database,
        "CREATE TABLE a (n int); INSERT INTO a VALUES (1); CREATE TABLE s (at timestamp);"
        "INSERT INTO s VALUES ('2026-01-05 00:00:00')",
    )
    server.execute(database, "CREATE FUNCTION f() RETURNS int BEGIN DELETE FROM a; RETURN 1; END")
    engine = make(server.connection(database, "root", server.password), timezone="Asia/Shanghai")
    of = engine.target()
    values = "1, 1.5, date('2026-01-05'), NULL, x'0a', maketime(25, 0, 1), 'x%s', sum(n)"
    assert list(engine.rows(of, f"SELECT {values} FROM a")) == [
        (1, "1.5", "2026-01-05", None, "0a", "1 day, 1:00:01", "x%s", 1)
    ]
    assert engine.scalar(of, "SELECT at FROM s") == "2026-01-05T08:00:00"
    assert sum(1 for _ in engine.rows(of, "SELECT seq FROM seq_1_to_5000")) == 5000
    for statement in (
        "DELETE FROM a",
        "CREATE TABLE b (n int)",
        "DROP TABLE a",
        "SELECT f()",
        "SELECT 1; DROP TABLE a",
    ):
        with pytest.raises(SourceError):
            list(engine.rows(of, statement))
    assert engine.scalar(of, "SELECT count(*) FROM a") == 1
    for statement, told in (
        ("SELECT 1 FROM a WHERE n = 2", "no row"),
        ("SELECT seq FROM seq_1_to_2", "more than one"),
        ("SELECT 1, 2", "2 columns"),
        ("SELECT nonsense", "a column"),
    ):
        with pytest.raises(SourceError, match=told):
            engine.scalar(of, statement)


def test_one_flipped_byte_in_a_page_is_found(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(database, BIG)
    engine = make(server.connection(database))
    facts = back_up(engine, folder / "parts")
    instance = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert engine.integrity(instance).status is CheckStatus.PASS
    ask(instance, "SET GLOBAL innodb_fast_shutdown = 0")
    damaged(workspace, instance, f"{database}/a.ibd")
    result = engine.integrity(instance)
    assert result.status is CheckStatus.FAIL
    assert result.actual["broken"] == 1


def damaged(workspace: ScratchWorkspace, instance: Instance, file: str) -> None:
    """Restarts the scratch server with one byte of that file changed."""
    assert instance.passfile is not None and instance.socket is not None
    home = workspace.path / "mariadb-1"
    plan = private.MariadbPlan(home, instance.socket, instance.passfile, SERVER_USER)
    restarted = private.MariadbServer(plan, Runner(), SystemClock())
    restarted.stop()
    path = home / "data" / file
    content = bytearray(path.read_bytes())
    content[16384 * 100 + 5000] ^= 0x10
    path.write_bytes(content)
    restarted.start()
