"""Reports to public health: cards for severe mental disorders and infectious diseases, and the receipts for them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar, NamedTuple

from drmgr.demo import clinical_words as words
from drmgr.demo.departments.department import DAY, HOUR, Department
from drmgr.demo.feed import Ask, Reportable, read
from drmgr.demo.tables import Table

INFECTIOUS_EVERY = 15


class ReportCard(NamedTuple):
    id: int
    card_no: str
    his_visit_id: int
    kind: str
    record_no: str
    patient_name: str
    identity_no: str
    birth_date: date
    diagnosis_code: str
    reporter: str
    status: str
    diagnosed_at: datetime
    reported_at: datetime


class CardReceipt(NamedTuple):
    id: int
    card_id: int
    receipt_no: str
    result: str
    received_at: datetime


class PhrDepartment(Department):
    """Reports every visit with a severe mental disorder; now and then an infectious disease found beside it."""

    SYSTEM: ClassVar[str] = "phr"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("report_card", ReportCard, unique=("card_no",), index=("his_visit_id",)),
        Table("card_receipt", CardReceipt, unique=("receipt_no",), refers={"card_id": "report_card"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"visit": "SELECT coalesce(max(his_visit_id), 0) FROM report_card"}

    def catch_up(self, his: Ask) -> None:
        for visit in read(his, Reportable, self._seen["visit"]):
            self._report(visit, "severe-mental", visit.diagnosis_code)
            if visit.visit_id % INFECTIOUS_EVERY == 0:
                self._report(visit, "infectious", words.INFECTIONS_REPORTED[self._pick(3)])

    def _report(self, visit: Reportable, kind: str, code: str) -> None:
        number = self._next(ReportCard)
        reported = visit.started_at + self._pick(9) * DAY + HOUR / 2
        received = reported + 2 * HOUR
        reported = self._until_now(reported)
        answered = received <= self._now
        about = (visit.record_no, visit.name, visit.identity_no, visit.birth_date, code, self._person())
        status = "accepted" if answered else "sent"
        card_no = f"{'JSZA' if kind == 'severe-mental' else 'CRB'}{number:010d}"
        self._add(
            ReportCard(number, card_no, visit.visit_id, kind, *about, status, visit.started_at, reported),
        )
        if answered:
            receipt = f"HZ{number:012d}"
            self._add(CardReceipt(self._next(CardReceipt), number, receipt, "accepted", received))
