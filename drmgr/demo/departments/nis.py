"""Surveillance of infections on the wards: suspected cases, the events that raised them, and what they came to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from drmgr.demo import clinical_words as words
from drmgr.demo.departments.department import DAY, HOUR, Department
from drmgr.demo.feed import Ask, Stay, read
from drmgr.demo.tables import Table

INFECTED_SHARE = 0.15
FEVER = 375


class WatchedStay(NamedTuple):
    id: int
    his_admission_id: int
    his_visit_id: int
    record_no: str
    patient_name: str
    ward_id: int
    admitted_at: datetime


class InfectionCase(NamedTuple):
    id: int
    stay_id: int
    site: str
    pathogen: str
    status: str
    event_count: int
    onset_at: datetime
    reported_at: datetime
    receipt_no: str | None
    receipt_at: datetime | None


class SurveillanceEvent(NamedTuple):
    id: int
    stay_id: int
    case_id: int | None
    kind: str
    value: Decimal
    measured_at: datetime


class NisDepartment(Department):
    """Watches temperatures of every stay; some become cases."""

    SYSTEM: ClassVar[str] = "nis"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("watched_stay", WatchedStay, unique=("his_visit_id",)),
        Table("infection_case", InfectionCase, refers={"stay_id": "watched_stay"}),
        Table(
            "surveillance_event",
            SurveillanceEvent,
            index=("measured_at",),
            refers={"stay_id": "watched_stay", "case_id": "infection_case"},
        ),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"admission": "SELECT coalesce(max(his_admission_id), 0) FROM watched_stay"}

    def catch_up(self, his: Ask) -> None:
        for stay in read(his, Stay, self._seen["admission"]):
            self._watch(stay)

    def _watch(self, stay: Stay) -> None:
        number = self._next(WatchedStay)
        self._add(
            WatchedStay(
                number, stay.admission_id, stay.visit_id, stay.record_no, stay.name, stay.ward_id, stay.admitted_at
            )
        )
        horizon = min(stay.discharged_at or self._now, self._now)
        case = self._case(number, stay, horizon) if self._rng.random() < INFECTED_SHARE else None
        at = stay.admitted_at
        while at < horizon:
            self._event(number, None, 362 + self._pick(9), at)
            at += 2 * DAY
        if stay.discharged_at is None:
            self._event(number, None, 362 + self._pick(9), max(stay.admitted_at, self._now - HOUR * self._rng.random()))
        if case is not None:
            for part in range(case.event_count):
                at = case.onset_at + (case.reported_at - case.onset_at) * (part / case.event_count)
                self._event(number, case.id, FEVER + self._pick(15), at)

    def _case(self, stay_id: int, stay: Stay, horizon: datetime) -> InfectionCase:
        onset = stay.admitted_at + (horizon - stay.admitted_at) * (0.2 + 0.6 * self._rng.random())
        reported = self._until_now(onset + 20 * HOUR)
        receipt_at: datetime | None = reported + 3 * HOUR
        if receipt_at is not None and receipt_at > self._now:
            receipt_at = None
        number = self._next(InfectionCase)
        site, pathogen = words.INFECTION_SITES[self._pick(4)], words.PATHOGENS[self._pick(4)]
        receipt = None if receipt_at is None else f"GR{number:010d}"
        status, events = "reported" if receipt_at is None else "confirmed", 2 + self._pick(3)
        case = InfectionCase(number, stay_id, site, pathogen, status, events, onset, reported, receipt, receipt_at)
        self._add(case)
        return case

    def _event(self, stay_id: int, case_id: int | None, tenths: int, at: datetime) -> None:
        value = Decimal(tenths) / 10
        self._add(SurveillanceEvent(self._next(SurveillanceEvent), stay_id, case_id, "temperature", value, at))
