"""The catalog's database: its schema, and what drmgr says when it cannot be used."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

import drmgr.state.database
from drmgr.errors import ConfigError, PreflightError
from drmgr.model import RunKind
from drmgr.state.catalog import SqlCatalog, open_catalog
from drmgr.state.database import REVISIONS, SQLITE_FILE, Database, open_database, sqlite_engine
from drmgr.state.tables import metadata, points
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner
from drmgr.system.process import this_process


def test_the_migrations_lead_to_the_tables_the_catalog_uses(tmp_path: Path) -> None:
    with open_database(None, tmp_path).reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_every_migration_is_known_by_its_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(drmgr.state.database.__file__).with_name("migrations")))
    steps = reversed(list(ScriptDirectory.from_config(config).walk_revisions()))
    assert tuple(step.revision for step in steps) == REVISIONS


def test_the_sqlite_settings_hold_on_every_connection(tmp_path: Path) -> None:
    database = open_database(None, tmp_path)
    for _ in range(2):
        with database.reading() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert settings == ["wal", 2, 1, 30000]
    assert (tmp_path / SQLITE_FILE).stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(None, tmp_path)
    with pytest.raises(KeyError), database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE half (a)")
        raise KeyError
    with database.reading() as connection:
        assert not connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'half'").all()


def test_a_migration_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).touch()
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        assert catalog.runs() == []


def test_an_up_to_date_catalog_opens_without_alembic(tmp_path: Path) -> None:
    open_database(None, tmp_path).close()
    script = (
        "import sys; from pathlib import Path; from drmgr.state.catalog import open_catalog; "
        "from drmgr.system.clock import SystemClock; "
        "open_catalog(None, Path(sys.argv[1]), SystemClock()).close(); print('alembic' in sys.modules)"
    )
    completed = Runner().run(Command((sys.executable, "-c", script, str(tmp_path))))
    assert (completed.stdout, completed.stderr) == (b"False\n", "")


def garbage(state: Path) -> None:
    (state / SQLITE_FILE).write_bytes(b"this is not a database " * 500)


def damaged_pages(state: Path) -> None:
    file = state / SQLITE_FILE
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def a_folder_in_its_place(state: Path) -> None:
    (state / SQLITE_FILE).unlink()
    (state / SQLITE_FILE).mkdir()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (garbage, "the catalog is damaged"),
        (damaged_pages, "the catalog is damaged"),
        (a_folder_in_its_place, "cannot be opened"),
    ],
)
def test_a_broken_file_is_said_with_a_hint(tmp_path: Path, break_it: Callable[[Path], None], message: str) -> None:
    open_database(None, tmp_path).close()
    break_it(tmp_path)
    with pytest.raises(PreflightError, match=message) as caught:
        open_catalog(None, tmp_path, SystemClock())
    assert str(tmp_path) in caught.value.hint
    assert caught.value.exit_code == 11


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("PRAGMA max_page_count=1", "disk that holds the catalog is full"),
        ("PRAGMA query_only=1", "the catalog cannot be written"),
    ],
)
def test_a_write_that_sqlite_refuses_is_said_with_a_hint(tmp_path: Path, setting: str, message: str) -> None:
    open_database(None, tmp_path).close()
    catalog = limited(tmp_path, setting)
    with pytest.raises(PreflightError, match=message) as caught:
        for _ in range(200):
            catalog.open_run(RunKind.BACKUP, "his" * 1000)
    assert str(tmp_path) in caught.value.hint


def test_a_catalog_that_another_holds_for_too_long_is_busy(tmp_path: Path) -> None:
    database = open_database(None, tmp_path)
    catalog = limited(tmp_path, "PRAGMA busy_timeout=10")
    with database.writing(), pytest.raises(PreflightError, match="busy with another process"):
        catalog.open_run(RunKind.BACKUP, "his")


def test_a_state_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match="state directory cannot be used") as caught:
        open_database(None, tmp_path / "file" / "state")
    assert "file/state" in caught.value.hint


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "no url: geheim", "postgresql+psycopg2://u:geheim@h/d", ""])
def test_an_address_that_is_not_postgresql_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="not that of a PostgreSQL database") as caught:
        open_database(url, tmp_path)
    assert caught.value.__cause__ is None
    assert "geheim" not in caught.value.message + caught.value.hint


def test_a_remembered_point_that_cannot_be_read_is_as_if_forgotten(tmp_path: Path) -> None:
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        for document in ("{", '{"schema": "drmgr/recovery-point/99"}'):
            with open_database(None, tmp_path).writing() as connection:
                connection.execute(points.delete())
                connection.execute(
                    points.insert().values(seal="s", id="P", system="his", created_at="", document=document)
                )
            assert catalog.point("s") is None


def limited(state: Path, setting: str) -> SqlCatalog:
    engine = sqlite_engine(state / SQLITE_FILE)

    @event.listens_for(engine, "connect")
    def apply(connection: sqlite3.Connection, record: object) -> None:
        connection.execute(setting)

    return SqlCatalog(Database(engine, state), SystemClock(), this_process())
