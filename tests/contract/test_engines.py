"""What every Engine must hold to. A source of another kind joins by one more entry in MAKERS."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from drmgr.engines.files import FilesEngine, TreeSettings
from drmgr.engines.postgres import PostgresEngine
from drmgr.errors import LoadError, PreflightError
from drmgr.interfaces import Engine
from drmgr.model import CheckStatus, Facts, Instance
from drmgr.scratch.workspace import ScratchHost, ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.facts import differences
from tests.support.folder_sink import FolderSink
from tests.support.folders import passable_directory
from tests.support.mariadb import mariadb_source
from tests.support.postgres import SERVER_USER, PostgresServer, postgres_server
from tests.support.postgres_sample import ROLES, ROWS, SCHEMA
from tests.support.sqlite_source import sqlite_source
from tests.support.sqlserver import SqlServerSource, sqlserver_source


class Source(Protocol):
    """One live source with data in it, and how to meddle with it and with what was loaded from it."""

    engine: Engine

    def own(self) -> Instance:
        """The live source itself."""

    def add(self) -> None:
        """Adds data to the live source and changes some."""

    def alter(self, of: Instance) -> None:
        """Changes one value in a loaded instance, leaving every count as it was."""

    def lose(self, of: Instance) -> None:
        """Takes one table or file away from a loaded instance."""


class PostgresSource:
    def __init__(self, server: PostgresServer, runtime: Path) -> None:
        self._server = server
        self._database = server.create_database()
        server.execute(self._database, ROLES + SCHEMA)
        server.execute(self._database, ROWS)
        self.engine: Engine = PostgresEngine(
            "his",
            server.connection(self._database),
            runner=Runner(),
            clock=SystemClock(),
            runtime=runtime,
            newest=[("public.patient", "seen"), ("charge", "day"), ("patient", "at")],
            timezone="Asia/Shanghai",
        )

    def own(self) -> Instance:
        return self.engine.target()

    def add(self) -> None:
        self._server.execute(
            self._database,
            "INSERT INTO charge (day, amount) VALUES ('2027-01-01', 1); UPDATE patient SET t = t + 1;"
            "DELETE FROM queue; SELECT nextval('fresh'), nextval('fresh')",
        )

    def alter(self, of: Instance) -> None:
        self._ask(of, "UPDATE patient SET cost = cost + 0.0001 WHERE id = 7")

    def lose(self, of: Instance) -> None:
        self._ask(of, 'DROP TABLE "odd ""name"')

    def _ask(self, of: Instance, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host=str(of.socket), dbname=of.database, user=of.user, passfile=str(of.passfile), autocommit=True
        ) as session:
            session.execute(statement.encode())


@contextmanager
def postgres_source() -> Iterator[Source]:
    with postgres_server() as server, passable_directory() as runtime:
        yield PostgresSource(server, runtime)


class FilesSource:
    def __init__(self, root: Path, runtime: Path) -> None:
        self._root = root
        (root / "深" / "empty").mkdir(parents=True)
        (root / "a.bin").write_bytes(bytes(range(256)) * 40)
        (root / "深" / "二.txt").write_text("内容")
        (root / "深" / "none").write_bytes(b"")
        (root / "link").symlink_to("a.bin")
        self.engine: Engine = FilesEngine(TreeSettings(root), SystemClock(), runtime, Runner())

    def own(self) -> Instance:
        return Instance("files", path=self._root)

    def add(self) -> None:
        with (self._root / "深" / "二.txt").open("a") as file:
            file.write("more")
        (self._root / f"new-{len(list(self._root.iterdir()))}").write_text("new")

    def alter(self, of: Instance) -> None:
        assert of.path is not None
        content = bytearray((of.path / "a.bin").read_bytes())
        content[100] ^= 1
        (of.path / "a.bin").write_bytes(content)

    def lose(self, of: Instance) -> None:
        assert of.path is not None
        (of.path / "深" / "none").unlink()


@contextmanager
def files_source() -> Iterator[Source]:
    with passable_directory() as directory:
        yield FilesSource(directory / "tree", directory / "runtime")


MAKERS: dict[str, Callable[[], AbstractContextManager[Source]]] = {
    "files": files_source,
    "mariadb": mariadb_source,
    "postgresql": postgres_source,
    "sqlite": sqlite_source,
    "sqlserver": sqlserver_source,
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    with MAKERS[request.param]() as made:
        yield made


class Stored:
    """A backup that was made while the source changed."""

    def __init__(self, folder: Path, source: Source) -> None:
        self.folder = folder
        self.sink = FolderSink(folder)
        source.engine.preflight()
        with source.engine.capture() as capture:
            source.add()
            capture.store(self.sink)
            source.add()
            self.facts: Facts = capture.facts()
            self.consistent_at = capture.consistent_at


@pytest.fixture(scope="module")
def stored(source: Source) -> Iterator[Stored]:
    with passable_directory() as folder:
        yield Stored(folder / "parts", source)


@pytest.fixture(scope="module")
def workspace(source: Source) -> Iterator[ScratchWorkspace]:
    # this one cannot be started here, so its scratch is a server that is there already
    sqlserver = source.scratch if isinstance(source, SqlServerSource) else None
    with passable_directory() as directory:
        scratch = ScratchHost(directory, SERVER_USER, Runner(), SystemClock(), "test", sqlserver=sqlserver)
        with scratch.open("R1", 0) as opened:
            yield opened


def ignore_progress(share: float, what: str) -> None:
    assert 0 <= share <= 1
    assert what


Load = Callable[[], Instance]


@pytest.fixture
def load(source: Source, stored: Stored, workspace: ScratchWorkspace, tmp_path: Path) -> Load:
    def run() -> Instance:
        # an engine may move what it is given
        restored = shutil.copytree(stored.folder, tmp_path / "restored", symlinks=True)
        empty = workspace.start(source.engine.recipe(stored.facts))
        return source.engine.load(restored, empty, ignore_progress)

    return run


def test_facts_of_what_was_loaded_equal_those_of_the_backup_instant(source: Source, stored: Stored, load: Load) -> None:
    instance = load()
    assert differences(stored.facts, source.engine.facts(instance, stored.facts)) == []
    # SQL Server tells only between which two instants its backup's own lies
    assert stored.consistent_at <= stored.facts.taken_at
    assert source.engine.name == "sqlserver" or stored.facts.taken_at == stored.consistent_at
    assert stored.consistent_at.tzinfo is not None
    assert stored.facts.groups


def test_one_changed_value_and_one_lost_item_show(source: Source, stored: Stored, load: Load) -> None:
    instance = load()
    source.alter(instance)
    altered = differences(stored.facts, source.engine.facts(instance, stored.facts))
    source.lose(instance)
    lost = differences(stored.facts, source.engine.facts(instance, stored.facts))
    assert 0 < len(altered) < len(lost)


def test_a_sound_instance_passes_and_is_left_as_it_was(source: Source, stored: Stored, load: Load) -> None:
    instance = load()
    result = source.engine.integrity(instance)
    assert (result.status, result.message) == (CheckStatus.PASS, "")
    assert differences(stored.facts, source.engine.facts(instance, stored.facts)) == []


def test_nothing_is_loaded_over_something(source: Source, stored: Stored, load: Load) -> None:
    instance = load()
    with pytest.raises(PreflightError, match="not empty"):
        source.engine.load(stored.folder, instance, ignore_progress)


def test_loading_nothing_is_an_error(
    source: Source, stored: Stored, workspace: ScratchWorkspace, tmp_path: Path
) -> None:
    empty = workspace.start(source.engine.recipe(stored.facts))
    for part in stored.sink.parts:
        (tmp_path / part.name).mkdir()
    with pytest.raises(LoadError):
        source.engine.load(tmp_path, empty, ignore_progress)


def test_it_tells_what_is_at_work(source: Source, load: Load) -> None:
    own, there = source.engine.versions(), source.engine.versions(load())
    # scratch is of the source's own kind; only files have no server
    assert own.get("server") == there.get("server")
    assert ("server" in own) is (source.engine.name != "files")
    assert all(re.match(r"\d+(\.\d+)+", version) for version in (*own.values(), *there.values()))
    programs = {"postgresql": ("pg_dump", "pg_restore"), "mariadb": ("mariadb-dump", "mariadb")}
    for found, program in zip((own, there), programs.get(source.engine.name, ()), strict=False):
        assert set(found) == {"server", program}


def test_identity_tells_the_source_from_its_copy(source: Source, load: Load) -> None:
    own = source.own()
    assert source.engine.identity(own) == source.engine.identity(own)
    assert source.engine.identity(own) != source.engine.identity(load())
