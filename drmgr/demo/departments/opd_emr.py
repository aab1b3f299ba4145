"""Outpatient records: a note for each visit, and its prescriptions with what they cost and who paid."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from drmgr.demo import clinical_words as words
from drmgr.demo import vocabulary
from drmgr.demo.departments.department import MINUTE, Department
from drmgr.demo.feed import Ask, Grouped, Outpatient, Prescribed, read
from drmgr.demo.tables import Table, Words


class OutpatientNote(NamedTuple):
    id: int
    his_visit_id: int
    record_no: str
    patient_name: str
    complaint: str
    history: Words
    diagnosis_code: str
    diagnosis: str
    doctor_id: int
    visited_at: datetime
    signed_at: datetime


class Prescription(NamedTuple):
    id: int
    note_id: int
    prescription_no: str
    amount: Decimal
    written_at: datetime
    reviewed_at: datetime


class PrescriptionItem(NamedTuple):
    id: int
    prescription_id: int
    his_order_id: int
    drug: str
    quantity: int
    price: Decimal
    amount: Decimal


class PrescriptionPayment(NamedTuple):
    id: int
    prescription_id: int
    method: str
    amount: Decimal
    paid_at: datetime


class OpdEmrDepartment(Department):
    """Writes a note for every visit without a stay, and one prescription if drugs were ordered."""

    SYSTEM: ClassVar[str] = "opd-emr"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("outpatient_note", OutpatientNote, unique=("his_visit_id",)),
        Table("prescription", Prescription, unique=("prescription_no",), refers={"note_id": "outpatient_note"}),
        Table("prescription_item", PrescriptionItem, refers={"prescription_id": "prescription"}),
        Table("prescription_payment", PrescriptionPayment, refers={"prescription_id": "prescription"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"visit": "SELECT coalesce(max(his_visit_id), 0) FROM outpatient_note"}

    def catch_up(self, his: Ask) -> None:
        seen = self._seen["visit"]
        drugs = Grouped(read(his, Prescribed, seen), lambda drug: drug.visit_id)
        for visit in read(his, Outpatient, seen):
            self._visit(visit, drugs.of(visit.visit_id))

    def _visit(self, visit: Outpatient, drugs: Sequence[Prescribed]) -> None:
        number = self._next(OutpatientNote)
        complaint = words.COMPLAINTS[self._pick(len(words.COMPLAINTS))]
        signed = self._until_now(visit.started_at + 15 * MINUTE)
        self._add(
            OutpatientNote(
                *(number, visit.visit_id, visit.record_no, visit.name, complaint, words.history(visit, complaint)),
                *(visit.diagnosis_code, visit.diagnosis, visit.doctor_id, visit.started_at, signed),
            )
        )
        if drugs:
            self._prescribe(number, visit, drugs)

    def _prescribe(self, note: int, visit: Outpatient, drugs: Sequence[Prescribed]) -> None:
        number = self._next(Prescription)
        total = sum((drug.quantity * drug.price for drug in drugs), Decimal(0))
        written = max(drug.ordered_at for drug in drugs)
        reviewed, paid = self._until_now(written + MINUTE), self._until_now(written + 2 * MINUTE)
        self._add(Prescription(number, note, f"CF{visit.visit_id:010d}", total, written, reviewed))
        for drug in drugs:
            amount = drug.quantity * drug.price
            what = (drug.order_id, drug.drug, drug.quantity, drug.price, amount)
            self._add(PrescriptionItem(self._next(PrescriptionItem), number, *what))
        method = vocabulary.PAYMENT_METHODS[self._pick(len(vocabulary.PAYMENT_METHODS))]
        self._add(PrescriptionPayment(self._next(PrescriptionPayment), number, method, total, paid))
