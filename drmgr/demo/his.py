"""The synthetic HIS: visit after visit, every row agreeing with the others, nothing later than the present instant."""

import heapq
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple, Protocol

from drmgr.demo import vocabulary as words
from drmgr.demo.his_rows import (
    Admission,
    Charge,
    DailySettlement,
    Department,
    Discharge,
    Dispensing,
    Drug,
    DrugStock,
    Inpatient,
    MedicalOrder,
    OrderExecution,
    Patient,
    Payment,
    Refund,
    Staff,
    StockMove,
    Visit,
    Ward,
)

LOCAL = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Fixed, because the place has had no summer time since 1991 and a small machine may lack time zone data."""

INPATIENT_SHARE = 0.15
REFUND_SHARE, FULL_REFUND_SHARE = 0.02, 0.5
BLOOD_COUNT_SHARE = 0.3
RETURNING_SHARE, FIRST_PATIENTS = 0.45, 20
WEEKLY_PANELS = ("血常规", "肝肾功能", "血锂浓度", "氯氮平浓度")
LEGACY_STAYS = 2
COURSES = 3
"""Drugs that an inpatient gets at a time."""

OPENS, CLOSES = 8, 18
LONGEST_HISTORY_DAYS = 3650
LATEST_VISITS = 5
PIECE = 14
"""Doses that the pharmacy hands out at once."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CENT = Decimal("0.01")
BED_FEE, REGISTRATION_FEE = Decimal("45.00"), Decimal("20.00")

Bed = tuple[int, int]
"""Ward id and bed number."""


class Sink(Protocol):
    """Takes in rows, in any order; a row's type says which table it belongs to."""

    def add(self, row: tuple[object, ...]) -> None: ...


