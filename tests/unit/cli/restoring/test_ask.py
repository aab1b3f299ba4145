"""The questions of a restore: every answer that cannot be used is asked for again, and only a whole yes does anything."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from drmgr.cli import ship
from drmgr.cli.restoring import ask, measured
from drmgr.cli.restoring.ask import HAPPENINGS, Interview, Wanted, agree, fault_of
from drmgr.cli.restoring.measured import Measured, Proven
from drmgr.cli.restoring.ways import Ways, Wish
from drmgr.errors import NotAllowedError, PointNotFoundError, UsageError
from drmgr.flows.points import Found, SealedPoint
from drmgr.flows.reach import Window
from drmgr.model import PointStatus, RecoveryPoint
from tests.support.fakes import START, FakeClock

OLD, NEW = "01AAAAAAAAAAAAAAAAAAAAAAAA", "01BBBBBBBBBBBBBBBBBBBBBBBB"


def point(name: str, age: timedelta) -> SealedPoint:
    at = START - age
    made = RecoveryPoint(name, "his", "run", at, at, PointStatus.COMPLETE, (), {}, "host")
    return SealedPoint(made, f"seal-{name}")


@dataclass
class Title:
    zh: str
    en: str


@dataclass
class FakeSource:
    name: str


@dataclass
class FakeJob:
    system: str
    tier: int
    title: Title
    sources: tuple[FakeSource, ...] = (FakeSource("main"), FakeSource("images"))


@dataclass
class FakeLoaded:
    jobs: dict[str, FakeJob]

    def job(self, name: str) -> FakeJob:
        return self.jobs[name]


@dataclass
class FakeSite:
    loaded: FakeLoaded = field(
        default_factory=lambda: FakeLoaded(
            {"pacs": FakeJob("pacs", 2, Title("影", "PACS")), "his": FakeJob("his", 1, Title("医", "HIS"))}
        )
    )
    clock: FakeClock = field(default_factory=FakeClock)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    catalog: None = None

    def repository(self, system: str) -> str:
        return system


class Person:
    """Types the answers in order; ``asked`` are the questions."""

    def __init__(self, *answers: str) -> None:
        self._answers: Iterator[str] = iter(answers)
        self.asked: list[str] = []

    def __call__(self, text: str) -> str:
        self.asked.append(text)
        return next(self._answers)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is on the screen of a person whose site has two points, the older one drilled, and any time of an hour."""
    found = Found((point(OLD, timedelta(days=1)), point(NEW, timedelta(hours=1))), ())
    monkeypatch.setattr("drmgr.flows.points.find", lambda *_: found)
    proven = {OLD: Proven(4, START, "his-restore")}
    monkeypatch.setattr(measured, "measured", lambda *_: Measured((), proven))
    window = Window(START - timedelta(hours=1), START)
    monkeypatch.setattr(ship, "reachable", lambda *_: {"main": (window,)})
    monkeypatch.setattr(ask, "ways", lambda _site, wish: offered(wish))
    monkeypatch.setattr(ask, "pairs", lambda *_: [("main", "spare"), ("images", "spare")])
    monkeypatch.setattr(ask, "lost_server_advice", lambda *_: "Start an empty server.")
    monkeypatch.setattr(ask, "tables_allowed", lambda *_: False)
    return io.StringIO()


def offered(wish: Wish) -> Ways:
    """Only scratch goes through a log."""
    if wish.between:
        return Ways({"scratch": "a"}, ("original: the log of main is only gone through on scratch",))
    return Ways({"scratch": "a", "folder:/srv/restored": "b", "connection:spare": "c", "original": "d"})


def answers(told: io.StringIO, person: Person, wanted: Wanted | None = None) -> Wanted:
    console = Console(file=told, width=80, highlight=False)
    return Interview(cast("Any", FakeSite()), console, person).ask(wanted or Wanted())


def test_all_is_asked_and_the_newest_and_the_advised_come_first(told: io.StringIO) -> None:
    wanted = answers(told, Person("", "", "", ""))
    assert wanted == Wanted("his", "original", NEW)
    screen = told.getvalue()
    # by tier; both languages; a drilled point says so
    assert screen.index("医 / HIS") < screen.index("影 / PACS")
    assert "level 4" in next(line for line in screen.splitlines() if OLD in line)
    assert max(map(len, screen.splitlines())) <= 80


def test_rows_changed_by_mistake_lead_to_scratch_first(told: io.StringIO) -> None:
    wanted = answers(told, Person("pacs", "3", "2", ""))
    assert wanted == Wanted("pacs", "scratch", OLD)
    assert "fetch the rows" in told.getvalue()


def test_an_answer_that_is_none_is_asked_for_again(told: io.StringIO) -> None:
    person = Person("0", "9", "nosuch", "his", "x", "4", "3", "01", OLD.lower(), "7", "2", "a/b", "..", "", "night")
    assert answers(told, person) == Wanted("his", "folder:/srv/restored/night", OLD)
    assert told.getvalue().count("is none of them") == 7


def test_a_time_of_the_window_is_a_point(told: io.StringIO) -> None:
    person = Person("3", "2026-01-05 13:30", "1")
    assert answers(told, person, Wanted("his")).at == "2026-01-05T13:30"
    assert "2026-01-05T13:59:59" in person.asked[1]


