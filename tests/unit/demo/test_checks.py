"""The example checks of jobs/ pass on the synthetic hospital and fail when what they look at is damaged.

They run on SQLite here, which also proves that their SQL is not bound to PostgreSQL.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from ruamel.yaml import YAML

from drmgr.checks.dicom import DicomCheck
from drmgr.checks.sql import Expectation, FreshnessCheck, SqlCheck
from drmgr.config import models
from drmgr.interfaces import Check, SqlEngine
from drmgr.model import CheckResult, CheckStatus, Text
from tests.support.demo_data import NOW, SqliteEngine, hospital_rows, restored_hospital, sqlite_of

JOBS = Path(__file__).parents[3] / "jobs"
TITLE = Text("", "")

DAMAGE = {
    "visits-present": "DELETE FROM visit",
    "charges-have-visit": "UPDATE charge SET visit_id = -1 WHERE id = 5",
    "one-patient-per-visit": "UPDATE medical_order SET patient_id = patient_id + 1 WHERE id = 3",
    "visits-have-patient": "DELETE FROM patient WHERE id = 2",
    "charge-amounts": "UPDATE charge SET amount = amount + 0.01 WHERE id = 7",
    "refunds-within-charge": "UPDATE refund SET amount = amount * 3 WHERE id = 1",
    "days-settled": "DELETE FROM daily_settlement WHERE business_date = (SELECT min(business_date) FROM charge)",
    "days-balance": "DELETE FROM payment WHERE id = 4",
    "inpatients": "DELETE FROM inpatient WHERE visit_id = (SELECT min(visit_id) FROM inpatient)",
    "inpatients-admitted": "UPDATE inpatient SET bed_no = bed_no + 40",
    "beds-taken-once": "UPDATE inpatient SET ward_id = 1, bed_no = 1",
    "discharge-after-admission": "UPDATE discharge SET discharged_at = '2001-01-01' WHERE id = 1",
    "stock-balance": "UPDATE drug_stock SET quantity = quantity + 1 WHERE drug_id = 1",
    "dispensing-leaves-stock": "DELETE FROM stock_move WHERE dispensing_id = 6",
    "order-dispense-give-times": "UPDATE order_execution SET given_at = '2001-01-01' WHERE id = 9",
    "order-dispense-give-quantities": "UPDATE order_execution SET quantity = quantity + 500 WHERE id = 9",
    "newest-charge": "DELETE FROM charge WHERE charged_at > '2026-01-04T09:30'",
    "studies-present": "DELETE FROM study",
    "studies-have-request": "DELETE FROM imaging_request WHERE id = 1",
    "series-have-study": "UPDATE series SET study_id = -1 WHERE id = 2",
    "images-have-series": "DELETE FROM series WHERE id = 2",
    "series-counts": "DELETE FROM image WHERE id = 3",
    "study-counts": "DELETE FROM image WHERE id = 3",
    "images-unique": "UPDATE image SET path = (SELECT path FROM image WHERE id = 1) WHERE id = 2",
    "request-image-times": "UPDATE imaging_request SET requested_at = '2099-01-01' WHERE id = 1",
    "image-report-times": "UPDATE report SET reported_at = '2001-01-01' WHERE id = 1",
    "reported-have-report": "DELETE FROM report WHERE id = 1",
    "images-match-index": "UPDATE image SET sop_instance_uid = '1.2' WHERE id = 1",
    "newest-study": "UPDATE study SET studied_at = '2025-12-01T00:00:00+00:00'",
}
"""By the name of the check: the mistake that it is there to find."""


def declared(system: str) -> list[models.SqlCheck | models.FreshnessCheck | models.DicomCheck]:
    return list(models.Job.model_validate(YAML(typ="safe").load(JOBS / f"{system}.yaml")).checks)


CHECKS = {check.name: check for system in ("his", "pacs") for check in declared(system)}


class Hospital:
    """One copy of the synthetic hospital that a test may damage."""

    def __init__(self, database: sqlite3.Connection, images: Path) -> None:
        self.database = database
        self.images = images

    def run(self, name: str, *, later: timedelta = timedelta(0)) -> CheckResult:
        check = self._concrete(CHECKS[name])
        return check.run(restored_hospital(self.images, consistent_at=NOW + later))

    def _concrete(self, check: models.SqlCheck | models.FreshnessCheck | models.DicomCheck) -> Check:
        engine, name = cast(SqlEngine, SqliteEngine(self.database)), check.name
        if isinstance(check, models.SqlCheck):
            expect = Expectation(check.expect.rule, check.expect.value)
            return SqlCheck(name=name, title=TITLE, source=check.source, engine=engine, sql=check.sql, expect=expect)
        if isinstance(check, models.FreshnessCheck):
            return FreshnessCheck(
                name=name,
                title=TITLE,
                source=check.source,
                engine=engine,
                table=check.table,
                column=check.column,
                within=check.within,
            )
        return DicomCheck(
            name=name,
            title=TITLE,
            index=check.index.source,
            engine=engine,
            sql=check.index.sql,
            files=check.files,
            pixels=check.pixels,
        )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    images = tmp_path_factory.mktemp("images")
    database = sqlite_of(hospital_rows(images))
    yield Hospital(database, images)
    database.close()


@pytest.fixture
def hospital(original: Hospital) -> Iterator[Hospital]:
    database = sqlite3.connect(":memory:")
    database.deserialize(original.database.serialize())
    yield Hospital(database, original.images)
    database.close()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_check_passes_on_whole_data_and_fails_on_its_damage(hospital: Hospital, name: str) -> None:
    assert hospital.run(name).status is CheckStatus.PASS

    changed = hospital.database.execute(DAMAGE[name]).rowcount

    assert changed > 0
    assert hospital.run(name).status is CheckStatus.FAIL


def test_every_check_has_its_damage_and_each_system_enough_of_them() -> None:
    assert set(DAMAGE) == set(CHECKS)
    assert min(len(declared("his")), len(declared("pacs"))) >= 8


@pytest.mark.parametrize("name", ["newest-charge", "newest-study"])
def test_rows_later_than_the_recovery_point_are_not_fresh(original: Hospital, name: str) -> None:
    assert original.run(name, later=-timedelta(days=1)).status is CheckStatus.FAIL


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def add_an_orphan(file: Path) -> None:
    file.with_name("orphan.dcm").write_bytes(b"")


@pytest.mark.parametrize("harm", [flip_a_byte, add_an_orphan, Path.unlink])
def test_a_harmed_image_tree_is_noticed(original: Hospital, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    images = tmp_path / "images"
    shutil.copytree(original.images, images)
    harm(next(images.rglob("*.dcm")))

    assert Hospital(original.database, images).run("images-match-index").status is CheckStatus.FAIL
