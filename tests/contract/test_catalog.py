"""What every catalog must do: SQLite, a real PostgreSQL, and the fake that the tests of flows use."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest

from drmgr.errors import PreflightError
from drmgr.interfaces import Catalog
from drmgr.model import (
    EvidenceEntry,
    Facts,
    Member,
    Part,
    PointStatus,
    RecoveryPoint,
    RunKind,
    RunStatus,
    Verdict,
)
from drmgr.state.catalog import open_catalog
from drmgr.state.database import open_database
from drmgr.system.clock import SystemClock
from tests.support.fake_catalog import FakeCatalog
from tests.support.postgres import PostgresServer, postgres_server

BEIJING = timezone(timedelta(hours=8))
START = datetime(2026, 11, 22, 9, 0, tzinfo=BEIJING)


class SteppingClock(SystemClock):
    """Moves only when a test says so."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant

    def forward(self, **step: float) -> None:
        self.instant += timedelta(**step)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "fake"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppingClock) -> Iterator[Catalog]:
    if request.param == "fake":
        yield FakeCatalog(clock)
        return
    url = None
    if request.param == "postgresql":
        url = fresh_database(request.getfixturevalue("postgres"))
    with open_catalog(url, tmp_path / "state", clock) as opened:
        yield opened


def test_a_run_is_there_from_its_opening_and_closed_once(catalog: Catalog, clock: SteppingClock) -> None:
    opened = catalog.open_run(RunKind.BACKUP, "his")
    assert opened.status is RunStatus.RUNNING
    assert len(opened.id) == 26
    assert catalog.runs() == [opened]
    clock.forward(seconds=90.25)
    detail = {"bytes": 2**40, "系统": "门诊", "odd": "\x00\udc80", "list": [1, None, 0.5]}
    error = {"code": "source", "message": "m", "hint": ""}
    closed = catalog.close_run(opened.id, RunStatus.FAILED, detail, error)
    assert closed == replace(opened, status=RunStatus.FAILED, finished_at=clock.now(), detail=detail, error=error)
    assert catalog.runs() == [closed]
    assert closed.started_at.utcoffset() is not None
    with pytest.raises(PreflightError, match=opened.id):
        catalog.close_run(opened.id, RunStatus.OK, {})
    assert catalog.runs() == [closed]


def test_a_run_without_an_error_has_none(catalog: Catalog) -> None:
    run = catalog.open_run(RunKind.DRILL, "")
    assert catalog.close_run(run.id, RunStatus.OK, {}).error is None


def test_what_cannot_be_closed_is_refused(catalog: Catalog) -> None:
    with pytest.raises(PreflightError, match="01UNKNOWN"):
        catalog.close_run("01UNKNOWN", RunStatus.OK, {})
    run = catalog.open_run(RunKind.BACKUP, "his")
    with pytest.raises(ValueError, match="running"):
        catalog.close_run(run.id, RunStatus.RUNNING, {})
    assert catalog.runs() == [run]


def test_runs_are_listed_newest_first_and_chosen_by_system_and_kind(catalog: Catalog, clock: SteppingClock) -> None:
    first = catalog.open_run(RunKind.BACKUP, "his")
    same_instant = catalog.open_run(RunKind.BACKUP, "pacs")
    clock.forward(microseconds=1)
    third = catalog.open_run(RunKind.DRILL, "his")
    clock.forward(microseconds=999_999)
    fourth = catalog.open_run(RunKind.BACKUP, "his")
    clock.forward(hours=-1)
    clock_set_back = catalog.open_run(RunKind.BACKUP, "his")
    assert catalog.runs() == [fourth, third, same_instant, first, clock_set_back]
    assert catalog.runs("his", RunKind.BACKUP) == [fourth, first, clock_set_back]
    assert catalog.runs(kind=RunKind.DRILL) == [third]
    assert catalog.runs("lis") == []


