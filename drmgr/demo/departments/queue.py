"""The queues of the outpatient hall: counters, screens, the week's tickets and the fee paid for each."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from drmgr.demo import vocabulary
from drmgr.demo.departments.department import DAY, MINUTE, Department
from drmgr.demo.feed import Ask, Outpatient, read
from drmgr.demo.tables import Table

COUNTERS = 6
KEPT_DAYS = 7
FEE = Decimal("20.00")


class QueueCounter(NamedTuple):
    id: int
    code: str
    room: str


class QueueScreen(NamedTuple):
    id: int
    counter_id: int
    place: str


class QueueTicket(NamedTuple):
    id: int
    his_visit_id: int
    counter_id: int
    ticket_no: str
    business_date: date
    patient_name: str
    fee: Decimal
    status: str
    taken_at: datetime
    called_at: datetime | None
    finished_at: datetime | None


class TicketPayment(NamedTuple):
    id: int
    ticket_id: int
    method: str
    amount: Decimal
    paid_at: datetime


class QueueDepartment(Department):
    """Gives a ticket to each visit of the last days, calls it, and is done with it."""

    SYSTEM: ClassVar[str] = "queue"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("queue_counter", QueueCounter, unique=("code",)),
        Table("queue_screen", QueueScreen, refers={"counter_id": "queue_counter"}),
        Table("queue_ticket", QueueTicket, index=("taken_at",), refers={"counter_id": "queue_counter"}),
        Table("ticket_payment", TicketPayment, refers={"ticket_id": "queue_ticket"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {
        "visit": "SELECT coalesce(max(his_visit_id), 0) FROM queue_ticket",
        "counter": "SELECT count(*) FROM queue_counter",
    }

    def catch_up(self, his: Ask) -> None:
        if not self._seen["counter"]:
            for number in range(1, COUNTERS + 1):
                self._add(QueueCounter(number, f"{number}号", f"{number}诊室"))
                self._add(QueueScreen(number, number, f"候诊区{number}"))
        oldest = self._now - KEPT_DAYS * DAY
        for visit in read(his, Outpatient, self._seen["visit"]):
            if visit.started_at > oldest:
                self._ticket(visit)

    def _ticket(self, visit: Outpatient) -> None:
        number, counter = self._next(QueueTicket), 1 + visit.visit_id % COUNTERS
        taken = visit.started_at - 10 * MINUTE
        called: datetime | None = visit.started_at
        finished: datetime | None = visit.started_at + 12 * MINUTE
        if finished is not None and finished > self._now:
            finished = None
        status = "done" if finished else "called"
        ticket_no = f"{'ABCDEF'[counter - 1]}{visit.visit_id % 1000:03d}"
        times = (taken, called, finished)
        self._add(
            QueueTicket(number, visit.visit_id, counter, ticket_no, taken.date(), visit.name, FEE, status, *times)
        )
        method = vocabulary.PAYMENT_METHODS[self._pick(len(vocabulary.PAYMENT_METHODS))]
        self._add(TicketPayment(self._next(TicketPayment), number, method, FEE, taken))
