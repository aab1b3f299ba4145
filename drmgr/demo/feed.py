"""What the HIS tells the other systems: their interface to it, in portable SQL, from the last id they have seen."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from drmgr.demo.tables import Row

Ask = Callable[[str], Iterator[Row]]
"""Asks a database; gives the rows, streamed."""

T = TypeVar("T")


class LabOrder(NamedTuple):
    """One panel ordered for one patient."""

    order_id: int
    visit_id: int
    record_no: str
    name: str
    content: str
    ordered_at: datetime


class Stay(NamedTuple):
    """One inpatient stay, from admission on; ``discharged_at`` None while it lasts."""

    admission_id: int
    visit_id: int
    record_no: str
    name: str
    ward_id: int
    kind: str
    diagnosis_code: str
    diagnosis: str
    doctor_id: int
    admitted_at: datetime
    discharged_at: datetime | None


class Left(NamedTuple):
    """A stay that ended."""

    discharge_id: int
    visit_id: int
    record_no: str
    name: str
    identity_no: str
    diagnosis_code: str
    diagnosis: str
    outcome: str
    admitted_at: datetime
    discharged_at: datetime


class Billed(NamedTuple):
    """What one category of a finished stay cost, refunds taken off."""

    discharge_id: int
    category: str
    amount: Decimal


class Outpatient(NamedTuple):
    """One visit without a stay."""

    visit_id: int
    record_no: str
    name: str
    diagnosis_code: str
    diagnosis: str
    doctor_id: int
    started_at: datetime


class Prescribed(NamedTuple):
    """One drug ordered at such a visit."""

    visit_id: int
    order_id: int
    drug: str
    quantity: int
    price: Decimal
    ordered_at: datetime


class Reportable(NamedTuple):
    """A visit whose diagnosis the law wants reported."""

    visit_id: int
    record_no: str
    name: str
    identity_no: str
    birth_date: date
    diagnosis_code: str
    started_at: datetime


SEVERE = ("F20.0", "F20.9", "F31.1")
"""Severe mental disorders: reported to the state within ten days."""

QUERIES: dict[type[Row], str] = {
    LabOrder: """
        SELECT o.id, o.visit_id, p.record_no, p.name, o.content, o.ordered_at
        FROM medical_order o JOIN patient p ON p.id = o.patient_id
        WHERE o.kind = 'lab' AND o.id > {seen} ORDER BY o.id""",
    Stay: """
        SELECT a.id, a.visit_id, p.record_no, p.name, a.ward_id, a.kind, v.diagnosis_code, v.diagnosis, v.doctor_id,
            a.admitted_at, d.discharged_at
        FROM admission a JOIN visit v ON v.id = a.visit_id JOIN patient p ON p.id = v.patient_id
        LEFT JOIN discharge d ON d.visit_id = a.visit_id
        WHERE a.id > {seen} ORDER BY a.id""",
    Left: """
        SELECT d.id, d.visit_id, p.record_no, p.name, p.identity_no, v.diagnosis_code, v.diagnosis, d.outcome,
            a.admitted_at, d.discharged_at
        FROM discharge d JOIN admission a ON a.visit_id = d.visit_id
        JOIN visit v ON v.id = d.visit_id JOIN patient p ON p.id = v.patient_id
        WHERE d.id > {seen} ORDER BY d.id""",
    Billed: """
        SELECT d.id, c.category, sum(c.amount - coalesce(r.total, 0))
        FROM discharge d JOIN charge c ON c.visit_id = d.visit_id
        LEFT JOIN (SELECT charge_id, sum(amount) AS total FROM refund GROUP BY charge_id) r ON r.charge_id = c.id
        WHERE d.id > {seen} GROUP BY d.id, c.category ORDER BY d.id, c.category""",
    Outpatient: """
        SELECT v.id, p.record_no, p.name, v.diagnosis_code, v.diagnosis, v.doctor_id, v.started_at
        FROM visit v JOIN patient p ON p.id = v.patient_id
        WHERE v.kind = 'outpatient' AND v.id > {seen} ORDER BY v.id""",
    Prescribed: """
        SELECT o.visit_id, o.id, o.content, o.quantity, d.price, o.ordered_at
        FROM medical_order o JOIN visit v ON v.id = o.visit_id JOIN drug d ON d.id = o.drug_id
        WHERE v.kind = 'outpatient' AND o.kind = 'drug' AND v.id > {seen} ORDER BY o.visit_id, o.id""",
    Reportable: """
        SELECT v.id, p.record_no, p.name, p.identity_no, p.birth_date, v.diagnosis_code, v.started_at
        FROM visit v JOIN patient p ON p.id = v.patient_id
        WHERE v.diagnosis_code IN {severe} AND v.id > {seen} ORDER BY v.id""",
}


def read(ask: Ask, kind: type[T], seen: int) -> Iterator[T]:
    """What the HIS has of that kind after the id ``seen``."""
    query = QUERIES[kind].format(seen=int(seen), severe=SEVERE)  # type: ignore[index]
    for row in ask(" ".join(query.split())):
        yield kind(*row)


class Grouped(Generic[T]):
    """Rows that belong to a parent, taken parent by parent; both come ordered by the parent's id.

    ``of(id)`` gives the rows of that parent and drops those of parents before it.
    """

    def __init__(self, rows: Iterator[T], parent: Callable[[T], int]) -> None:
        self._rows = rows
        self._parent = parent
        self._next: T | None = next(rows, None)

    def of(self, parent: int) -> list[T]:
        found: list[T] = []
        while self._next is not None and self._parent(self._next) <= parent:
            if self._parent(self._next) == parent:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found