def test_a_time_of_some_sources_leaves_the_others_to_a_point(told: io.StringIO) -> None:
    wanted = answers(told, Person("3", "2026-01-05 13:30", ""), Wanted("his"))
    assert (wanted.to, wanted.sources) == ("scratch", ("main",))
    assert "not possible: original: the log of main" in told.getvalue()
    assert "bring images back by a point" in told.getvalue()


def test_a_lost_server_goes_to_the_newest_time_that_the_advised_target_can_take(
    told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Wanted("his", sources=("main",))
    person = Person("1", "", "")
    assert answers(told, person, lost) == Wanted("his", "original", NEW, sources=("main",))
    assert "[1]" in person.asked[1] and "but original only takes whole points" in told.getvalue()
    monkeypatch.setattr(ask, "ways", lambda *_: Ways({"scratch": "a", "original": "d"}))
    person = Person("1", "", "")
    assert answers(told, person, lost) == Wanted("his", "original", at="newest", sources=("main",))
    assert "[newest]" in person.asked[1]
    assert "newest: 2026-01-05 13:59:59, which" in told.getvalue()
    # after a mistake the newest is no better than another
    assert answers(told, Person("3", "", ""), lost).at == ""


def test_what_was_said_is_not_asked(told: io.StringIO) -> None:
    person = Person("1")
    wanted = Wanted("his", "scratch", "01A")
    assert answers(told, person, wanted) == wanted
    assert answers(told, Person("1", "2", "2"), Wanted("his", "", "01A")).sources == ("images",)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_single_table_is_advised_where_the_site_allows_it(
    told: io.StringIO, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setattr(ask, "tables_allowed", lambda *_: allowed)
    answers(told, Person("3", "", ""), Wanted("his"))
    assert ("restore his --table NAME --to original" in " ".join(told.getvalue().split())) is allowed


def test_a_system_without_points_says_so(told: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drmgr.flows.points.find", lambda *_: Found((), ("seal 1 cannot be read",)))
    with pytest.raises(PointNotFoundError):
        answers(told, Person("1", "1"))


def test_every_happening_advises_every_kind_of_target() -> None:
    kinds = {"scratch", "folder", "connection", "original"}
    assert all(set(each.targets) == kinds for each in HAPPENINGS)


@pytest.mark.parametrize(
    ("typed", "touched", "users"),
    [
        (["n"], False, 0),
        (["maybe", "no"], False, 0),
        (["yes"], True, 0),
        (["HIS"], True, 0),
        ([""], True, 2),
        (["y"], True, 2),
        (["yes", "pacs"], True, 2),
    ],
)
def test_anything_but_a_whole_yes_does_nothing(typed: list[str], touched: bool, users: int) -> None:
    with pytest.raises(NotAllowedError, match="nothing was done"):
        agree(Person(*typed), "his", Wanted("his"), touched=touched, users=users)


def test_a_whole_yes_is_the_name_and_a_reason() -> None:
    agreed = agree(Person("yes", "his", "", " ", "disk failed"), "his", Wanted("his"), touched=True, users=2)
    assert (agreed.confirm, agreed.reason, agreed.end_sessions) == ("his", "disk failed", True)
    agreed = agree(Person("his"), "his", Wanted("his", reason="said"), touched=True, users=0)
    assert (agreed.confirm, agreed.reason, agreed.end_sessions) == ("his", "said", False)
    assert agree(Person("y"), "his", Wanted("his"), touched=False, users=0) == Wanted("his")


def test_what_was_confirmed_on_the_command_line_is_not_asked_again() -> None:
    agreed = agree(Person("storage"), "his", Wanted("his", confirm="his"), touched=True, users=0)
    assert (agreed.confirm, agreed.reason) == ("his", "storage")
    with pytest.raises(NotAllowedError, match="nothing was done"):
        agree(Person(), "his", Wanted("his", confirm="pacs", reason="x"), touched=True, users=0)


@pytest.mark.parametrize(
    ("to", "confirm", "reason", "sure"),
    [
        ("scratch", "", "", True),
        ("folder:/srv", "", "", True),
        ("original", "", "", False),
        ("original", "his", " ", False),
        ("connection:spare", "", "why", False),
        ("connection:spare", "his", "why", True),
    ],
)
def test_production_is_touched_only_with_a_name_and_a_reason(to: str, confirm: str, reason: str, sure: bool) -> None:
    assert Wanted("his", to, confirm=confirm, reason=reason).sure is sure


def test_the_time_of_the_fault_is_asked_until_it_is_one_or_nobody_knows() -> None:
    def read(text: str) -> None:
        if not text.startswith("2026"):
            raise UsageError(f"{text}: not a time")

    person = Person("yesterday", "", "2026-01-05 14:03")
    assert fault_of(person, "", read) == "2026-01-05 14:03"
    assert "yesterday: not a time" in person.asked[1]
    assert fault_of(Person(""), "", read) == ""
    # what was told on the command line is not asked
    assert fault_of(Person(), "2026-01-05 13:00", read) == "2026-01-05 13:00"
