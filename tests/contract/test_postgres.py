"""What holds for PostgreSQL beyond the contract of every engine, on real servers."""

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from drmgr.engines.postgres import PostgresEngine, inplace
from drmgr.engines.postgres.inplace import PostgresPlace
from drmgr.errors import LoadError, PreflightError, SourceError, ToolError
from drmgr.model import CheckStatus, Instance, Move
from drmgr.scratch.server import PostgresServer as PrivateServer
from drmgr.scratch.workspace import ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.facts import differences
from tests.support.fakes import FakeClock
from tests.support.folder_sink import FolderSink
from tests.support.mojibake import patients, question, wrong
from tests.support.postgres import SERVER_USER, PostgresServer, postgres_server
from tests.support.postgres_bench import Make, folder, make, server, workspace
from tests.support.postgres_sample import ROWS, SCHEMA

__all__ = ["folder", "make", "server", "workspace"]


def quiet(share: float, what: str) -> None:
    pass


def back_up(engine: PostgresEngine, folder: Path) -> tuple[FolderSink, dict[str, dict[str, object]]]:
    sink = FolderSink(folder / "parts")
    with engine.capture() as capture:
        capture.store(sink)
        facts = capture.facts()
    return sink, {group: dict(items) for group, items in facts.groups.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": Secret("wrong")}, "refused the password of user postgres"),
        ({"database": "nowhere"}, "no database nowhere"),
        ({"user": "nobody_here"}, "refused the password of user nobody_here"),
        ({"port": 5433}, "no database server answers"),
        ({"host": "no-such-host.invalid"}, "cannot be resolved"),
        ({"password": None}, "asks for a password"),
    ],
)
def test_each_way_of_not_connecting_has_its_own_sentence(
    server: PostgresServer, make: Make, change: dict[str, object], message: str
) -> None:
    connection = replace(server.connection("postgres"), **change)  # type: ignore[arg-type]
    with pytest.raises(PreflightError, match=message) as caught:
        make(connection).preflight()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    # the same on the way to a backup
    with pytest.raises(SourceError, match=message), make(connection).capture():
        pass


def test_the_password_of_the_site_goes_before_that_of_the_shell(
    server: PostgresServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "typed for psql a minute ago")
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (id int)")
    make(server.connection(database)).preflight()
    with pytest.raises(PreflightError, match="asks for a password"):
        make(replace(server.connection(database), password=None)).preflight()


def test_what_drmgr_may_not_read_is_counted_before_the_backup(server: PostgresServer, make: Make) -> None:
    database = server.create_database()
    server.execute(
        database,
        "CREATE TABLE a (id serial); CREATE TABLE b (); GRANT SELECT ON b TO his_app; CREATE TABLE guarded ();"
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; GRANT SELECT ON guarded TO his_app",
    )
    engine = make(server.connection(database, "his_app", "a;b'c"))
    with pytest.raises(PreflightError, match="may not read 1 tables and 1 sequences"):
        engine.preflight()
    server.execute(
        database, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO his_app; GRANT SELECT ON a_id_seq TO his_app"
    )
    with pytest.raises(PreflightError, match="row security hides rows of 1 tables"):
        engine.preflight()
    server.execute(database, "DROP TABLE guarded")
    engine.preflight()
    with pytest.raises(PreflightError, match=r"newest a\.id, and there is no such column of dates"):
        make(server.connection(database), newest=[("a", "id")]).preflight()


def test_a_missing_program_names_its_package(server: PostgresServer, make: Make, tmp_path: Path) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (n int)")
    with pytest.raises(ToolError) as caught:
        make(replace(server.connection(database), binaries=tmp_path)).preflight()
    assert "postgresql-client-" in caught.value.hint


def test_a_database_without_tables_is_no_backup(server: PostgresServer, make: Make) -> None:
    with pytest.raises(PreflightError, match="no tables"):
        make(server.connection(server.create_database())).preflight()


