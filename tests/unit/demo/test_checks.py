"""The example checks of jobs/ pass on the synthetic hospital and fail when what they look at is damaged.

They run on SQLite here, which also proves that their SQL is not bound to PostgreSQL.
"""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from ruamel.yaml import YAML

from drmgr.checks.rows import row_hash
from drmgr.cli.wiring.checks import declared
from drmgr.config import models
from drmgr.demo.systems import FOLDERS
from drmgr.interfaces import Engine
from drmgr.model import CheckResult, CheckStatus
from tests.support.demo_data import (
    NOW,
    SqliteEngine,
    department_rows,
    hospital_rows,
    restored_hospital,
    sqlite_of,
)
from tests.support.mojibake import patients, question, wrong

JOBS = Path(__file__).parents[3] / "jobs"

DAMAGE = {
    "his/visits-present": "DELETE FROM visit",
    "his/charges-have-visit": "UPDATE charge SET visit_id = -1 WHERE id = 5",
    "his/one-patient-per-visit": "UPDATE medical_order SET patient_id = patient_id + 1 WHERE id = 3",
    "his/visits-have-patient": "DELETE FROM patient WHERE id = 2",
    "his/charge-amounts": "UPDATE charge SET amount = amount + 0.01 WHERE id = 7",
    "his/refunds-within-charge": "UPDATE refund SET amount = amount * 3 WHERE id = 1",
    "his/days-settled": "DELETE FROM daily_settlement WHERE business_date = (SELECT min(business_date) FROM charge)",
    "his/days-balance": "DELETE FROM payment WHERE id = 4",
    "his/inpatients": "DELETE FROM inpatient WHERE visit_id = (SELECT min(visit_id) FROM inpatient)",
    "his/inpatients-admitted": "UPDATE inpatient SET bed_no = bed_no + 40",
    "his/beds-taken-once": "UPDATE inpatient SET ward_id = 1, bed_no = 1",
    "his/discharge-after-admission": "UPDATE discharge SET discharged_at = '2001-01-01' WHERE id = 3",
    "his/stock-balance": "UPDATE drug_stock SET quantity = quantity + 1 WHERE drug_id = 1",
    "his/dispensing-leaves-stock": "DELETE FROM stock_move WHERE dispensing_id = 6",
    "his/order-dispense-give-times": "UPDATE order_execution SET given_at = '2001-01-01' WHERE id = 9",
    "his/order-dispense-give-quantities": "UPDATE order_execution SET quantity = quantity + 500 WHERE id = 9",
    "his/names-readable": "UPDATE patient SET name = '??' WHERE id = 3",
    "his/newest-charge": "DELETE FROM charge WHERE charged_at > '2026-01-04T09:30'",
    "pacs/studies-present": "DELETE FROM study",
    "pacs/studies-have-request": "DELETE FROM imaging_request WHERE id = 1",
    "pacs/series-have-study": "UPDATE series SET study_id = -1 WHERE id = 2",
    "pacs/images-have-series": "DELETE FROM series WHERE id = 2",
    "pacs/series-counts": "DELETE FROM image WHERE id = 3",
    "pacs/study-counts": "DELETE FROM image WHERE id = 3",
    "pacs/images-unique": "UPDATE image SET path = (SELECT path FROM image WHERE id = 1) WHERE id = 2",
    "pacs/request-image-times": "UPDATE imaging_request SET requested_at = '2099-01-01' WHERE id = 1",
    "pacs/image-report-times": "UPDATE report SET reported_at = '2001-01-01' WHERE id = 1",
    "pacs/reported-have-report": "DELETE FROM report WHERE id = 1",
    "pacs/images-match-index": "UPDATE image SET sop_instance_uid = '1.2' WHERE id = 1",
    "pacs/newest-study": "UPDATE study SET studied_at = '2025-12-01T00:00:00+00:00'",
    "emr/documents-present": "DELETE FROM document",
    "emr/documents-have-content": "UPDATE document_version SET content = '' WHERE document_id = 5",
    "emr/version-chain": "UPDATE document_version SET version_no = 7 WHERE document_id = 6",
    "emr/documents-have-encounter": "UPDATE document SET visit_id = -1 WHERE id = 8",
    "emr/admitted-on-ward": "UPDATE encounter SET on_ward_at = '2001-01-01' WHERE his_admission_id = 4",
    "emr/submitted-signed": "UPDATE document SET signed_at = '2001-01-01' WHERE id = 9",
    "emr/signed-have-signature": "DELETE FROM document_signature WHERE id = 2",
    "emr/stays-have-admission-record": "UPDATE document SET kind = 'progress' WHERE kind = 'admission'",
    "emr/restraint-present": "DELETE FROM restraint",
    "emr/restraint-documented": "UPDATE restraint SET document_id = 3 WHERE id = 1",
    "emr/texts-readable": "UPDATE document_version SET content = '患者锟斤拷' WHERE id = 4",
    "emr/newest-document": "DELETE FROM document WHERE written_at > '2026-01-01'",
    "lis/results-present": "DELETE FROM lab_result",
    "lis/results-have-request": "DELETE FROM lab_request WHERE id = 1",
    "lis/results-have-specimen": "DELETE FROM specimen WHERE id = 2",
    "lis/requests-have-results": "DELETE FROM lab_result WHERE request_id = 2",
    "lis/collect-test-publish": "UPDATE lab_result SET published_at = tested_at WHERE id = 9",
    "lis/counts-per-instrument": "DELETE FROM lab_result WHERE id = 12",
    "lis/critical-values-told": "UPDATE lab_result SET flag = 'C' WHERE id = 10 AND flag <> 'C'",
    "lis/barcodes-unique": "UPDATE specimen SET barcode = (SELECT barcode FROM specimen WHERE id = 1) WHERE id = 2",
    "lis/names-readable": "UPDATE lab_request SET patient_name = '张?' WHERE id = 2",
    "his/newest-execution": "UPDATE order_execution SET given_at = '2026-01-04T20:00:00+08:00'",
    "lis/newest-request": "UPDATE lab_request SET requested_at = '2026-01-04T09:00:00+08:00'",
    "lis/newest-result": "DELETE FROM lab_result WHERE published_at > '2026-01-01'",
    "opd-emr/notes-present": "DELETE FROM outpatient_note",
    "opd-emr/notes-have-content": "UPDATE outpatient_note SET history = '' WHERE id = 3",
    "opd-emr/visit-signed": "UPDATE outpatient_note SET signed_at = '2001-01-01' WHERE id = 3",
    "opd-emr/prescriptions-have-note": "UPDATE prescription SET note_id = -1 WHERE id = 3",
    "opd-emr/prescriptions-have-items": "DELETE FROM prescription_item WHERE id = 3",
    "opd-emr/prescriptions-paid": "UPDATE prescription_payment SET amount = amount + 0.01 WHERE id = 4",
    "opd-emr/payments-have-prescription": "DELETE FROM prescription WHERE id = 4",
    "opd-emr/written-reviewed": "UPDATE prescription SET reviewed_at = '2001-01-01' WHERE id = 4",
    "opd-emr/prescription-numbers-unique": "UPDATE prescription SET prescription_no = 'X' WHERE id < 3",
    "opd-emr/texts-readable": "UPDATE outpatient_note SET complaint = '锟斤拷' WHERE id = 2",
    "opd-emr/newest-note": "DELETE FROM outpatient_note WHERE visited_at > '2026-01-01'",
    "mrm/records-present": "DELETE FROM archived_record",
    "mrm/page-counts": "UPDATE archived_record SET page_count = page_count + 1 WHERE id = 1",
    "mrm/pages-have-record": "UPDATE scanned_page SET record_id = -1 WHERE id = 1",
    "mrm/discharged-archived": "UPDATE archived_record SET archived_at = '2001-01-01' WHERE id = 1",
    "mrm/archive-numbers-unique": "UPDATE archived_record SET archive_no = 'X' WHERE id < 3",
    "mrm/scans-match-index": "DELETE FROM scanned_page WHERE id = 1",
    "mrm/newest-record": "UPDATE archived_record SET archived_at = '2025-12-01T00:00:00+00:00'",
    "queue/tickets-present": "DELETE FROM queue_ticket",
    "queue/tickets-have-counter": "UPDATE queue_ticket SET counter_id = 99 WHERE id = 1",
    "queue/screens-have-counter": "DELETE FROM queue_counter WHERE id = 2",
    "queue/numbers-unique": "UPDATE queue_ticket SET ticket_no = 'A1', business_date = '2026-01-05' WHERE id < 3",
    "queue/taken-called-finished": "UPDATE queue_ticket SET called_at = '2001-01-01' WHERE id = 1",
    "queue/fees-paid": "DELETE FROM ticket_payment WHERE id = 1",
    "queue/payments-have-ticket": "DELETE FROM queue_ticket WHERE id = 1",
    "queue/newest-ticket": "DELETE FROM queue_ticket WHERE taken_at > '2026-01-04'",
    "phr/cards-present": "DELETE FROM report_card",
    "phr/status-receipt": "DELETE FROM card_receipt WHERE id = 1",
    "phr/receipts-have-card": "UPDATE card_receipt SET card_id = -1 WHERE id = 1",
    "phr/diagnosed-reported": "UPDATE report_card SET reported_at = '2001-01-01' WHERE id = 1",
    "phr/card-numbers-unique": "UPDATE report_card SET card_no = 'X' WHERE id < 3",
    "phr/receipt-numbers-unique": "UPDATE card_receipt SET receipt_no = 'X' WHERE id < 3",
    "phr/severe-disorders-reported": "UPDATE report_card SET diagnosis_code = 'J00' WHERE id = 1",
    "phr/newest-card": "UPDATE report_card SET reported_at = '2025-12-01T00:00:00+00:00'",
    "mi/lists-present": "DELETE FROM settlement_list",
    "mi/list-totals": "DELETE FROM settlement_item WHERE id = 2",
    "mi/list-settled": "UPDATE settlement_payment SET amount = amount + 1 WHERE id = 2",
    "mi/serials-unique": "UPDATE upload SET serial_no = 'X' WHERE id > 2 AND id < 5",
    "mi/lists-uploaded": "DELETE FROM upload WHERE list_id = 3",
    "mi/uploads-have-list": "UPDATE upload SET list_id = -1 WHERE id = 1",
    "mi/discharged-settled": "UPDATE settlement_list SET settled_at = '2001-01-01' WHERE id = 1",
    "mi/newest-list": "UPDATE settlement_list SET settled_at = '2025-12-01T00:00:00+00:00'",
    "nis/events-present": "DELETE FROM surveillance_event",
    "nis/events-have-stay": "UPDATE surveillance_event SET stay_id = -1 WHERE id = 1",
    "nis/cases-have-events": "UPDATE infection_case SET event_count = event_count + 1 WHERE id = 1",
    "nis/events-have-case": "UPDATE infection_case SET stay_id = -1 WHERE id = 1",
    "nis/status-receipt": "UPDATE infection_case SET receipt_no = NULL WHERE status = 'confirmed'",
    "nis/onset-reported": "UPDATE infection_case SET reported_at = '2001-01-01' WHERE id = 1",
    "nis/newest-event": "DELETE FROM surveillance_event WHERE measured_at > '2026-01-01'",
}
"""By the name of the check: the mistake that it is there to find."""


