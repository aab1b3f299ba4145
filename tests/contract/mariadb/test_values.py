"""Values, accounts and questions of MariaDB, on real servers."""

from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.engines.mariadb import MariadbConnection
from drmgr.engines.mariadb.facts import EXACT_FLOATS
from drmgr.errors import SourceError
from drmgr.model import CheckStatus, Instance
from drmgr.scratch import mariadb as private
from drmgr.scratch.workspace import ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.facts import differences
from tests.support.mariadb import SERVER_USER, MariadbServer, ask
from tests.support.mariadb_acts import BIG, Make, back_up, quiet
from tests.support.mojibake import patients, question, wrong


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


def test_the_last_bit_of_a_float_counts_and_old_facts_are_compared_as_they_were(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(
        database,
        "CREATE TABLE warm (f float, g float(7,3), u float unsigned); CREATE TABLE computed (f float);"
        "INSERT INTO warm VALUES (36.5, 1234.567, 0.1), (-0.000125, NULL, 3e38); INSERT INTO computed VALUES (0.333333)",
    )
    engine = make(server.connection(database))
    facts = back_up(engine, folder / "parts")
    instance = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert differences(facts, engine.facts(instance, facts)) == []
    # facts of an older drmgr: the six digits that the server prints, and no word of how exact they are
    limits = {name: value for name, value in facts.groups["limits"].items() if name != EXACT_FLOATS}
    old = engine.facts(instance, replace(facts, groups={**facts.groups, "limits": limits}))
    assert old.groups["limits"] == limits == {"float_columns": 4}
    assert old.groups["tables"]["computed"] != facts.groups["tables"]["computed"]

    # the next number that a FLOAT can hold, of the same six digits
    ask(instance, "UPDATE computed SET f = 0.33333302")

    assert engine.rows(instance, "SELECT CAST(f AS char) FROM computed").__next__() == ("0.333333",)
    assert differences(facts, engine.facts(instance, facts)) == ["tables: computed"]
    assert differences(old, engine.facts(instance, old)) == []


def test_a_dump_that_rounds_a_float_is_seen(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (f float); INSERT INTO a VALUES (1 / 3)")
    engine = make(server.connection(database))
    facts = back_up(engine, folder / "parts")
    instance = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert differences(facts, engine.facts(instance, facts)) == ["tables: a"]


def test_proxies_that_an_installation_makes_are_not_those_of_the_source(
    server: MariadbServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    proxies = "SELECT User, Host, Proxied_user FROM mysql.proxies_priv ORDER BY User, Host"
    server.execute(
        database,
        "CREATE TABLE a (n int); INSERT INTO a VALUES (1);"
        # made by hand, with the name that an installation gives a right to stand for everybody
        "CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY 'geheim';"
        "CREATE OR REPLACE USER boss@localhost IDENTIFIED BY 'b'; CREATE OR REPLACE USER deputy@localhost IDENTIFIED BY 'd';"
        "GRANT PROXY ON boss@localhost TO deputy@localhost",
    )
    engine = make(server.connection(database), facts_mode="counts")
    facts = back_up(engine, folder / "parts")
    empty = workspace.start(engine.recipe(facts))
    assert ask(empty, proxies, "mysql") == (("root", "localhost", ""),)

    instance = engine.load(folder / "parts", empty, quiet)

    assert differences(facts, engine.facts(instance, facts)) == []
    assert ask(instance, proxies, "mysql") == (("deputy", "localhost", "boss"), ("root", "localhost", ""))
    server.execute("", "DROP USER root@'127.0.0.1', boss@localhost, deputy@localhost")


@pytest.mark.parametrize("collation", ["general_ci", "unicode_ci", "unicode_520_ci", "uca1400_ai_ci", "bin"])
def test_spoilt_names_are_found_and_rare_ones_are_none(server: MariadbServer, make: Make, collation: str) -> None:
    database = server.create_database()
    named = collation if collation.startswith("uca") else f"utf8mb4_{collation}"
    server.execute(database, patients(f"varchar(99) CHARACTER SET utf8mb4 COLLATE {named}"))
    engine = make(server.connection(database))
    assert sorted(int(str(key)) for (key,) in engine.rows(engine.target(), question())) == wrong()
