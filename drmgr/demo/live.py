"""The hospital at work: systems that take money go on writing at a set rate, each act in one transaction.

What is charged and what is paid move together or not at all. So in any true view of the data both sums agree, and in a
torn one they do not.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from threading import Event, Thread
from types import TracebackType

from drmgr.demo.his import LOCAL
from drmgr.demo.sessions import Session, database_errors, local_time, one
from drmgr.demo.systems import Production
from drmgr.errors import DrmgrError, SourceError

BETWEEN_SECONDS = 0.002
"""How long a transaction stays half done: long enough for a torn view to be likely."""

STOP_SECONDS = 30.0

MONEY: Mapping[str, tuple[str, str]] = {
    "his": (
        "SELECT (SELECT sum(amount) FROM charge) - (SELECT coalesce(sum(amount), 0) FROM refund)",
        "SELECT sum(amount) FROM payment",
    ),
    "opd-emr": ("SELECT sum(amount) FROM prescription", "SELECT sum(amount) FROM prescription_payment"),
    "queue": ("SELECT sum(fee) FROM queue_ticket", "SELECT sum(amount) FROM ticket_payment"),
    "mi": ("SELECT sum(total_amount) FROM settlement_list", "SELECT sum(amount) FROM settlement_payment"),
}
"""By system: what was charged, and what was paid. In every true view the two are equal."""

Act = Callable[[], None]
"""What happens in the middle of a transaction."""


class Live:
    """Writes ``rate`` transactions a second into each of the systems while the block lasts; one thread a system.

    ``counts`` tells how many were committed. Leaving the block raises what stopped a writer early.
    """

    def __init__(self, production: Production, systems: Sequence[str], *, rate: float, seed: int = 0) -> None:
        self.counts = {system: 0 for system in systems if system in TILLS}
        self._production = production
        self._rate = rate
        self._seed = seed
        self._stop = Event()
        self._stopped = Event()
        self._errors: list[DrmgrError] = []
        self._threads = [Thread(target=self._work, args=(system,), name=f"live-{system}") for system in self.counts]

    def __enter__(self) -> "Live":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        if self._errors and kind is None:
            raise self._errors[0]

    def wait(self, seconds: float) -> None:
        """Returns after so many seconds, or as soon as a writer has stopped by itself."""
        self._stopped.wait(seconds)

    def _work(self, system: str) -> None:
        try:
            with self._production.database(system).open() as session:
                self._write(system, session)
        except DrmgrError as error:
            self._errors.append(error)
        except database_errors() as error:
            # its words may quote what was written
            self._errors.append(SourceError(f"the writer of {system} stopped: {type(error).__name__}"))
        finally:
            self._stopped.set()

    def _write(self, system: str, session: Session) -> None:
        till = TILLS[system](session, random.Random(f"{system} {self._seed}"))  # noqa: S311 - repeatable
        session.commit()
        due = time.monotonic()
        while not self._stop.is_set():
            till.take(datetime.now(LOCAL), lambda: time.sleep(BETWEEN_SECONDS))
            session.commit()
            self.counts[system] += 1
            due += 1 / self._rate
            self._stop.wait(max(0.0, due - time.monotonic()))


class Till:
    """Takes money in one system; each ``take`` is one transaction, committed by the caller."""

    def __init__(self, session: Session, rng: random.Random) -> None:
        self._session = session
        self._rng = rng

    def take(self, now: datetime, halfway: Act) -> None:
        raise NotImplementedError

    def _amount(self) -> Decimal:
        return Decimal(self._rng.randint(100, 50_000)) / 100

    def _insert(self, table: str, **values: object) -> None:
        texts = ", ".join(_literal(value, self._session.dialect) for value in values.values())
        self._session.run(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({texts})")  # noqa: S608 - our own values

    def _numbers(self, query: str) -> list[int]:
        return [int(str(value)) for (value,) in self._session.ask(query)]


class HisTill(Till):
    """Charges at an outpatient visit, paid at once, and in the day's settlement."""

    def __init__(self, session: Session, rng: random.Random) -> None:
        super().__init__(session, rng)
        query = "SELECT id, patient_id FROM visit WHERE kind = 'outpatient' AND id > (SELECT max(id) - 200 FROM visit)"
        self._visits = list(session.ask(query))

    def take(self, now: datetime, halfway: Act) -> None:
        visit, patient = self._rng.choice(self._visits)
        amount, day = self._amount(), now.date()
        what = {"category": "live", "item": "窗口收费", "quantity": 1, "price": amount, "amount": amount}
        when = {"business_date": day, "charged_at": now}
        self._insert("charge", visit_id=visit, patient_id=patient, **what, **when)
        halfway()
        self._insert("payment", visit_id=visit, method="现金", amount=amount, business_date=day, paid_at=now)
        at = _literal(now, self._session.dialect)
        self._session.run(
            "INSERT INTO daily_settlement (business_date, detail_amount, refund_amount, net_amount, closed, updated_at) "  # noqa: S608
            f"SELECT '{day}', 0, 0, 0, FALSE, {at} "
            f"WHERE NOT EXISTS (SELECT 1 FROM daily_settlement s WHERE s.business_date = '{day}')"
        )
        self._session.run(
            f"UPDATE daily_settlement SET detail_amount = detail_amount + {amount}, net_amount = net_amount + {amount}, "  # noqa: S608
            f"updated_at = {at} WHERE business_date = '{day}'"
        )


