"""Fixtures for tests of the logical PostgreSQL engine: a production server with roles, an engine for it, scratch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines.postgres import PostgresConnection, PostgresEngine
from drmgr.scratch.workspace import ScratchHost, ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.folders import passable_directory
from tests.support.postgres import SERVER_USER, PostgresServer, postgres_server
from tests.support.postgres_sample import ROLES


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        running.execute("postgres", ROLES)
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


Make = Callable[..., PostgresEngine]


@pytest.fixture
def make(folder: Path) -> Make:
    def engine(connection: PostgresConnection, **options: Any) -> PostgresEngine:
        return PostgresEngine(
            "his", connection, runner=Runner(), clock=SystemClock(), runtime=folder / "run", **options
        )

    return engine


@pytest.fixture
def workspace(folder: Path) -> Iterator[ScratchWorkspace]:
    scratch = ScratchHost(folder / "scratch", SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open("R1", 0) as opened:
        yield opened
