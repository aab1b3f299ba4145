"""One server for all tests of MariaDB; each makes databases of its own on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines.mariadb import MariadbConnection, MariadbEngine
from drmgr.scratch.workspace import ScratchHost, ScratchWorkspace
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.folders import passable_directory
from tests.support.mariadb import LOG_RIGHTS, LOGGED, SERVER_USER, MariadbServer, mariadb_server


@pytest.fixture(scope="session")
def server() -> Iterator[MariadbServer]:
    with mariadb_server(**LOGGED) as running:
        running.execute("", LOG_RIGHTS)
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


@pytest.fixture
def make(folder: Path) -> Callable[..., MariadbEngine]:
    def engine(connection: MariadbConnection, **options: Any) -> MariadbEngine:
        return MariadbEngine("his", connection, runner=Runner(), clock=SystemClock(), runtime=folder / "run", **options)

    return engine


@pytest.fixture
def workspace(folder: Path) -> Iterator[ScratchWorkspace]:
    scratch = ScratchHost(folder / "scratch", SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open("R1", 0) as opened:
        yield opened
