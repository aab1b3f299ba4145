"""Checks that hold whatever the data are prove nothing, and no level rests on them."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from drmgr.config.questions import READS_NOTHING, reads_a_table, warnings, wrong_question
from drmgr.model import Json

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT count(*)",
        "SELECT 'x from visit'",
        "SELECT 1 -- from visit",
        "SELECT 1 /* from visit */",
        "SELECT 1 WHERE 1 = 0",
        "SELECT 1 FROM dual",
        "SELECT count(*) FROM (SELECT 1 AS n) x",
        "SELECT count(*) FROM (VALUES (1), (2)) v",
        "SELECT extract(year FROM now())",
        "SELECT trim(both ' ' FROM name)",
        "SELECT 1 WHERE 1 IS DISTINCT FROM two",
        "SELECT count(*) FROM generate_series(1, 9)",
        "SELECT count(*) FROM pg_catalog.generate_series(1, 9) g",
        "WITH x AS (SELECT 1 AS n), y (m) AS (SELECT 2) SELECT count(*) FROM x JOIN y ON n = m",
        "SELECT count(*) FROM (SELECT 1 AS n) x, (SELECT 2 AS m) y WHERE n = m",
    ],
)
def test_what_reads_no_table_is_known(sql: str) -> None:
    assert not reads_a_table(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM visit",
        "select count(*) from\n his.dbo.visit",
        'SELECT count(*) FROM "Visit" v',
        "SELECT count(*) FROM [Visit]",
        "SELECT count(*) FROM `visit`",
        "SELECT count(*) FROM 就诊",
        "SELECT count(*) FROM ONLY visit",
        "SELECT count(*) FROM (visit v JOIN patient p ON p.id = v.patient_id)",
        "SELECT count(*) FROM (SELECT 1 AS n) x, visit v",
        "SELECT count(*) FROM (SELECT 1 AS n) x LEFT JOIN visit v ON v.id = x.n",
        "SELECT (SELECT count(*) FROM visit) - (SELECT count(*) FROM charge)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM visit)",
        "WITH x AS (SELECT id FROM visit) SELECT count(*) FROM x",
        "SELECT count(*) FROM generate_series(1, 9) g JOIN visit v ON v.id = g",
        "SELECT extract(year FROM max(charged_at)) FROM charge",
        "SELECT count(*) FROM (((visit)))",
        "SELECT count(*) FROM dbo.visit(nolock)",
        "SELECT count(*) FROM visit (readuncommitted)",
        "SELECT count(*) FROM visit(updlock, nolock)",
        "WITH visit AS (SELECT * FROM visit WHERE n > 0) SELECT count(*) FROM visit",
        "SELECT count(*) FROM open_visits()",
        "TABLE visit",
        r"SELECT 'it\'s', count(*) FROM visit WHERE a = 'b'",
    ],
)
def test_what_reads_one_is_never_taken_for_nothing(sql: str) -> None:
    assert reads_a_table(sql)


@pytest.mark.parametrize(
    ("check", "where"),
    [
        ({"sql": "SELECT 1", "expect": {"equals": 1}}, ("sql",)),
        ({"index": {"sql": "SELECT 'a', 1, NULL"}}, ("index", "sql")),
        ({"left": {"sql": "SELECT 1, 2"}, "right": {"sql": "SELECT id FROM visit"}}, ("left", "sql")),
        (
            {"sql": "SELECT count(*) FROM a", "expect": {"equals_sql": "select  COUNT(*)\nFROM A -- the same"}},
            ("expect", "equals_sql"),
        ),
        ({"sql": "SELECT count(*) FROM a", "expect": {"at_least": 0}}, ("expect", "at_least")),
    ],
)
def test_a_question_that_any_database_answers_rightly_is_known(check: Json, where: tuple[str, ...]) -> None:
    assert [way for way, _ in wrong_question(check)] == [where]


@pytest.mark.parametrize(
    "check",
    [
        {"sql": "SELECT count(*) FROM a", "expect": {"equals_sql": "SELECT 5"}},
        {
            "sql": "SELECT count(*) FROM a WHERE t = 'X'",
            "expect": {"equals_sql": "SELECT count(*) FROM a WHERE t = 'x'"},
        },
        {"sql": "SELECT count(*) - 5 FROM a", "expect": {"at_least": 0}},
        {"sql": "SELECT count(*) FROM a", "expect": {"at_least": 1}},
        {"sql": "SELECT count(*) FROM a UNION ALL SELECT min(x) FROM b", "expect": {"at_least": 0}},
        {"sql": ["no text"], "expect": None},
    ],
)
def test_all_others_are_none(check: Json) -> None:
    assert not list(wrong_question(check))


def test_no_check_of_the_examples_asks_nothing() -> None:
    files = [*(ROOT / "jobs").glob("*.yaml"), *(ROOT / "drills").glob("*.yaml")]
    found = [YAML(typ="safe").load(file) for file in files]
    checks = [check for each in found for check in (*each.get("checks", ()), *each.get("across", ()))]
    assert len(checks) > 80
    assert not [(check["name"], text) for check in checks for _, text in wrong_question(check)]


def test_the_mistake_says_what_is_wrong() -> None:
    assert next(wrong_question({"sql": "SELECT 1"}))[1] == READS_NOTHING


def test_each_is_warned_of_once_with_its_place() -> None:
    told = warnings({"his": {"checks": [{"name": "any", "sql": "SELECT 1"}]}}, {"d": {"across": []}})
    assert told == [f"jobs/his: the check any: sql {READS_NOTHING}; no level rests on it"]
