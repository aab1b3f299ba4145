"""What is due, on a clock that a test moves: clock changes, power cuts, failures, the quiet window."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from drmgr.flows.due import Decision, Planned, Quiet, Standing, decide, in_order, look, promised_too_much
from drmgr.model import RunKind, RunStatus
from drmgr.system.cron import Cron
from tests.support.fake_catalog import FakeCatalog
from tests.support.fakes import START, FakeClock
from tests.support.schedule_book import FakeScheduleBook

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR, DAY = 3600.0, 86400.0
QUIET = Quiet(time(7, 30), time(11, 30))


class Night:
    """One system backed up at 01:30 each night. The story begins at 14:00 of 2026-01-05 in Shanghai."""

    def __init__(
        self, expression: str = "30 1 * * *", zone: ZoneInfo = SHANGHAI, kind: RunKind = RunKind.BACKUP
    ) -> None:
        self.clock = FakeClock()
        self.catalog = FakeCatalog(self.clock)
        self.book = FakeScheduleBook(self.clock)
        self.planned = Planned(kind, "his", 1, ("his",), Cron(expression, zone))
        self.decide()

    def decide(self) -> Decision:
        return decide(self.planned, self.catalog, self.book, QUIET, self.clock.now())

    def stands(self) -> Standing:
        return self.decide().standing

    def at(self, *parts: int) -> "Night":
        """Moves on to that local time."""
        wanted = datetime(2026, *parts, tzinfo=self.planned.cron.zone)  # type: ignore[arg-type,misc]
        self.clock.sleep((wanted - self.clock.now()).total_seconds())
        return self

    def run(self, status: RunStatus, *, seconds: float = 60, **detail: str) -> None:
        run = self.catalog.open_run(self.planned.kind, "his")
        self.clock.sleep(seconds)
        if status is not RunStatus.RUNNING:
            error = {"code": detail.pop("error")} if "error" in detail else None
            self.catalog.close_run(run.id, status, detail, error)


def test_a_new_schedule_waits_for_its_next_time() -> None:
    night = Night()
    assert night.stands() is Standing.NEW
    assert night.at(1, 6, 1, 29).stands() is Standing.NEW
    assert night.at(1, 6, 1, 30).stands() is Standing.DUE
    night.run(RunStatus.OK)
    assert night.stands() is Standing.DONE


def test_looking_makes_no_note() -> None:
    night = Night()
    other = Planned(RunKind.DRILL, "other", 1, ("his",), night.planned.cron)
    assert look(other, night.catalog, night.book, None, night.clock.now()).standing is Standing.NEW
    assert night.book.known_since(other.key, "30 1 * * *") is None


def test_three_missed_nights_are_made_up_once() -> None:
    night = Night()
    night.at(1, 9, 2, 0)
    assert night.stands() is Standing.DUE
    night.run(RunStatus.OK)
    assert night.stands() is Standing.DONE
    assert night.at(1, 10, 1, 29).stands() is Standing.DONE
    assert night.at(1, 10, 1, 31).stands() is Standing.DUE


def test_a_missed_run_waits_for_the_end_of_the_quiet_window_and_one_that_is_on_time_does_not() -> None:
    night = Night()
    held = night.at(1, 9, 8, 0).decide()
    assert held.standing is Standing.WAITING
    assert held.until == datetime(2026, 1, 9, 11, 30, tzinfo=SHANGHAI)
    assert night.at(1, 9, 11, 29).stands() is Standing.WAITING
    assert night.at(1, 9, 11, 30).stands() is Standing.DUE
    morning = Night("0 8 * * *")
    assert morning.at(1, 6, 8, 10).stands() is Standing.DUE
    assert morning.at(1, 6, 8, 20).stands() is Standing.WAITING


def test_a_quiet_window_over_midnight() -> None:
    quiet = Quiet(time(22, 0), time(6, 0))
    cron = Cron("0 0 * * *", SHANGHAI)
    for hour, ends in ((23, 7), (3, 6), (21, None), (6, None)):
        found = quiet.ends_after(datetime(2026, 1, 6, hour, tzinfo=SHANGHAI), cron)
        assert found == (datetime(2026, 1, ends, 6, tzinfo=SHANGHAI) if ends else None), hour


def test_a_failure_is_tried_again_with_growing_pauses_and_then_given_up_until_the_next_night() -> None:
    night = Night()
    night.at(1, 6, 1, 30)
    for pause in (600, 1200):
        night.run(RunStatus.FAILED, error="source")
        assert night.stands() is Standing.WAITING
        night.clock.sleep(pause - 1)
        assert night.stands() is Standing.WAITING
        night.clock.sleep(1)
        assert night.stands() is Standing.DUE
    night.run(RunStatus.FAILED, error="source")
    night.at(1, 6, 5, 0)
    assert night.stands() is Standing.GIVEN_UP
    assert night.at(1, 7, 1, 30).stands() is Standing.DUE


def test_what_a_power_cut_ended_is_done_again_and_a_locked_system_is_no_attempt() -> None:
    night = Night()
    night.at(1, 6, 1, 30)
    night.run(RunStatus.INTERRUPTED)
    assert night.stands() is Standing.DUE
    for _ in range(5):
        night.run(RunStatus.FAILED, error="locked", seconds=1)
    assert night.stands() is Standing.DUE
    night.run(RunStatus.INTERRUPTED)
    night.run(RunStatus.INTERRUPTED)
    assert night.stands() is Standing.GIVEN_UP


def test_a_run_that_goes_on_is_not_started_twice_and_a_dead_one_does_not_block_for_ever() -> None:
    night = Night()
    night.at(1, 6, 1, 0)
    night.run(RunStatus.RUNNING)
    assert night.at(1, 6, 1, 30).stands() is Standing.RUNNING
    assert night.at(1, 8, 1, 31).stands() is Standing.DUE


def test_a_clock_that_was_ahead_does_not_make_later_runs_look_done() -> None:
    night = Night()
    night.clock.sleep(400 * DAY)
    night.run(RunStatus.OK)
    night.clock.set_back(400 * DAY)
    assert night.at(1, 6, 1, 30).stands() is Standing.DUE


def test_a_schedule_first_seen_by_a_clock_that_was_ahead_is_not_held_up_until_then() -> None:
    night = Night()
    night.clock.sleep(400 * DAY)
    night.planned = Planned(RunKind.BACKUP, "his", 1, ("his",), Cron("0 2 * * *", SHANGHAI))
    assert night.stands() is Standing.NEW
    night.clock.set_back(400 * DAY)
    assert night.stands() is Standing.NEW
    assert night.at(1, 6, 2, 0).stands() is Standing.DUE


def test_a_clock_set_back_an_hour_does_not_repeat_the_night() -> None:
    night = Night()
    night.at(1, 6, 1, 30)
    night.run(RunStatus.OK)
    night.clock.set_back(2 * HOUR)
    assert night.stands() is Standing.NEW or night.stands() is Standing.DONE
    night.at(1, 6, 1, 45)
    assert night.stands() is Standing.DONE


def test_the_hour_that_a_clock_change_repeats_brings_one_run_and_the_one_it_skips_brings_one_too() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for begin, runs in (((3, 29), ["03:00"]), ((10, 25), ["02:30"])):
        night = Night("30 2 * * *", berlin)
        night.at(*begin, 0, 0)
        began = []
        for _ in range(8 * 12):
            if night.stands() is Standing.DUE:
                began.append(night.clock.now().astimezone(berlin).strftime("%H:%M"))
                night.run(RunStatus.OK)
                night.clock.sleep(240)
            else:
                night.clock.sleep(300)
        assert began[-1:] == runs
        assert len([each for each in began if each != "00:00"]) == 1


@pytest.mark.parametrize(("verdict", "standing"), [("passed", "done"), ("failed", "done"), ("error", "waiting")])
def test_a_drill_that_proved_something_bad_was_played(verdict: str, standing: str) -> None:
    night = Night(kind=RunKind.DRILL)
    night.at(1, 6, 1, 30)
    night.run(RunStatus.OK if verdict == "passed" else RunStatus.FAILED, verdict=verdict)
    assert night.stands().value == standing


def test_lower_tiers_come_later_and_within_a_tier_the_longest_wait_comes_first() -> None:
    cron = Cron("0 1 * * *", SHANGHAI)

    def due(name: str, tier: int, hour: int) -> Decision:
        return Decision(Planned(RunKind.BACKUP, name, tier, (name,), cron), Standing.DUE, START + timedelta(hours=hour))

    found = in_order([due("queue", 3, 0), due("emr", 1, 2), due("his", 1, 2), due("lis", 1, 1), due("pacs", 2, 0)])
    assert [each.planned.name for each in found] == ["lis", "emr", "his", "pacs", "queue"]


def test_a_schedule_that_cannot_keep_the_rpo_is_told() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    nightly = Planned(RunKind.BACKUP, "his", 1, ("his",), Cron("0 1 * * *", SHANGHAI))
    shipped = Planned(RunKind.SHIP, "his", 1, ("his",), Cron("*/5 * * * *", SHANGHAI))
    assert promised_too_much([nightly], timedelta(hours=25), now) is None
    # until the next one is done the data are older
    assert promised_too_much([nightly], timedelta(hours=24), now) == timedelta(days=1)
    assert promised_too_much([nightly], timedelta(hours=1), now) == timedelta(days=1)
    assert promised_too_much([shipped], timedelta(minutes=6), now) is None
    # 400 shipments end after 33 hours, and 400 nights after a year: in between there is no pause
    assert promised_too_much([nightly, shipped], timedelta(minutes=6), now) is None
    hourly = replace(shipped, cron=Cron("0 * * * *", SHANGHAI))
    assert promised_too_much([nightly, hourly], timedelta(minutes=5), now) == timedelta(hours=1)