def test_an_account_that_may_not_read_passwords_still_backs_up(
    server: PostgresServer, make: Make, folder: Path
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a AS SELECT 1 AS n; GRANT SELECT ON a TO his_app")
    sink, groups = back_up(make(server.connection(database, "his_app", "a;b'c"), facts_mode="counts"), folder)
    assert [part.name for part in sink.parts] == ["dump", "globals"]
    assert groups["globals"] == {"role_passwords": False}
    assert groups["tables"] == {"public.a": {"rows": 1}}
    assert "PASSWORD" not in (folder / "parts/globals/globals.sql").read_text()


def test_a_server_that_dies_during_the_dump_leaves_nothing_stored(folder: Path, make: Make) -> None:
    with postgres_server() as mortal:
        mortal.execute(
            "postgres", "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 60000) n"
        )
        sink = FolderSink(folder / "parts", after_first_bytes=mortal.stop)
        with pytest.raises(SourceError), make(mortal.connection("postgres")).capture() as capture:
            capture.store(sink)
        assert sink.parts == []
        assert [path for path in (folder / "parts").rglob("*") if path.is_file()] == []


def test_facts_after_the_server_died_raise_a_source_error(make: Make) -> None:
    with postgres_server() as mortal, pytest.raises(SourceError, match="connection to the server was lost"):  # noqa: SIM117
        with make(mortal.connection("postgres")).capture() as capture:
            mortal.stop()
            capture.facts()


def test_tables_cannot_be_emptied_while_the_view_is_open(server: PostgresServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a AS SELECT 1 AS n")
    with make(server.connection(database)).capture() as capture:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            server.execute(database, "SET lock_timeout = '50ms'; TRUNCATE a")
        assert capture.facts().groups["tables"]["public.a"]["rows"] == 1
        with pytest.raises(psycopg.errors.LockNotAvailable):
            server.execute(database, "SET lock_timeout = '50ms'; DROP TABLE a")
    server.execute(database, "SET lock_timeout = '1s'; TRUNCATE a; DROP TABLE a")


def test_restore_into_a_prepared_database_leaves_its_roles_alone(
    server: PostgresServer, make: Make, folder: Path
) -> None:
    database, other = server.create_database(), server.create_database("另一个 db")
    server.execute(database, SCHEMA)
    server.execute(database, ROWS)
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    server.execute("postgres", "ALTER ROLE his_app CONNECTION LIMIT 3")
    try:
        target = make(server.connection(other))
        loaded = target.load(folder / "parts", target.target(), quiet)
        assert loaded.database == other
        assert differences(facts, target.facts(loaded, facts)) == ["roles: his_app"]
        assert server.execute(other, "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'his_app'") == [(3,)]
        assert target.integrity(loaded).status is CheckStatus.PASS
    finally:
        server.execute("postgres", "ALTER ROLE his_app CONNECTION LIMIT 7")


def test_a_load_error_tells_no_rows(
    server: PostgresServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (name text PRIMARY KEY); INSERT INTO a VALUES ('patient-Zhang')")
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    (dump,) = (folder / "parts/dump").iterdir()
    dump.write_bytes(dump.read_bytes().replace(b"patient-Zhang\n", b"patient-Z\\x0\n\n"))
    with pytest.raises(LoadError) as caught:
        engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert re.search(r"the database did not load: .+", caught.value.message)
    assert "Z" not in caught.value.message
    dump.write_bytes(dump.read_bytes()[:200])
    with pytest.raises(LoadError, match="the dump cannot be read"):
        engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)


def test_a_database_called_postgres_comes_back(make: Make, folder: Path, workspace: ScratchWorkspace) -> None:
    with postgres_server() as own:
        own.execute("postgres", "CREATE TABLE a AS SELECT 1 AS n")
        engine = make(own.connection("postgres"))
        with engine.capture() as capture:
            capture.store(FolderSink(folder / "parts"))
            facts = capture.facts()
    loaded = engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)
    assert engine.scalar(loaded, "SELECT n FROM a") == 1


def test_the_newest_row_is_an_instant_of_the_site(server: PostgresServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, "CREATE TABLE a (at timestamp); CREATE TABLE b (at date, n int)")
    server.execute(database, "INSERT INTO a VALUES ('2026-01-05 14:03:22'), ('infinity'), (NULL)")
    engine = make(server.connection(database), timezone="Asia/Shanghai")
    found = engine.newest(engine.target(), "a", "at")
    assert found is not None
    assert found.isoformat() == "2026-01-05T14:03:22+08:00"
    assert engine.newest(engine.target(), "public.b", "at") is None
    for table, column in (("a", "nothing"), ("nothing", "at"), ("b", "n")):
        with pytest.raises(SourceError, match="no such column of dates or times"):
            engine.newest(engine.target(), table, column)


def test_questions_are_read_only_and_answers_are_json(server: PostgresServer, make: Make) -> None:
    database = server.create_database()
    engine = make(server.connection(database), timezone="Asia/Shanghai")
    of = engine.target()
    assert engine.scalar(of, "SELECT timestamptz '2026-01-05 00:00Z';") == "2026-01-05T08:00:00+08:00"
    values = (
        "1::numeric, 1.5::numeric, 'NaN'::numeric, date '2026-01-05', NULL, '\\x0a'::bytea, true, ARRAY[1.0], 'x%s'"
    )
    assert list(engine.rows(of, f"SELECT {values}")) == [
        (1, "1.5", "NaN", "2026-01-05", None, "0a", True, [1], "x%s"),
    ]
    assert sum(1 for _ in engine.rows(of, "SELECT generate_series(1, 5000)")) == 5000
    with pytest.raises(SourceError):
        engine.scalar(of, "SELECT 1; COMMIT; CREATE TABLE a ()")
    server.execute(database, "CREATE FUNCTION make() RETURNS int LANGUAGE sql AS 'CREATE TABLE made (); SELECT 1'")
    with pytest.raises(SourceError, match="read-only"):
        engine.scalar(of, "SELECT make()")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1 WHERE false", "no row"),
        ("SELECT generate_series(1, 2)", "more than one row"),
        ("SELECT 1, 2", "2 columns"),
        ("SELECT nonsense", "does not exist"),
        ("SELECT '张三'::int", "invalid input syntax for type integer$"),
        ("SELECT to_date('张三', 'YYYY')", 'invalid value "…"'),
    ],
)
def test_a_question_without_one_answer_is_an_error_that_tells_no_data(
    server: PostgresServer, make: Make, sql: str, told: str
) -> None:
    engine = make(server.connection("postgres"))
    with pytest.raises(SourceError, match=told) as caught:
        engine.scalar(engine.target(), sql)
    assert "张三" not in caught.value.message