SYSTEMS = sorted(path.stem for path in JOBS.glob("*.yaml"))


def declared_in(system: str) -> list[models.Check]:
    return list(models.Job.model_validate(YAML(typ="safe").load(JOBS / f"{system}.yaml")).checks)


CHECKS = {f"{system}/{check.name}": check for system in SYSTEMS for check in declared_in(system)}


class Hospital:
    """One copy of the synthetic hospital that a test may damage."""

    def __init__(self, database: sqlite3.Connection, files: Path) -> None:
        self.database = database
        self.files = files

    def run(self, name: str, *, later: timedelta = timedelta(0)) -> CheckResult:
        engine = cast(Engine, SqliteEngine(self.database))
        check = declared(CHECKS[name], dict.fromkeys(("main", "index"), engine), lambda: b"key")
        return check.run(restored_hospital(self.files, consistent_at=NOW + later))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    files = tmp_path_factory.mktemp("files")
    rows = hospital_rows(files / FOLDERS["pacs"])
    database = sqlite_of([*rows, *department_rows(rows, files)])
    yield Hospital(database, files)
    database.close()


@pytest.fixture
def hospital(original: Hospital) -> Iterator[Hospital]:
    database = sqlite3.connect(":memory:")
    database.deserialize(original.database.serialize())
    yield Hospital(database, original.files)
    database.close()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_check_passes_on_whole_data_and_fails_on_its_damage(hospital: Hospital, name: str) -> None:
    assert hospital.run(name).status is CheckStatus.PASS

    changed = hospital.database.execute(DAMAGE[name]).rowcount

    assert changed > 0
    assert hospital.run(name).status is CheckStatus.FAIL