@dataclass
class Ledger:
    """What has to balance in the end: sums per day, medicine used per drug and month. Small, whatever the data's size."""

    charged: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    refunded: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    used: dict[tuple[int, date], int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Case:
    """One visit while it is written, with its money: net amount and last instant per business date."""

    visit: int
    patient: int
    started: datetime
    planned_end: datetime
    net: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    last: dict[date, datetime] = field(default_factory=dict)

    def note(self, amount: Decimal, at: datetime) -> None:
        day = at.date()
        self.net[day] += amount
        self.last[day] = max(at, self.last.get(day, at))


class _Item(NamedTuple):
    """What a charge is for."""

    category: str
    name: str
    quantity: int
    price: Decimal


class Clinic:
    """Writes visits and all that follows from them into a sink.

    ``last_ids`` are the highest ids already in use by row type; ``free_beds`` None means that all are free. The same
    seed and instant give the same rows.
    """

    def __init__(
        self,
        sink: Sink,
        now: datetime,
        *,
        seed: int,
        last_ids: Mapping[type, int] | None = None,
        free_beds: list[Bed] | None = None,
    ) -> None:
        self._sink = sink
        self._now = now.astimezone(LOCAL).replace(microsecond=0)
        self._rng = random.Random(seed)  # noqa: S311 - the same data each time is the point
        self._random = self._rng.random
        self._ids: dict[type, int] = defaultdict(int, last_ids or {})
        all_beds = [(ward, bed) for bed in range(1, words.BEDS_PER_WARD + 1) for ward in range(1, words.WARDS + 1)]
        self._beds = all_beds if free_beds is None else free_beds
        self._leaving: list[tuple[datetime, Bed]] = []
        self.ledger = Ledger()

    # --- what a hospital has before its first patient ----------------------------------------------------------------

    def found(self, at: datetime) -> None:
        """Departments, wards, staff and the drug list, as of ``at``."""
        for number, (code, name, kind) in enumerate(words.DEPARTMENTS, 1):
            self._sink.add(Department(number, code, name, kind))
        for number in range(1, words.WARDS + 1):
            department = 2 + (number - 1) % 5
            self._sink.add(Ward(number, department, f"W{number:02d}", f"{number}病区", words.BEDS_PER_WARD))
        for role, count in words.STAFF_ROLES:
            for _ in range(count):
                number = self._next(Staff)
                self._sink.add(Staff(number, f"S{number:04d}", self._name(), role))
        for number, (name, spec, unit, price) in enumerate(words.DRUGS, 1):
            self._sink.add(Drug(number, f"YP{number:05d}", name, spec, unit, Decimal(price), at.astimezone(LOCAL)))

    def legacy(self, at: datetime) -> None:
        """Stays of the system before this one, whose times were swapped when they were taken over: known, never mended."""
        at = at.astimezone(LOCAL).replace(microsecond=0)
        for _ in range(LEGACY_STAYS):
            case = _Case(self._next(Visit), self._patient(at), at, at)
            self._sink.add(self._visit_row(case, inpatient=True))
            self._sink.add(Admission(self._next(Admission), case.visit, 1, 1, words.ADMISSION_KINDS[0], at + DAY))
            self._sink.add(Discharge(self._next(Discharge), case.visit, words.OUTCOMES[0], at))

    # --- visits -------------------------------------------------------------------------------------------------------

    def visit(self, started: datetime, *, imaging: bool = False) -> None:
        """One visit from its start to its end or to the present, with everything ordered, given, charged and paid."""
        started = started.astimezone(LOCAL).replace(microsecond=0)
        while self._leaving and self._leaving[0][0] <= started:
            self._beds.append(heapq.heappop(self._leaving)[1])
        inpatient = bool(self._beds) and self._rng.random() < INPATIENT_SHARE
        stay = timedelta(days=self._between(20, 110), hours=self._between(0, 9)) if inpatient else 40 * MINUTE
        case = _Case(self._next(Visit), self._patient(started), started, started + stay)
        self._sink.add(self._visit_row(case, inpatient=inpatient))
        self._examinations(case, imaging=imaging)
        if inpatient:
            self._stay(case)
        else:
            self._consultation(case)
        for day in sorted(case.net):
            method = self._rng.choice(words.PAYMENT_METHODS)
            self._sink.add(Payment(self._next(Payment), case.visit, method, case.net[day], day, case.last[day]))

    def _visit_row(self, case: _Case, *, inpatient: bool) -> Visit:
        ended = case.planned_end if case.planned_end <= self._now else None
        code, diagnosis = self._rng.choice(words.DIAGNOSES)
        return Visit(
            id=case.visit,
            patient_id=case.patient,
            kind="inpatient" if inpatient else "outpatient",
            department_id=self._between(2, 6) if inpatient else 1,
            doctor_id=self._between(*words.DOCTORS),
            diagnosis_code=code,
            diagnosis=diagnosis,
            started_at=case.started,
            ended_at=ended,
            updated_at=ended or case.started,
        )

    def _stay(self, case: _Case) -> None:
        started, planned_end = case.started, case.planned_end
        ward, bed = self._beds.pop(0)
        kind = self._rng.choice(words.ADMISSION_KINDS)
        self._sink.add(Admission(self._next(Admission), case.visit, ward, bed, kind, started))
        if planned_end <= self._now:
            outcome = self._rng.choice(words.OUTCOMES)
            self._sink.add(Discharge(self._next(Discharge), case.visit, outcome, planned_end))
            heapq.heappush(self._leaving, (planned_end, (ward, bed)))
        else:
            self._sink.add(Inpatient(case.visit, ward, bed, started))
        horizon = min(planned_end, self._now)
        week = started + 7 * DAY
        while week <= horizon:
            self._charge(case, None, _Item("bed", "床位费", 7, BED_FEE), week)
            self._lab(case, self._rng.choice(WEEKLY_PANELS), week)
            week += 7 * DAY
        for _ in range(COURSES):
            ordered = started + 10 * MINUTE
            while ordered <= horizon:
                days = self._between(7, 14)
                self._course(case, ordered, days, horizon)
                ordered += days * DAY

    def _consultation(self, case: _Case) -> None:
        self._charge(case, None, _Item("registration", "诊查费", 1, REGISTRATION_FEE), case.started)
        for _ in range(self._between(1, 3)):
            ordered = case.started + self._between(3, 8) * MINUTE
            if ordered > self._now:
                continue
            order = self._drug_order(case, self._rng.choice((14, 28, 56)), ordered)
            at = ordered + self._between(2, 6) * MINUTE
            if at <= self._now:
                dispensing = self._dispense(case, order, order.quantity, at)
                self._give(order, dispensing, order.quantity, at + MINUTE)

    def _course(self, case: _Case, ordered: datetime, days: int, horizon: datetime) -> None:
        """Two doses a day; the pharmacy hands them out in pieces, each when the last one is used up."""
        order = self._drug_order(case, 2 * days, ordered)
        for first in range(0, order.quantity, PIECE):
            size = min(PIECE, order.quantity - first)
            dispensed = ordered + 20 * MINUTE + first * 12 * HOUR
            if dispensed > horizon:
                return
            dispensing = self._dispense(case, order, size, dispensed)
            for dose in range(size):
                given = dispensed + 30 * MINUTE + dose * 12 * HOUR
                if given > horizon:
                    return
                self._give(order, dispensing, 1, given)

    def _examinations(self, case: _Case, *, imaging: bool) -> None:
        at = case.started + 5 * MINUTE
        if at > self._now:
            return
        if self._rng.random() < BLOOD_COUNT_SHARE:
            self._lab(case, "血常规", at)
        if imaging:
            _, content, price, _ = self._rng.choice(words.EXAMINATIONS)
            order = self._order(case, "imaging", content, 1, at)
            self._charge(case, order.id, _Item("imaging", content, 1, Decimal(price)), at)

    # --- the single acts ----------------------------------------------------------------------------------------------

    def _patient(self, at: datetime) -> int:
        known = self._ids[Patient]
        if known > FIRST_PATIENTS and self._rng.random() < RETURNING_SHARE:
            return self._between(1, known)
        number = self._next(Patient)
        born = date(self._between(1938, 2012), self._between(1, 12), self._between(1, 28))
        sex = self._rng.choice("MF")
        identity = f"99{number % 10_000:04d}{born:%Y%m%d}{number % 10_000:04d}"
        phone = f"100{number % 100_000_000:08d}"
        address = f"{self._rng.choice(words.STREETS)}{self._between(1, 400)}号"
        name = self._name()
        if number in words.MARKED:
            name, identity, phone = words.MARKED[number]
        self._sink.add(Patient(number, f"P{number:08d}", name, sex, born, identity, phone, address, at, at))
        return number

    def _name(self) -> str:
        return self._rng.choice(words.SURNAMES) + self._rng.choice(words.GIVEN_NAMES)

    def _order(
        self, case: _Case, kind: str, content: str, quantity: int, at: datetime, *, drug: int | None = None
    ) -> MedicalOrder:
        doctor = self._between(*words.DOCTORS)
        number = self._next(MedicalOrder)
        order = MedicalOrder(number, case.visit, case.patient, kind, drug, content, quantity, doctor, at, at)
        self._sink.add(order)
        return order

    def _lab(self, case: _Case, panel: str, at: datetime) -> None:
        order = self._order(case, "lab", panel, 1, at)
        self._charge(case, order.id, _Item("lab", panel, 1, Decimal(words.PANEL_PRICES[panel])), at)

    def _drug_order(self, case: _Case, quantity: int, at: datetime) -> MedicalOrder:
        drug = self._between(1, len(words.DRUGS))
        return self._order(case, "drug", words.DRUGS[drug - 1][0], quantity, at, drug=drug)

    def _dispense(self, case: _Case, order: MedicalOrder, quantity: int, at: datetime) -> int:
        dispensing, drug = self._next(Dispensing), order.drug_id or 1
        pharmacist = self._between(*words.PHARMACISTS)
        self._sink.add(Dispensing(dispensing, order.id, drug, quantity, pharmacist, at))
        self._sink.add(StockMove(self._next(StockMove), drug, "out", quantity, dispensing, None, at))
        self.ledger.used[drug, at.date().replace(day=1)] += quantity
        name, _, _, price = words.DRUGS[drug - 1]
        self._charge(case, order.id, _Item("drug", name, quantity, Decimal(price)), at)
        return dispensing

    def _give(self, order: MedicalOrder, dispensing: int, quantity: int, at: datetime) -> None:
        if at <= self._now:
            nurse = self._between(*words.NURSES)
            self._sink.add(OrderExecution(self._next(OrderExecution), order.id, dispensing, quantity, nurse, at))

    def _charge(self, case: _Case, order: int | None, item: _Item, at: datetime) -> None:
        charge = Charge(
            id=self._next(Charge),
            visit_id=case.visit,
            patient_id=case.patient,
            order_id=order,
            category=item.category,
            item=item.name,
            quantity=item.quantity,
            price=item.price,
            amount=item.price * item.quantity,
            business_date=at.date(),
            charged_at=at,
        )
        self._sink.add(charge)
        self.ledger.charged[charge.business_date] += charge.amount
        case.note(charge.amount, at)
        refunded = at + self._between(10, 1500) * MINUTE
        if self._rng.random() < REFUND_SHARE and refunded <= self._now:
            self._refund(case, charge, refunded)

    def _refund(self, case: _Case, charge: Charge, at: datetime) -> None:
        whole = self._rng.random() < FULL_REFUND_SHARE
        back = charge.amount if whole else (charge.amount / 2).quantize(CENT)
        reason = self._rng.choice(words.REFUND_REASONS)
        self._sink.add(Refund(self._next(Refund), charge.id, back, reason, at.date(), at))
        self.ledger.refunded[at.date()] += back
        case.note(-back, at)

    # --- what balances it all -----------------------------------------------------------------------------------------

    def balance(self) -> None:
        """Deliveries that cover what was used, what is left in stock, and the daily settlements."""
        stock: dict[int, int] = defaultdict(int)
        for (drug, month), used in sorted(self.ledger.used.items()):
            rest = self._between(20, 200)
            delivered = datetime(month.year, month.month, 1, tzinfo=LOCAL)
            batch = f"{month:%Y%m}{self._between(1, 999):03d}"
            self._sink.add(StockMove(self._next(StockMove), drug, "in", used + rest, None, batch, delivered))
            stock[drug] += rest
        for drug, quantity in sorted(stock.items()):
            self._sink.add(DrugStock(drug, quantity, self._now))
        today = self._now.date()
        for day in sorted({*self.ledger.charged, *self.ledger.refunded}):
            detail, back = self.ledger.charged[day], self.ledger.refunded[day]
            touched = min(datetime(day.year, day.month, day.day, tzinfo=LOCAL) + DAY, self._now)
            self._sink.add(DailySettlement(day, detail, back, detail - back, day < today, touched))

    def _between(self, least: int, most: int) -> int:
        """Both included; several times quicker than randint, and this is asked for nearly every row."""
        return least + int(self._random() * (most - least + 1))

    def _next(self, row: type) -> int:
        self._ids[row] += 1
        return self._ids[row]


@dataclass(frozen=True)
class Scale:
    """How large the hospital is: visits in the HIS, examinations with images in the PACS."""

    visits: int
    studies: int

    @property
    def days(self) -> int:
        """How far back the story goes."""
        return min(LONGEST_HISTORY_DAYS, 60 + self.visits // 20)


def write_history(clinic: Clinic, scale: Scale, now: datetime, *, seed: int) -> None:
    """The hospital's whole past up to ``now``; the last visits began within the hour before it."""
    rng = random.Random(seed)  # noqa: S311 - the same data each time is the point
    now = now.astimezone(LOCAL)
    start = now - timedelta(days=scale.days)
    clinic.found(start)
    clinic.legacy(start)
    every = max(1, scale.visits // scale.studies)
    for number in range(scale.visits):
        at = start + (now - start) * ((number + rng.random()) / scale.visits)
        if not OPENS <= at.hour < CLOSES:
            at = at.replace(hour=rng.randint(OPENS, CLOSES - 1))
        left = scale.visits - number
        # whatever the hour, the night's emergencies keep the newest rows fresh
        at = now - left * 10 * MINUTE if left <= LATEST_VISITS else min(at, now - HOUR)
        clinic.visit(at, imaging=number % every == every - 1)
    clinic.balance()
