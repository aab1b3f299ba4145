"""Fixtures for tests of physical PostgreSQL: a primary with data, scratch that recovers what was stored of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.model import Facts, Instance, RecoveryTarget
from drmgr.scratch.workspace import ScratchHost
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.folder_sink import FolderSink
from tests.support.folders import passable_directory
from tests.support.physical import AnyPhysical, fill, physical_server
from tests.support.postgres import SERVER_USER, PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with passable_directory() as directory, physical_server(directory) as running:
        fill(running)
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_directory() as path:
        yield path


def store(engine: AnyPhysical, into: Path) -> Facts:
    with engine.capture() as capture:
        capture.store(FolderSink(into))
        return capture.facts()


@pytest.fixture
def recovered(folder: Path) -> Iterator[Callable[..., Instance]]:
    scratch = ScratchHost(folder / "scratch", SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open("R1", 0) as workspace:

        def recover(engine: AnyPhysical, parts: Path, facts: Facts, target: str = "") -> Instance:
            recipe = engine.recipe(facts)
            if target:
                recipe = replace(recipe, target=RecoveryTarget("name", target))
            staged = workspace.stage(parts.name)
            staged.rmdir()
            parts.rename(staged)
            return workspace.start(replace(recipe, restored=staged))

        yield recover