class OpdEmrTill(Till):
    """A prescription with its item, paid."""

    def __init__(self, session: Session, rng: random.Random) -> None:
        super().__init__(session, rng)
        self._notes = self._numbers(
            "SELECT id FROM outpatient_note WHERE id > (SELECT max(id) - 200 FROM outpatient_note)"
        )
        self._last = int(one(session, "SELECT max(id) FROM prescription"))

    def take(self, now: datetime, halfway: Act) -> None:
        amount = self._amount()
        self._last += 1
        number = self._last
        times = {"written_at": now, "reviewed_at": now}
        self._insert(
            "prescription",
            id=number,
            note_id=self._rng.choice(self._notes),
            prescription_no=f"CFL{number}",
            amount=amount,
            **times,
        )
        item = {"his_order_id": 0, "drug": "窗口取药", "quantity": 1, "price": amount, "amount": amount}
        self._insert("prescription_item", prescription_id=number, **item)
        halfway()
        self._insert("prescription_payment", prescription_id=number, method="微信", amount=amount, paid_at=now)


class QueueTill(Till):
    """A ticket with its fee, paid."""

    def __init__(self, session: Session, rng: random.Random) -> None:
        super().__init__(session, rng)
        self._last = int(one(session, "SELECT max(id) FROM queue_ticket"))

    def take(self, now: datetime, halfway: Act) -> None:
        self._last += 1
        number, fee = self._last, self._amount()
        about = {"ticket_no": f"L{number}", "business_date": now.date(), "patient_name": "现场取号", "fee": fee}
        self._insert("queue_ticket", id=number, his_visit_id=0, counter_id=1, **about, status="taken", taken_at=now)
        halfway()
        self._insert("ticket_payment", ticket_id=number, method="现金", amount=fee, paid_at=now)


class MiTill(Till):
    """Moves money between the fund and the patient of one list: two payments that come to nothing together."""

    def __init__(self, session: Session, rng: random.Random) -> None:
        super().__init__(session, rng)
        self._lists = self._numbers("SELECT id FROM settlement_list")

    def take(self, now: datetime, halfway: Act) -> None:
        amount, number = self._amount(), self._rng.choice(self._lists)
        self._insert("settlement_payment", list_id=number, payer="fund", amount=amount, paid_at=now)
        halfway()
        self._insert("settlement_payment", list_id=number, payer="personal", amount=-amount, paid_at=now)


TILLS: Mapping[str, type[Till]] = {"his": HisTill, "opd-emr": OpdEmrTill, "queue": QueueTill, "mi": MiTill}
"""One of each kind of database, and PostgreSQL twice."""


def _literal(value: object, dialect: str) -> str:
    if isinstance(value, datetime):
        return f"'{value.isoformat() if dialect == 'postgresql' else local_time(value)}'"
    return str(value) if isinstance(value, int | Decimal) else f"'{value}'"
