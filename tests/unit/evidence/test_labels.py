"""What the program calls a step, an engine or a value of a check has words in both languages: no report shows bare names."""

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

import drmgr
from drmgr.checks.dicom import DicomCheck
from drmgr.checks.filetree import ARRIVING, FilesCheck
from drmgr.checks.sql import Relation
from drmgr.config.stores import FolderStore, S3Store
from drmgr.engines.files.engine import FilesEngine
from drmgr.engines.mariadb.engine import MariadbEngine
from drmgr.engines.mariadb.physical import PhysicalMariadbEngine
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.physical import PhysicalPostgresEngine
from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlserver.engine import SqlServerEngine
from drmgr.engines.sqlserver.facts import MOVING
from drmgr.errors import DrmgrError, Interrupted
from drmgr.evidence.backup_set import METHODS

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
    assert set(METHODS.values()) | {"native-full", "native-differential", "images", "logs"} == labels["methods"].keys()
    assert {get_args(store.model_fields["kind"].annotation)[0] for store in (S3Store, FolderStore)} == labels[
        "media"
    ].keys()


def kinds(error: type[DrmgrError]) -> Iterator[type[DrmgrError]]:
    yield error
    for each in error.__subclasses__():
        yield from kinds(each)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_error_has_words(language: str) -> None:
    labels = json.loads(files("drmgr.evidence").joinpath("templates/labels.json").read_bytes())[language]
    assert {each.code for each in kinds(DrmgrError)} | {Interrupted.code, "bug"} == labels["errors"].keys()


AS_SIGNS = {"equals", "equals_sql", "at_least", "at_most"}
"""Shown as the value alone, or by a sign; see relations in common.typ."""


def words(node: ast.AST) -> Iterator[str]:
    """The keys of the mappings that are written out in that part of the source, and those put into one later."""
    for each in ast.walk(node):
        keys: list[ast.expr | None] = list(each.keys) if isinstance(each, ast.Dict) else []
        if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store):
            keys = [each.slice]
        yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def makes_results(module: Path, tree: ast.Module) -> list[ast.AST]:
    """The functions that make a check's values: all of the checks' own, elsewhere those that make a result."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if module.parent.name == "checks":
        return [tree]
    return [each for each in functions if each.name == "_proof_json" or "CheckResult(" in ast.unparse(each)]


def groups_of_facts(tree: ast.Module) -> Iterator[str]:
    """A check of facts tells how many items each group has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "Groups":
            returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return | ast.AnnAssign)]
            mappings = [each for each in returned if isinstance(each, ast.Dict)]
            yield from (str(ast.literal_eval(key)) for each in mappings for key in each.keys if key is not None)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("groups"):
            yield from [str(node.slice.value)] if isinstance(node.slice, ast.Constant) else []
        if isinstance(node, ast.Dict) and any(key is None for key in node.keys):
            around = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
            if any(ast.unparse(value).endswith("groups") for value in around):
                yield from words(ast.Dict(keys=[k for k in node.keys if k is not None], values=[]))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_value_that_a_check_tells_has_words(language: str) -> None:
    known = json.loads(files("drmgr.evidence").joinpath("templates/labels.json").read_bytes())[language]["keys"]
    root = Path(drmgr.__file__).parent
    keys = {FilesCheck.TOTAL, *FilesCheck.WRONG, DicomCheck.TOTAL, *DicomCheck.WRONG, ARRIVING, MOVING}
    for module in root.rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for part in makes_results(module, tree):
            keys.update(words(part))
        if "engines" in module.relative_to(root).parts:
            keys.update(groups_of_facts(tree))
    # one of each way of being found: the search itself must not come to nothing
    assert {"rows", "index_until", "relations_checked", "fingerprint", "principals", "globals", "dicom"} <= keys
    assert set(get_args(Relation)) == AS_SIGNS
    assert sorted(keys - AS_SIGNS - known.keys()) == []
