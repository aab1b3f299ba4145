"""A month of nights on a clock that a test moves: the host is off for days, clocks change, runs are slow, places are few."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from drmgr.flows.due import ON_TIME, Planned, Quiet, Standing, decide, in_order
from drmgr.model import RunKind, RunStatus
from drmgr.system.cron import Cron
from tests.support.fake_catalog import FakeCatalog
from tests.support.fakes import FakeClock
from tests.support.schedule_book import FakeScheduleBook

QUIET = Quiet(time(7, 30), time(11, 30))
TICK = timedelta(minutes=15)
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
# each month has a change of Berlin's clocks, at 02:00 of the 29th and at 03:00 of the 25th
MONTHS = (datetime(2026, 3, 10, 12, tzinfo=UTC), datetime(2026, 10, 6, 12, tzinfo=UTC))
DAYS = 30


@dataclass
class Run:
    """``at`` is the time of its schedule; ``ends`` is when it will be done if the host stays on."""

    id: str
    planned: Planned
    at: datetime
    began: datetime
    ends: datetime
    done: bool = False


@dataclass
class Month:
    """Plays what ``--due`` does every quarter of an hour while the host is on."""

    planned: list[Planned]
    parallel: int
    lasts: timedelta
    off: tuple[datetime, datetime]
    clock: FakeClock
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.catalog, self.book = FakeCatalog(self.clock), FakeScheduleBook(self.clock)
        self.at_work: list[Run] = []

    def play(self, until: datetime) -> "Month":
        while (now := self.clock.now()) < until:
            if self.off[0] <= now < self.off[1]:
                self._power_cut()
            else:
                self._tick(now)
            # nothing is scheduled in the afternoon
            idle = not self.at_work and 12 <= now.astimezone(BERLIN).hour < 15 and now > self.off[1]
            self.clock.sleep((timedelta(hours=1) if idle else TICK).total_seconds())
        return self

    def stands(self, planned: Planned) -> Standing:
        return decide(planned, self.catalog, self.book, QUIET, self.clock.now()).standing

    def _power_cut(self) -> None:
        for run in self.at_work:
            self.catalog.close_run(run.id, RunStatus.INTERRUPTED, {})
        self.at_work.clear()

    def _tick(self, now: datetime) -> None:
        for run in [each for each in self.at_work if each.ends <= now]:
            self.catalog.close_run(run.id, RunStatus.OK, {})
            self.at_work.remove(run)
            run.done = True
        for decision in in_order([decide(each, self.catalog, self.book, QUIET, now) for each in self.planned]):
            if decision.standing is not Standing.DUE or len(self.at_work) == self.parallel:
                continue
            opened = self.catalog.open_run(RunKind.BACKUP, decision.planned.name)
            run = Run(opened.id, decision.planned, decision.at, now, now + self.lasts)
            self.at_work.append(run)
            self.runs.append(run)


def times_of(planned: Planned, begin: datetime, end: datetime) -> list[datetime]:
    """Every night's time by the wall clock, told without the library: one that is skipped comes right after the gap."""
    minute, hour = map(int, planned.cron.expression.split()[:2])
    zone, found = planned.cron.zone, []
    day = begin.astimezone(zone).date()
    while day <= end.astimezone(zone).date():
        local = datetime.combine(day, time(hour, minute), tzinfo=zone)
        real = local.astimezone(UTC)
        if real.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            # it does not exist: the gap is an hour, and begins at the full one
            real = datetime.combine(day, time(hour), tzinfo=zone).astimezone(UTC)
        found.append(real)
        day += timedelta(days=1)
    return [each for each in found if begin < each <= end]


@settings(max_examples=5, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(
    month=st.sampled_from(MONTHS),
    zone=st.sampled_from((BERLIN, SHANGHAI)),
    nights=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 5), st.sampled_from((0, 20, 50))), min_size=1, max_size=4
    ),
    parallel=st.integers(1, 2),
    minutes=st.integers(5, 90),
    off_after=st.integers(6 * 24, 22 * 24),
    off_for=st.integers(1, 80),
)
# it comes back in the quiet window; it is off while the clocks go forward, and back
@example(MONTHS[0], SHANGHAI, [(2, 1, 0), (1, 3, 20)], 1, 30, 240, 60)
@example(MONTHS[0], BERLIN, [(1, 2, 20), (2, 2, 50)], 1, 90, 430, 16)
@example(MONTHS[1], BERLIN, [(2, 2, 20), (1, 2, 50)], 1, 90, 380, 72)
def test_each_night_brings_one_run_and_what_was_missed_is_made_up_once_by_tier_outside_of_the_quiet_window(
    month: datetime,
    zone: ZoneInfo,
    nights: list[tuple[int, int, int]],
    parallel: int,
    minutes: int,
    off_after: int,
    off_for: int,
) -> None:
    planned = [
        Planned(RunKind.BACKUP, f"s{number}", tier, (f"s{number}",), Cron(f"{minute} {hour} * * *", zone))
        for number, (tier, hour, minute) in enumerate(nights)
    ]
    clock = FakeClock()
    clock.sleep((month - clock.now()).total_seconds())
    off = (month + timedelta(hours=off_after), month + timedelta(hours=off_after + off_for))
    end = month + timedelta(days=DAYS)
    played = Month(planned, parallel, timedelta(minutes=minutes), off, clock).play(end)

    done: dict[tuple[str, datetime], int] = defaultdict(int)
    for run in played.runs:
        done[run.planned.name, run.at] += run.done
        late = run.began - run.at > ON_TIME
        assert not (late and QUIET.ends_after(run.began, run.planned.cron)), "made up in the quiet window"
        assert run.began >= run.at
        beside = [each for each in played.runs if each.began <= run.began < each.ends and each is not run]
        assert run.planned.name not in [each.planned.name for each in beside if each.done]
    assert all(count <= 1 for count in done.values()), "one time was made up twice"
    for each in planned:
        assert played.stands(each) is Standing.DONE
        times = times_of(each, month, end)
        assert {at for name, at in done if name == each.name} <= set(times)
        for at, following in zip(times, [*times[1:], end], strict=True):
            # one that was missed altogether is made up by the run of the next
            if not (at < off[1] + timedelta(hours=12) and following > off[0] - timedelta(hours=12)):
                assert done[each.name, at] == 1, f"nothing was done at {at}"
    if QUIET.ends_after(off[1], planned[0].cron) is None:
        first = [run for run in played.runs if off[1] <= run.began < off[1] + TICK]
        later = [run for run in played.runs if run.at <= off[1] and run.began >= off[1] + TICK]
        assert all(run.planned.tier <= other.planned.tier for run in first for other in later)
