"""One row type per table of the HIS, columns in the order of sql/his.sql."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple


class Department(NamedTuple):
    id: int
    code: str
    name: str
    kind: str


class Staff(NamedTuple):
    id: int
    code: str
    name: str
    role: str


class Ward(NamedTuple):
    id: int
    department_id: int
    code: str
    name: str
    beds: int


class Drug(NamedTuple):
    id: int
    code: str
    name: str
    spec: str
    unit: str
    price: Decimal
    updated_at: datetime


class Patient(NamedTuple):
    id: int
    record_no: str
    name: str
    sex: str
    birth_date: date
    identity_no: str
    phone: str
    address: str
    created_at: datetime
    updated_at: datetime


class Visit(NamedTuple):
    id: int
    patient_id: int
    kind: str
    department_id: int
    doctor_id: int
    diagnosis_code: str
    diagnosis: str
    started_at: datetime
    ended_at: datetime | None
    updated_at: datetime


class Admission(NamedTuple):
    id: int
    visit_id: int
    ward_id: int
    bed_no: int
    kind: str
    admitted_at: datetime


class Discharge(NamedTuple):
    id: int
    visit_id: int
    outcome: str
    discharged_at: datetime


class Inpatient(NamedTuple):
    visit_id: int
    ward_id: int
    bed_no: int
    since: datetime


class MedicalOrder(NamedTuple):
    id: int
    visit_id: int
    patient_id: int
    kind: str
    drug_id: int | None
    content: str
    quantity: int
    ordered_by: int
    ordered_at: datetime
    updated_at: datetime


class Dispensing(NamedTuple):
    id: int
    order_id: int
    drug_id: int
    quantity: int
    dispensed_by: int
    dispensed_at: datetime


class OrderExecution(NamedTuple):
    id: int
    order_id: int
    dispensing_id: int
    quantity: int
    given_by: int
    given_at: datetime


class StockMove(NamedTuple):
    id: int
    drug_id: int
    direction: str
    quantity: int
    dispensing_id: int | None
    batch_no: str | None
    moved_at: datetime


class DrugStock(NamedTuple):
    drug_id: int
    quantity: int
    updated_at: datetime


class Charge(NamedTuple):
    id: int
    visit_id: int
    patient_id: int
    order_id: int | None
    category: str
    item: str
    quantity: int
    price: Decimal
    amount: Decimal
    business_date: date
    charged_at: datetime


class Refund(NamedTuple):
    id: int
    charge_id: int
    amount: Decimal
    reason: str
    business_date: date
    refunded_at: datetime


class Payment(NamedTuple):
    id: int
    visit_id: int
    method: str
    amount: Decimal
    business_date: date
    paid_at: datetime


class DailySettlement(NamedTuple):
    business_date: date
    detail_amount: Decimal
    refund_amount: Decimal
    net_amount: Decimal
    closed: bool
    updated_at: datetime


TABLES: dict[type[tuple[object, ...]], str] = {
    Department: "department",
    Staff: "staff",
    Ward: "ward",
    Drug: "drug",
    Patient: "patient",
    Visit: "visit",
    Admission: "admission",
    Discharge: "discharge",
    Inpatient: "inpatient",
    MedicalOrder: "medical_order",
    Dispensing: "dispensing",
    OrderExecution: "order_execution",
    StockMove: "stock_move",
    DrugStock: "drug_stock",
    Charge: "charge",
    Refund: "refund",
    Payment: "payment",
    DailySettlement: "daily_settlement",
}
"""Row types in an order in which every reference points backwards."""
