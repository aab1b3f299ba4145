"""Every SQL text of jobs/ and drills/ is one that SQL Server takes as well as PostgreSQL, MariaDB and SQLite."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from drmgr.model import Json
from tests.support.portable_sql import RESERVED, faults

ROOT = Path(__file__).parents[3]


def texts(of: Json, way: str) -> Iterator[tuple[str, str]]:
    """(where, text) of everything that is sent to a database."""
    if isinstance(of, dict):
        for key, value in of.items():
            inner = f"{way}/{value.get('name', key) if isinstance(value, dict) else key}"
            if key in {"sql", "equals_sql"} and isinstance(value, str):
                yield way, value
            else:
                yield from texts(value, inner)
    elif isinstance(of, list):
        for number, value in enumerate(of):
            name = value.get("name", number) if isinstance(value, dict) else number
            yield from texts(value, f"{way}/{name}")


FILES = {path: YAML(typ="safe").load(path) for path in sorted([*ROOT.glob("jobs/*.yaml"), *ROOT.glob("drills/*.yaml")])}
TEXTS = [found for path, content in FILES.items() for found in texts(content, path.stem)]


def test_all_texts_are_portable() -> None:
    assert len(TEXTS) > 100
    wrong = {way: found for way, sql in TEXTS if (found := faults(sql))}
    assert wrong == {}


def test_tables_and_columns_that_are_named_need_no_quotes() -> None:
    checks = [check for content in FILES.values() for check in content.get("checks", [])]
    named = {check[key] for check in checks if check["kind"] == "freshness" for key in ("table", "column")}
    assert len(named) > 10
    assert {name for name in named if not re.fullmatch(r"[a-z][a-z0-9_]*", name)} == set()
    assert named & RESERVED == set()


def test_items_of_the_grading_have_its_form() -> None:
    checks = [check for content in FILES.values() for part in ("checks", "across") for check in content.get(part, [])]
    items = [check["item"] for check in checks if "item" in check]
    assert len(items) > 40
    assert [item for item in items if not re.fullmatch(r"EMR-2018 \d\d\.\d\d|Mental Health Law \d+", item)] == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM visit LIMIT 1",
        "SELECT id::text FROM visit",
        "SELECT `id` FROM visit",
        'SELECT "id" FROM visit',
        "SELECT [id] FROM visit",
        "SELECT a || b FROM visit",
        "SELECT ifnull(a, 0) FROM visit",
        "SELECT length(name) FROM patient",
        "SELECT count(*) FROM visit WHERE started_at < now()",
        "SELECT count(*) FROM visit WHERE started_at < CURRENT_TIMESTAMP",
        "SELECT count(*) FROM daily_settlement WHERE closed = TRUE",
        "SELECT count(*) FROM visit v JOIN charge c USING (id)",
        "SELECT count(*) FROM (SELECT id FROM visit)",
        "SELECT count(*) FROM (SELECT id FROM visit ORDER BY id) v",
        "SELECT count(*) FROM (SELECT id FROM visit) WHERE id = 1",
        "SELECT count(*) FILTER (WHERE id > 1) FROM visit",
        "SELECT id FROM plan",
        "SELECT CAST(id AS INTEGER) FROM visit",
        "SELECT id FROM visit WHERE name ~ 'x'",
        "SELECT id FROM visit WHERE id != 1",
        "SELECT avg(quantity) FROM charge",
        "SELECT count FROM charge",
        "SELECT id FROM visit -- a remark; DROP",
        "SELECT id FROM visit; SELECT 1",
    ],
)
def test_what_is_not_portable_is_found(sql: str) -> None:
    assert faults(sql) != []
