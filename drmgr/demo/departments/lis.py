"""The laboratory: requests, specimens, results of each panel, critical values, and the tally of each instrument."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, NamedTuple

from drmgr.demo import clinical_words as words
from drmgr.demo.departments.department import DAY, MINUTE, Department
from drmgr.demo.feed import Ask, LabOrder, read
from drmgr.demo.tables import Table

LONGEST_STEP = timedelta(minutes=25)
ABNORMAL_SHARE, CRITICAL_SHARE = 0.12, 0.01
LEGACY_RESULTS = 3


class LabRequest(NamedTuple):
    id: int
    his_order_id: int
    his_visit_id: int
    record_no: str
    patient_name: str
    panel: str
    requested_at: datetime


class Specimen(NamedTuple):
    id: int
    request_id: int
    barcode: str
    kind: str
    collected_at: datetime
    received_at: datetime


class LabResult(NamedTuple):
    id: int
    request_id: int
    specimen_id: int
    item_code: str
    item: str
    value: Decimal
    unit: str
    flag: str
    instrument: str
    business_date: date
    tested_at: datetime
    published_at: datetime


class CriticalValue(NamedTuple):
    id: int
    result_id: int
    told_to: str
    told_at: datetime
    confirmed_at: datetime


class InstrumentTally(NamedTuple):
    id: int
    business_date: date
    instrument: str
    results: int


class LisDepartment(Department):
    """Works through every lab order: collected, received, tested, published."""

    SYSTEM: ClassVar[str] = "lis"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("lab_request", LabRequest, unique=("his_order_id",)),
        Table("specimen", Specimen, unique=("barcode",), refers={"request_id": "lab_request"}),
        # no reference to the request: the old laboratory's results have none
        Table("lab_result", LabResult, index=("request_id", "published_at")),
        Table("critical_value", CriticalValue, refers={"result_id": "lab_result"}),
        Table("instrument_tally", InstrumentTally),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"order": "SELECT coalesce(max(his_order_id), 0) FROM lab_request"}

    def catch_up(self, his: Ask) -> None:
        self._tally: Counter[tuple[date, str]] = Counter()
        if self._fresh:
            self._legacy()
        for order in read(his, LabOrder, self._seen["order"]):
            self._work(order)
        for (day, instrument), count in sorted(self._tally.items()):
            self._add(InstrumentTally(self._next(InstrumentTally), day, instrument, count))

    def _legacy(self) -> None:
        """Results of the old laboratory system, whose requests were not taken over."""
        at = self._now - 3650 * DAY
        code, item, unit, _, high = words.PANELS["血常规"].items[0]
        for _ in range(LEGACY_RESULTS):
            row = (0, 0, code, item, Decimal(high), unit, "N", "旧系统", at.date(), at, at + MINUTE)
            self._add(LabResult(self._next(LabResult), *row))
            self._tally[at.date(), "旧系统"] += 1

    def _work(self, order: LabOrder) -> None:
        panel = words.PANELS[order.content]
        # an order of a moment ago is worked through faster, so that it too ends before now
        step = min(LONGEST_STEP, (self._now - order.ordered_at) / 4)
        collected, tested, published = (order.ordered_at + step * part for part in (1, 2, 3))
        request, specimen = self._next(LabRequest), self._next(Specimen)
        about = (order.order_id, order.visit_id, order.record_no, order.name, order.content, order.ordered_at)
        self._add(LabRequest(request, *about))
        barcode = f"B{order.order_id:011d}"
        self._add(Specimen(specimen, request, barcode, panel.specimen, collected, collected + step / 2))
        day = tested.date()
        for code, item, unit, low, high in panel.items:
            value, flag = self._measure(low, high)
            number = self._next(LabResult)
            names = (code, item, value, unit, flag, panel.instrument, day, tested, published)
            self._add(LabResult(number, request, specimen, *names))
            if flag == "C":
                told = published + (self._now - published) / 8
                row = (self._person(), told, told + (self._now - told) / 8)
                self._add(CriticalValue(self._next(CriticalValue), number, *row))
        self._tally[day, panel.instrument] += len(panel.items)

    def _measure(self, low: int, high: int) -> tuple[Decimal, str]:
        """(value, flag): N within the range, H above it, C far above."""
        share = self._rng.random()
        value = low + (high - low) * self._rng.random()
        flag = "C" if share < CRITICAL_SHARE else "H" if share < ABNORMAL_SHARE else "N"
        value += {"N": 0, "H": high - low, "C": 3 * (high - low)}[flag]
        return Decimal(int(value * 100)) / 100, flag
