"""The checks across systems of the example drill, on one story: they hold, and notice what one system knows alone."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from drmgr.checks.rows import row_hash
from drmgr.cli.wiring.checks import across_check
from drmgr.config import models
from drmgr.flows.bench import Source, WiredSystem
from drmgr.interfaces import AcrossCheck, Engine, Repository
from drmgr.model import CheckStatus, Objectives, Restored, System, Text
from tests.support.demo_data import NOW, SqliteEngine, department_rows, hospital_rows, restored_hospital, sqlite_of

DRILL = Path(__file__).parents[3] / "drills" / "across-restore.yaml"
DECLARED = {check.name: check for check in models.Drill.model_validate(YAML(typ="safe").load(DRILL)).across}

DAMAGE = {
    "lab-order-has-request": "UPDATE lab_request SET record_no = 'P99999999' WHERE id = 3",
    "imaging-order-has-study": "DELETE FROM image WHERE series_id IN (SELECT id FROM series WHERE study_id = 1)",
    "discharge-has-settlement": "UPDATE settlement_list SET total_amount = total_amount + 0.01 WHERE id = 5",
    "lab-request-has-order": "DELETE FROM medical_order WHERE id = (SELECT his_order_id FROM lab_request WHERE id = 3)",
    "study-has-order": "UPDATE imaging_request SET patient_record_no = 'P99999999' WHERE id = 2",
    "stay-has-record": "DELETE FROM encounter WHERE his_admission_id = 4",
}


class Hospital:
    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def check(self, name: str, **changes: object) -> AcrossCheck:
        engine = cast(Engine, SqliteEngine(self.database))
        sources = tuple(Source(source, engine) for source in ("main", "index"))
        objectives = Objectives(timedelta(hours=1), timedelta(hours=1))
        systems = {
            system: WiredSystem(System(system, Text("", ""), 1, objectives), cast(Repository, None), sources, ())
            for system in ("his", "emr", "lis", "pacs", "mi")
        }
        declared = DECLARED[name].model_copy(update=changes)
        return across_check(declared, systems, lambda: b"key", ZoneInfo("Asia/Shanghai"))

    def restored(self, right: timedelta = timedelta(0)) -> dict[str, Restored]:
        """The systems at the present instant; all but the HIS ``right`` before it."""
        his, others = (restored_hospital(Path(), consistent_at=NOW - ago) for ago in (timedelta(0), right))
        return {"his": his, **dict.fromkeys(("emr", "lis", "pacs", "mi"), others)}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    folder = tmp_path_factory.mktemp("files")
    rows = hospital_rows(folder)
    database = sqlite_of([*rows, *department_rows(rows, folder)])
    yield database
    database.close()


@pytest.fixture
def hospital(original: sqlite3.Connection) -> Iterator[Hospital]:
    database = sqlite3.connect(":memory:")
    database.deserialize(original.serialize())
    yield Hospital(database)
    database.close()


@pytest.mark.parametrize("name", DECLARED)
def test_one_story_agrees_and_a_difference_is_noticed(hospital: Hospital, name: str) -> None:
    check = hospital.check(name, skew="none")
    whole = check.run(hospital.restored())
    assert (whole.status, whole.actual["missing"]) == (CheckStatus.PASS, 0)

    hospital.database.execute(DAMAGE[name])
    damaged = check.run(hospital.restored())

    assert (damaged.status, damaged.actual["missing"]) == (CheckStatus.FAIL, 1)
    assert all(shown.startswith("hmac:") for shown in damaged.actual["hashes"])


def test_only_the_allowed_skew_excuses_what_came_later(hospital: Hospital) -> None:
    """The LIS is an hour behind: what was ordered since is not in it."""
    name, hour = "lab-order-has-request", timedelta(hours=1)
    hospital.database.execute(f"DELETE FROM lab_request WHERE requested_at > '{(NOW - hour).isoformat()}'")
    hospital.database.execute(
        "INSERT INTO medical_order SELECT id + 90000, visit_id, patient_id, kind, drug_id, content, "
        f"quantity, ordered_by, '{(NOW - hour / 2).isoformat()}', updated_at FROM medical_order WHERE kind = 'lab' AND id < 99"
    )
    behind = hospital.restored(right=hour)

    allowed = hospital.check(name, lag=timedelta(0)).run(behind)
    assert allowed.status is CheckStatus.PASS
    assert allowed.actual["later"] > 0

    assert hospital.check(name, skew="none").run(behind).status is CheckStatus.FAIL
    # logs were replayed on the right, up to now: nothing excuses it any more
    replayed = {**behind, "lis": replace(behind["lis"], reached=NOW)}
    assert hospital.check(name, lag=timedelta(0)).run(replayed).status is CheckStatus.FAIL


def ordered_at(hospital: Hospital, at: datetime) -> None:
    """One more laboratory order, which no other system knows."""
    hospital.database.execute(
        "INSERT INTO medical_order SELECT id + 90000, visit_id, patient_id, kind, drug_id, content, "
        f"quantity, ordered_by, '{at.isoformat()}', updated_at FROM medical_order WHERE kind = 'lab' LIMIT 1"
    )


SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("left", "right", "at", "status", "counted"),
    [
        # the left is newer: from the right's instant on, up to its own
        (NOW, NOW - HOUR, NOW, CheckStatus.PASS, {"later": 1, "missing": 0, "beyond": 0}),
        (NOW, NOW - HOUR, NOW - HOUR, CheckStatus.FAIL, {"later": 0, "missing": 1, "beyond": 0}),
        # after both: nothing could have written it
        (NOW, NOW - HOUR, NOW + SECOND, CheckStatus.FAIL, {"later": 0, "missing": 1, "beyond": 1}),
        # the left is older: what lies between the two is none of its rows, and nothing excuses it
        (NOW - HOUR, NOW, NOW - HOUR / 2, CheckStatus.FAIL, {"later": 0, "missing": 1, "beyond": 0}),
        (NOW - HOUR, NOW, NOW + SECOND, CheckStatus.FAIL, {"later": 0, "missing": 1, "beyond": 1}),
    ],
)
def test_what_is_excused_lies_between_the_two_instants(
    hospital: Hospital, left: datetime, right: datetime, at: datetime, status: CheckStatus, counted: dict[str, int]
) -> None:
    hospital.database.execute(f"DELETE FROM medical_order WHERE ordered_at > '{(NOW - HOUR).isoformat()}'")
    ordered_at(hospital, at)
    brought = {
        "his": restored_hospital(Path(), consistent_at=left),
        "lis": restored_hospital(Path(), consistent_at=right),
    }

    result = hospital.check("lab-order-has-request", lag=timedelta(0)).run(brought)

    assert (result.status, {name: result.actual[name] for name in counted}) == (status, counted)
    told = [datetime.fromisoformat(result.actual[name]) for name in ("later_than", "later_until")]
    assert told == [right, left]
    assert result.actual["later_until"].endswith("+08:00")
    assert ("were not looked for" in result.message) is bool(counted["later"])


def test_a_row_after_both_instants_is_wrong_even_where_the_other_knows_it(hospital: Hospital) -> None:
    hospital.database.execute(
        f"UPDATE medical_order SET ordered_at = '{(NOW + SECOND).isoformat()}' "
        "WHERE id = (SELECT his_order_id FROM lab_request WHERE id = 3)"
    )
    result = hospital.check("lab-order-has-request", lag=timedelta(0)).run(hospital.restored())

    assert (result.status, result.actual["beyond"], result.actual["missing"]) == (CheckStatus.FAIL, 1, 0)


def test_what_is_known_to_be_missing_is_accepted_by_key_or_hash(hospital: Hospital) -> None:
    hospital.database.execute(DAMAGE["stay-has-record"])
    ((visit, record),) = hospital.database.execute(
        "SELECT a.visit_id, p.record_no FROM admission a JOIN visit v ON v.id = a.visit_id "
        "JOIN patient p ON p.id = v.patient_id WHERE a.id = 4"
    )
    key = f"{visit}|{record}"
    for accepted in (key, row_hash(b"key", "stay-has-record", key)):
        result = hospital.check("stay-has-record", baseline=(accepted,)).run(hospital.restored())
        assert (result.status, result.actual["known"]) == (CheckStatus.PASS, 1)


def test_an_empty_left_side_proves_nothing(hospital: Hospital) -> None:
    hospital.database.execute("DELETE FROM admission")

    assert hospital.check("stay-has-record").run(hospital.restored()).status is CheckStatus.FAIL