def test_open_runs_are_those_that_have_not_ended(catalog: Catalog, clock: SteppingClock) -> None:
    first = catalog.open_run(RunKind.BACKUP, "his")
    clock.forward(seconds=1)
    catalog.close_run(catalog.open_run(RunKind.BACKUP, "his").id, RunStatus.OK, {})
    last = catalog.open_run(RunKind.DRILL, "all")
    assert catalog.open_runs() == [last, first]


def test_a_run_of_another_state_folder_is_given_up_after_a_week(
    postgres: PostgresServer, tmp_path: Path, clock: SteppingClock
) -> None:
    url = fresh_database(postgres)
    with open_catalog(url, tmp_path / "lost", clock) as lost, open_catalog(url, tmp_path / "here", clock) as here:
        lost._process = replace(lost._process, host="lost")
        left = lost.open_run(RunKind.BACKUP, "his")
        clock.forward(days=6)
        assert here.interrupt_leftovers() == []
        clock.forward(days=1)
        assert [run.id for run in here.interrupt_leftovers()] == [left.id]
        assert here.runs()[0].status is RunStatus.INTERRUPTED


def test_runs_are_chosen_by_when_they_began_and_how_many_are_wanted(catalog: Catalog, clock: SteppingClock) -> None:
    begun = []
    for _ in range(4):
        begun.append(catalog.open_run(RunKind.BACKUP, "his"))
        clock.forward(minutes=5)
    ids = [run.id for run in begun]
    since, until = begun[1].started_at, begun[2].started_at
    assert [run.id for run in catalog.runs(since=since, until=until)] == [ids[2], ids[1]]
    assert [run.id for run in catalog.runs("his", until=until.astimezone(UTC), limit=1)] == [ids[2]]
    assert [run.id for run in catalog.runs("his", RunKind.BACKUP, limit=2)] == [ids[3], ids[2]]


def test_runs_that_came_to_a_decision_are_told_from_those_under_way_or_refused_by_a_lock(
    catalog: Catalog, clock: SteppingClock
) -> None:
    failed = catalog.open_run(RunKind.BACKUP, "his")
    failed = catalog.close_run(failed.id, RunStatus.FAILED, {}, {"code": "source", "message": '"code": "locked"'})
    for _ in range(3):
        clock.forward(seconds=1)
        refused = catalog.open_run(RunKind.BACKUP, "his")
        catalog.close_run(refused.id, RunStatus.FAILED, {}, {"code": "locked", "message": "m", "hint": ""})
    clock.forward(seconds=1)
    running = catalog.open_run(RunKind.BACKUP, "his")
    assert catalog.runs("his", decided=True, limit=2) == [failed]
    clock.forward(seconds=1)
    done = catalog.close_run(running.id, RunStatus.OK, {})
    assert catalog.runs("his", decided=True, limit=2) == [done, failed]


def test_the_first_point_of_each_system_is_remembered(catalog: Catalog) -> None:
    assert catalog.first_points() == {}
    early = sample_point()
    late = replace(early, id="P2", created_at=early.created_at + timedelta(days=1))
    catalog.remember_point(late, "b" * 64)
    catalog.remember_point(early, "a" * 64)
    catalog.remember_point(replace(late, system="lis"), "c" * 64)
    assert catalog.first_points() == {"his": early.created_at, "lis": late.created_at}


def test_a_point_is_kept_under_its_seal(catalog: Catalog) -> None:
    point = sample_point()
    catalog.remember_point(point, "a" * 64)
    catalog.remember_point(point, "a" * 64)
    catalog.remember_point(replace(point, system="pacs"), "b" * 64)
    assert catalog.point("a" * 64) == point
    changed = replace(point, status=PointStatus.INCOMPLETE)
    catalog.remember_point(changed, "a" * 64)
    assert catalog.point("a" * 64) == changed
    assert catalog.point("c" * 64) is None


