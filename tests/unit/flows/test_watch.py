"""Alarms: told once when they come, once when they go, again only when it did not arrive."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from drmgr.errors import NotifyError
from drmgr.flows.watch import unheard, watch
from drmgr.state.alarm_book import SqlAlarmBook
from drmgr.state.database import open_database
from drmgr.trouble import AlarmBook, Delivery, Problem
from tests.support.fakes import FakeClock
from tests.support.schedule_book import FakeAlarmBook

RPO = Problem("his", "rpo-missed", "the newest data are 2 h old", figures={"age": 7200.0, "rpo": 300.0})
DRILL = Problem("pacs", "drill-failed", "the last drill came to: failed", "pacs-restore")


@dataclass
class Recipient:
    name: str
    away: bool = False
    heard: list[list[str]] = field(default_factory=list)

    def send(self, deliveries: Sequence[Delivery], at: datetime) -> None:
        assert at.tzinfo is not None
        if self.away:
            raise NotifyError(f"the message did not reach {self.name}")
        self.heard.append([f"{each.news} {each.alarm.key}" for each in deliveries])

    def test(self, at: datetime) -> None:
        raise NotImplementedError


@contextmanager
def sql_book(folder: Path, clock: FakeClock) -> Iterator[AlarmBook]:
    database = open_database(None, folder)
    yield SqlAlarmBook(database, clock)
    database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "catalog"])
def book(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[AlarmBook]:
    if request.param == "memory":
        yield FakeAlarmBook(clock)
        return
    with sql_book(tmp_path, clock) as book:
        yield book


def test_each_problem_is_told_once_and_once_when_it_is_over(book: AlarmBook, clock: FakeClock) -> None:
    phone = Recipient("phone")
    for _ in range(3):
        watch(book, [RPO], [phone], clock)
        clock.sleep(600)
    assert phone.heard == [["raised his:rpo-missed:"]]
    done = watch(book, [RPO, DRILL], [phone], clock)
    assert [alarm.code for alarm in done.raised] == ["drill-failed"]
    done = watch(book, [], [phone], clock)
    assert len(done.recovered) == 2
    assert phone.heard[2:] == [["recovered his:rpo-missed:", "recovered pacs:drill-failed:pacs-restore"]]
    watch(book, [], [phone], clock)
    assert len(phone.heard) == 3
    # the same trouble a week later is news
    clock.sleep(7 * 86400)
    watch(book, [RPO], [phone], clock)
    assert phone.heard[3:] == [["raised his:rpo-missed:"]]


def test_a_problem_that_comes_and_goes_is_not_told_at_each_turn(book: AlarmBook, clock: FakeClock) -> None:
    phone = Recipient("phone")
    for _ in range(12):
        for problems in ([RPO], []):
            watch(book, problems, [phone], clock)
            clock.sleep(600)
    turns = ["raised his:rpo-missed:", "recovered his:rpo-missed:", "raised his:rpo-missed:"]
    assert phone.heard == [[turn] for turn in turns]
    assert [alarm.code for alarm in book.open_alarms()] == ["rpo-missed"]
    clock.sleep(2300)
    done = watch(book, [], [phone], clock)
    assert done.recovered == ()
    clock.sleep(600)
    watch(book, [], [phone], clock)
    assert phone.heard[3:] == [["recovered his:rpo-missed:"]]
    assert book.open_alarms() == []


def test_what_did_not_arrive_is_trouble_and_is_tried_again_and_nobody_else_hears_it_twice(book: AlarmBook) -> None:
    phone, mail, clock = Recipient("phone", away=True), Recipient("mail"), FakeClock()
    done = watch(book, [RPO], [phone, mail], clock)
    assert done.failed == {"phone": "the message did not reach phone"}
    names = ["phone", "mail"]
    assert [problem.key for problem in unheard(book.owed(), names)] == [":notify-failed:phone"]
    watch(book, [RPO], [phone, mail], clock)
    phone.away = False
    watch(book, [], [phone, mail], clock)
    assert phone.heard == [["raised his:rpo-missed:", "recovered his:rpo-missed:"]]
    assert mail.heard == [["raised his:rpo-missed:"], ["recovered his:rpo-missed:"]]
    assert unheard(book.owed(), names) == []


def test_who_is_named_later_hears_of_what_is_still_wrong_and_who_is_named_no_more_is_forgotten(book: AlarmBook) -> None:
    phone, mail, clock = Recipient("phone", away=True), Recipient("mail"), FakeClock()
    watch(book, [RPO], [], clock)
    watch(book, [RPO], [phone], clock)
    watch(book, [RPO], [mail], clock)
    assert mail.heard == [["raised his:rpo-missed:"]]
    assert book.owed() == []


def test_a_thousand_problems_are_one_message(book: AlarmBook) -> None:
    phone = Recipient("phone")
    watch(book, [Problem("his", "point-damaged", "m", str(number)) for number in range(50)], [phone], FakeClock())
    assert [len(message) for message in phone.heard] == [50]


def test_alarms_survive_a_restart(tmp_path: Path) -> None:
    phone, clock = Recipient("phone"), FakeClock()
    for _ in range(2):
        with sql_book(tmp_path, clock) as book:
            watch(book, [RPO], [phone], clock)
    assert len(phone.heard) == 1
    with sql_book(tmp_path, clock) as book:
        (alarm,) = book.open_alarms()
        assert alarm.figures == RPO.figures
        assert alarm.raised_at == clock.now()