@pytest.fixture
def loaded(
    server: PostgresServer, make: Make, folder: Path, workspace: ScratchWorkspace
) -> tuple[PostgresEngine, Instance]:
    database = server.create_database()
    server.execute(
        database,
        "CREATE TABLE a (id serial PRIMARY KEY, name text, note text);"
        "INSERT INTO a (name, note) SELECT md5(n::text), repeat('x', 900) FROM generate_series(1, 5000) n;"
        "CREATE INDEX a_name ON a (name)",
    )
    engine = make(server.connection(database))
    with engine.capture() as capture:
        capture.store(FolderSink(folder / "parts"))
        facts = capture.facts()
    return engine, engine.load(folder / "parts", workspace.start(engine.recipe(facts)), quiet)


def administer(of: Instance, statement: str) -> object:
    with psycopg.connect(
        host=str(of.socket), dbname=of.database, user=of.user, passfile=str(of.passfile), autocommit=True
    ) as session:
        cursor = session.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.mark.parametrize("relation", ["a", "a_name"])
def test_one_flipped_byte_in_a_page_is_found(
    loaded: tuple[PostgresEngine, Instance], relation: str, workspace: ScratchWorkspace
) -> None:
    engine, instance = loaded
    administer(instance, "CHECKPOINT")
    path = str(administer(instance, f"SELECT pg_relation_filepath('{relation}')"))
    assert instance.socket is not None
    (home,) = (folder for folder in workspace.path.glob("pg-*"))
    server = restartable(workspace, home, instance)
    server.stop()
    content = bytearray((home / "data" / path).read_bytes())
    content[8192 + 4000] ^= 0x10
    (home / "data" / path).write_bytes(content)
    server.start()
    result = engine.integrity(instance)
    assert result.status is CheckStatus.FAIL
    assert result.actual["corruptions"] > 0


def restartable(workspace: ScratchWorkspace, home: Path, instance: Instance) -> PrivateServer:
    from drmgr.scratch.server import ServerPlan
    from tests.support.postgres import installed_major

    assert instance.socket is not None and instance.passfile is not None
    plan = ServerPlan(home, instance.socket, instance.passfile, installed_major(), SERVER_USER, instance.user)
    return PrivateServer(plan, Runner(), SystemClock())


def test_a_sequence_behind_its_column_fails(loaded: tuple[PostgresEngine, Instance]) -> None:
    engine, instance = loaded
    administer(instance, "SELECT setval('a_id_seq', 4999)")
    result = engine.integrity(instance)
    assert (result.status, result.actual["sequences_behind"]) == (CheckStatus.FAIL, 1)
    assert administer(instance, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == 0


def test_a_session_that_does_not_end_leaves_the_database_open(
    server: PostgresServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = server.create_database()
    place = PostgresPlace(make(server.connection(database)), Runner(), FakeClock(), None)
    # a process that no signal ends
    monkeypatch.setattr(inplace, "_USERS", "SELECT 2147483647 WHERE %s::text IS NOT NULL")
    move = Move("main", database, f"{database}_before", kept=True)
    with pytest.raises(SourceError, match="do not end"):
        place.rename(move, end_sessions=True)
    assert server.execute(database, "SELECT 1") == [(1,)]
    assert not place.begun(move)


def test_spoilt_names_are_found_and_rare_ones_are_none(server: PostgresServer, make: Make) -> None:
    database = server.create_database()
    server.execute(database, f"{patients('varchar(99)')}; GRANT SELECT ON patient TO PUBLIC")
    engine = make(server.connection(database))
    assert sorted(int(str(key)) for (key,) in engine.rows(engine.target(), question())) == wrong()