def test_the_points_of_a_system_are_remembered_until_its_repository_is_begun_anew(catalog: Catalog) -> None:
    old, new = sample_point(), replace(sample_point(), id="P2", created_at=START + timedelta(days=1))
    catalog.remember_point(new, "a" * 64)
    catalog.remember_point(old, "b" * 64)
    catalog.remember_point(replace(old, id="P3", system="pacs"), "c" * 64)
    assert list(catalog.seals("his").items()) == [("b" * 64, "P1"), ("a" * 64, "P2")]
    catalog.forget_points("his")
    assert catalog.seals("his") == {}
    assert catalog.point("a" * 64) is None
    assert catalog.seals("pacs") == {"c" * 64: "P3"}


def test_evidence_is_listed_in_its_sequence(catalog: Catalog) -> None:
    later, earlier = evidence_entry("E1", 10), evidence_entry("E2", 9)
    catalog.remember_evidence(later)
    catalog.remember_evidence(earlier)
    catalog.remember_evidence(later)
    assert catalog.evidence() == [earlier, later]
    moved = replace(later, path="elsewhere.json")
    catalog.remember_evidence(moved)
    assert catalog.evidence() == [earlier, moved]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> str | None:
    """The url of an empty place for a catalog that outlives its object."""
    return fresh_database(request.getfixturevalue("postgres")) if request.param == "postgresql" else None


def test_what_was_remembered_is_there_after_opening_again(
    place: str | None, tmp_path: Path, clock: SteppingClock
) -> None:
    with open_catalog(place, tmp_path, clock) as first:
        run = first.open_run(RunKind.RESTORE, "his")
        first.remember_point(sample_point(), "a" * 64)
        first.remember_evidence(evidence_entry("E1", 1))
    with open_catalog(place, tmp_path, clock) as second:
        assert second.runs() == [run]
        assert second.point("a" * 64) == sample_point()
        assert second.evidence() == [evidence_entry("E1", 1)]


def test_many_may_open_an_empty_place_at_once(place: str | None, tmp_path: Path, clock: SteppingClock) -> None:
    def open_and_record(number: int) -> str:
        with open_catalog(place, tmp_path / "state", clock) as catalog:
            return catalog.open_run(RunKind.BACKUP, f"system-{number}").id

    with ThreadPoolExecutor(6) as pool:
        opened = set(pool.map(open_and_record, range(6)))
    with open_catalog(place, tmp_path / "state", clock) as catalog:
        assert {run.id for run in catalog.runs()} == opened


def test_a_catalog_of_a_newer_drmgr_is_refused(place: str | None, tmp_path: Path, clock: SteppingClock) -> None:
    database = open_database(place, tmp_path)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(PreflightError, match=r"newer drmgr \(schema 9999") as caught:
        open_catalog(place, tmp_path, clock)
    assert caught.value.exit_code == 11


def test_a_server_that_is_gone_is_named_with_a_hint(tmp_path: Path, clock: SteppingClock) -> None:
    url = f"postgresql+psycopg://drmgr:geheim@/catalog?host={quote(str(tmp_path), safe='')}"
    with pytest.raises(PreflightError, match="catalog's database refused") as caught:
        open_catalog(url, tmp_path / "state", clock)
    assert str(tmp_path / "state") in caught.value.hint
    assert "geheim" not in caught.value.message + caught.value.hint


def fresh_database(server: PostgresServer) -> str:
    database, socket = server.create_database(), quote(server.socket, safe="")
    return f"postgresql+psycopg://postgres:{quote(server.password, safe='')}@/{database}?host={socket}"


def sample_point() -> RecoveryPoint:
    at = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
    facts = Facts("postgresql", at, {"tables": {"public.患者": {"rows": 5, "fingerprint": "00ff"}}}, 0.25)
    member = Member("db", "postgresql", at, (Part("dump", "d" * 64, 1, 2**33), Part("globals", "e" * 64, 1, 9)), facts)
    return RecoveryPoint("P1", "his", "R1", START, at, PointStatus.COMPLETE, (member,), {"restic": "0.18.0"}, "h")


def evidence_entry(name: str, sequence: int) -> EvidenceEntry:
    return EvidenceEntry(name, "R1", sequence, "his-restore", Verdict.PASSED, START, f"{name}.json", "f" * 64)