def test_every_check_has_its_damage_and_each_system_enough_of_them() -> None:
    assert set(DAMAGE) == set(CHECKS)
    assert len(SYSTEMS) == 10
    assert min(len(declared_in(system)) for system in SYSTEMS) >= 7


@pytest.mark.parametrize("name", ["his/newest-charge", "pacs/newest-study"])
def test_rows_later_than_the_recovery_point_are_not_fresh(original: Hospital, name: str) -> None:
    assert original.run(name, later=-timedelta(days=1)).status is CheckStatus.FAIL


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def add_an_orphan(file: Path) -> None:
    file.with_name("orphan").write_bytes(b"")


@pytest.mark.parametrize("name", ["pacs/images-match-index", "mrm/scans-match-index"])
@pytest.mark.parametrize("harm", [flip_a_byte, add_an_orphan, Path.unlink])
def test_a_harmed_file_tree_is_noticed(
    original: Hospital, tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    shutil.copytree(original.files, tmp_path, dirs_exist_ok=True)
    harm(next(path for path in (tmp_path / FOLDERS[name.split("/", maxsplit=1)[0]]).rglob("*.*") if path.is_file()))

    assert Hospital(original.database, tmp_path).run(name).status is CheckStatus.FAIL


def test_known_exceptions_pass_and_a_new_one_shows_only_its_hash(hospital: Hospital) -> None:
    known = hospital.run("lis/results-have-request")
    assert (known.status, known.actual) == (CheckStatus.PASS, {"new": 0, "known": 3})

    hospital.database.execute("UPDATE lab_result SET request_id = -1 WHERE id = 77")
    new = hospital.run("lis/results-have-request")

    hashed = row_hash(b"key", "results-have-request", "77")
    assert new.status is CheckStatus.FAIL
    assert new.actual == {"new": 1, "known": 3, "rows": [hashed]}
    assert hashed != row_hash(b"another key", "results-have-request", "77")
    assert new.item == "EMR-2018 05.02"


def test_spoilt_names_are_found_and_rare_ones_are_none() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(patients("text"))
        assert sorted(key for (key,) in database.execute(question())) == wrong()


@pytest.mark.parametrize("system", ["his", "lis", "emr", "opd-emr"])
def test_every_check_of_texts_knows_the_same_marks(system: str) -> None:
    (check,) = [check for check in declared_in(system) if check.name.endswith("-readable")]
    assert isinstance(check, models.RowsCheck)
    columns = set(re.findall(r"(\w+) LIKE", check.sql))
    for column in columns:
        found = {mark for mark in "?锟锛銆鈥" if re.search(rf"\b{column} LIKE '%{re.escape(mark)}", check.sql)}
        assert found == set("?锟锛銆鈥") and f"replace({column}, '\ufffd', '') <> {column}" in check.sql
