"""What the program calls a step or an engine has words in both languages: a report would show the bare name."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

import drmgr
from drmgr.engines.files.engine import FilesEngine
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.physical import PhysicalMariadbEngine
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.physical import PhysicalPostgresEngine
from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlserver.engine import SqlServerEngine

ENGINES = (
    FilesEngine,
    MariadbEngine,
    PhysicalMariadbEngine,
    PostgresEngine,
    PhysicalPostgresEngine,
    SqliteEngine,
    SqlServerEngine,
)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_step_and_engine_has_words(language: str) -> None:
    labels = json.loads(files("drmgr.evidence").joinpath("templates/labels.json").read_bytes())[language]
    sources = [path.read_text(encoding="utf-8") for path in Path(drmgr.__file__).parent.rglob("*.py")]
    steps = {name for text in sources for name in re.findall(r"\.step\(\s*\"([a-z-]+)\"", text)}
    assert len(steps) > 10
    assert steps <= labels["actions"].keys()
    assert {engine.name for engine in ENGINES} <= labels["engines"].keys()
