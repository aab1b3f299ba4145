"""Insurance settlement: for each finished stay a list with its items, who paid it, and its upload."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from drmgr.demo.departments.department import HOUR, MINUTE, Department
from drmgr.demo.feed import Ask, Billed, Grouped, Left, read
from drmgr.demo.tables import Table

FUND_SHARE = Decimal("0.72")
CENT = Decimal("0.01")
INSURANCES = ("城镇职工", "城镇职工", "城乡居民")


class SettlementList(NamedTuple):
    id: int
    list_no: str
    his_discharge_id: int
    his_visit_id: int
    record_no: str
    patient_name: str
    identity_no: str
    insurance: str
    diagnosis_code: str
    admitted_at: datetime
    discharged_at: datetime
    total_amount: Decimal
    fund_amount: Decimal
    personal_amount: Decimal
    settled_at: datetime


class SettlementItem(NamedTuple):
    id: int
    list_id: int
    category: str
    amount: Decimal


class SettlementPayment(NamedTuple):
    id: int
    list_id: int
    payer: str
    amount: Decimal
    paid_at: datetime


class Upload(NamedTuple):
    id: int
    list_id: int
    serial_no: str
    status: str
    uploaded_at: datetime


class MiDepartment(Department):
    """Settles every finished stay with the fund and uploads the list."""

    SYSTEM: ClassVar[str] = "mi"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("settlement_list", SettlementList, unique=("list_no", "his_discharge_id")),
        Table("settlement_item", SettlementItem, refers={"list_id": "settlement_list"}),
        Table("settlement_payment", SettlementPayment, refers={"list_id": "settlement_list"}),
        Table("upload", Upload, index=("serial_no",), refers={"list_id": "settlement_list"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"discharge": "SELECT coalesce(max(his_discharge_id), 0) FROM settlement_list"}

    def catch_up(self, his: Ask) -> None:
        seen = self._seen["discharge"]
        bills = Grouped(read(his, Billed, seen), lambda bill: bill.discharge_id)
        for left in read(his, Left, seen):
            self._settle(left, bills.of(left.discharge_id))

    def _settle(self, left: Left, bills: Sequence[Billed]) -> None:
        number = self._next(SettlementList)
        total = sum((bill.amount for bill in bills), Decimal(0))
        fund = (total * FUND_SHARE).quantize(CENT)
        settled = self._until_now(left.discharged_at + HOUR + self._pick(90) * MINUTE)
        uploaded = self._until_now(settled + 10 * MINUTE)
        about = (left.record_no, left.name, left.identity_no, INSURANCES[self._pick(3)], left.diagnosis_code)
        money = (total, fund, total - fund)
        self._add(
            SettlementList(
                *(number, f"JS{left.discharge_id:010d}", left.discharge_id, left.visit_id, *about),
                *(left.admitted_at, left.discharged_at, *money, settled),
            )
        )
        for bill in bills:
            self._add(SettlementItem(self._next(SettlementItem), number, bill.category, bill.amount))
        for payer, amount in (("fund", fund), ("personal", total - fund)):
            self._add(SettlementPayment(self._next(SettlementPayment), number, payer, amount, settled))
        serial = f"LS{left.discharge_id:012d}"
        self._add(Upload(self._next(Upload), number, serial, "accepted", uploaded))
        if self._fresh and number == 1:
            # sent twice years ago, when the platform did not yet refuse it
            self._add(Upload(self._next(Upload), number, serial, "accepted", uploaded))
