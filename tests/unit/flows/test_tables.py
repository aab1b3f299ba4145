"""Single tables, on a real SQLite and fakes of all else."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.checks.facts import FactsCheck
from drmgr.engines.sqlite import SqliteEngine
from drmgr.engines.sqlite_tables import SqliteTables
from drmgr.errors import (
    DrmgrError,
    Interrupted,
    LoadError,
    NotAllowedError,
    PointNotFoundError,
    PreflightError,
    SourceError,
    UsageError,
)
from drmgr.flows.backup import backup
from drmgr.flows.bench import Source, WiredSystem
from drmgr.flows.tableplan import Beside, TablePlan, plan_tables
from drmgr.flows.tables import TablesDone, lay_tables
from drmgr.model import (
    CheckStatus,
    Instance,
    LaidAs,
    LaidTable,
    Level,
    OccasionKind,
    RunStatus,
    TableShape,
    Told,
    Verdict,
)
from tests.support.fakes import FakeCheck
from tests.unit.flows.conftest import Site

SCHEMA = """
CREATE TABLE visit (id INTEGER PRIMARY KEY, patient TEXT, at TEXT);
CREATE TABLE charge (visit INTEGER REFERENCES visit ON DELETE CASCADE, amount NUMERIC);
INSERT INTO visit VALUES (1, '张三', 'a'), (2, '李四', 'b'), (3, NULL, 'c');
INSERT INTO charge VALUES (1, 5), (1, 5), (2, 7);
"""


@dataclass
class Ground:
    """One system with one SQLite, of which there is a recovery point."""

    site: Site
    wired: WiredSystem
    path: Path
    tables: SqliteTables
    allowed: bool = True

    def run(self, script: str) -> None:
        with closing(sqlite3.connect(self.path)) as session:
            session.executescript(script)

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as session:
            return session.execute(statement).fetchall()

    def names(self) -> list[object]:
        return [name for (name,) in self.ask("SELECT name FROM sqlite_schema ORDER BY name")]

    def plan(self, *tables: str, beside: bool = True) -> TablePlan:
        engine = self.wired.sources[0].engine
        place = Beside("original", engine, self.tables, self.permit) if beside else None
        return TablePlan(tables, "", place, timedelta(hours=2), reason="rows changed by mistake")

    def permit(self) -> None:
        if not self.allowed:
            raise NotAllowedError("the site file does not allow it")

    def lay(self, *tables: str, beside: bool = True) -> TablesDone:
        return lay_tables(self.site.bench, self.wired, self.plan(*tables, beside=beside))


@pytest.fixture
def ground(site: Site, tmp_path: Path) -> Iterator[Ground]:
    path = tmp_path / "queue.db"
    engine = SqliteEngine("queue", path, clock=site.clock, runtime=tmp_path / "run", timezone="Asia/Shanghai")
    tables = SqliteTables(engine)
    source = Source("queue", engine, tables=tables)
    wired = replace(site.wired, sources=(source,), checks=(FactsCheck("queue", engine),))
    made = Ground(site, wired, path, tables)
    made.run(SCHEMA)
    backup(site.bench, wired)
    yield made


def test_tables_are_laid_and_counted_and_the_record_holds_no_row(ground: Ground) -> None:
    ground.run(
        "UPDATE visit SET patient = '王五' WHERE id = 2; DELETE FROM visit WHERE id = 3;"
        "INSERT INTO visit VALUES (4, 'x', 'd'), (5, 'y', 'e'); DELETE FROM charge WHERE visit = 2"
    )
    done = ground.lay("visit", "charge")
    visit, charge = done.tables
    assert visit.laid is not None and visit.change is not None and charge.change is not None
    # as of the recovery point, in the site's zone
    assert visit.laid.shape.name == "visit__drmgr_20260105_1400"
    assert (visit.change.added, visit.change.removed, visit.change.changed) == (2, 1, 1)
    assert (charge.change.added, charge.change.removed, charge.change.changed) == (0, 1, None)
    assert ground.ask("SELECT * FROM visit__drmgr_20260105_1400 ORDER BY id")[1] == (2, "李四", "b")
    assert ground.ask("SELECT count(*) FROM visit") == [(4,)]
    assert ground.ask("PRAGMA foreign_key_list(charge__drmgr_20260105_1400)") == []
    checks = {check.name: check for check in done.outcome.checks}
    assert checks["table-visit"].expected == checks["table-visit"].actual
    assert checks["changes-visit"].actual == {"before": 3, "now": 4, "added": 2, "removed": 1, "changed": 1}
    assert (done.record.verdict, done.record.target, done.outcome.level) == (
        Verdict.PASSED,
        "original",
        Level.STRUCTURE,
    )
    assert done.instances == {}
    assert done.record.laid == (
        LaidAs("queue", "visit", "visit__drmgr_20260105_1400"),
        LaidAs("queue", "charge", "charge__drmgr_20260105_1400"),
    )
    for name in ("张三", "李四", "王五"):
        assert name not in repr(done.record.outcomes[0].checks)
    (run, *_) = ground.site.catalog.runs()
    assert run.status is RunStatus.OK
    assert run.detail["tables"] == {"visit": "visit__drmgr_20260105_1400", "charge": "charge__drmgr_20260105_1400"}
    # once more: what is there is not touched
    (again,) = ground.lay("visit").tables
    assert again.laid is not None and again.laid.shape.name == "visit__drmgr_20260105_1400_2"


def test_in_an_incident_only_people_know_when_the_fault_was(ground: Ground) -> None:
    plan = replace(ground.plan("visit"), occasion=OccasionKind.INCIDENT)
    line = lay_tables(ground.site.bench, ground.wired, plan).outcome.timeline
    assert (line.t0, line.t1, line.t2, line.t3, line.counted_from) == (None, None, None, None, "begun")
    now = ground.site.clock.now()
    told = Told(now - timedelta(hours=1), None, now - timedelta(minutes=9))
    done = lay_tables(ground.site.bench, ground.wired, replace(plan, told=told)).outcome
    assert (done.timeline.t0, done.timeline.t1, done.timeline.t2, done.timeline.t3) == told.stages()
    assert done.rto.measured == 3600
    # of a simulation nobody has to say when it began
    line = ground.lay("visit").outcome.timeline
    assert line.t0 == line.t3 == line.begun


def test_a_table_that_was_dropped_is_laid_though_there_is_nothing_to_compare(ground: Ground) -> None:
    ground.run("DROP TABLE charge")
    (charge,) = ground.lay("charge").tables
    assert charge.change is None and charge.statements is not None
    assert (charge.proof.rows, charge.statements.look) == (3, {})
    ground.run(charge.statements.drop)
    assert ground.names() == ["visit"]


def test_on_scratch_it_is_compared_and_kept_and_nothing_is_laid(ground: Ground) -> None:
    ground.run("DELETE FROM visit WHERE id = 1")
    done = ground.lay("visit", beside=False)
    (visit,) = done.tables
    assert visit.laid is None and visit.statements is None and visit.change is not None
    assert visit.change.removed == 1
    assert list(done.instances) == ["queue"]
    assert list(ground.site.scratch.kept) == [done.record.run]
    assert ground.names() == ["charge", "visit"]
    assert done.record.laid is None


def test_a_dry_run_tells_the_names_and_writes_nothing(ground: Ground) -> None:
    runs = ground.site.catalog.runs()
    found = plan_tables(ground.site.bench, ground.wired, ground.plan("visit"))
    assert found.names == {"visit": "visit__drmgr_20260105_1400"}
    assert (ground.names(), ground.site.catalog.runs()) == (["charge", "visit"], runs)


def test_without_permission_nothing_is_read_or_written(ground: Ground) -> None:
    ground.allowed = False
    with pytest.raises(NotAllowedError):
        ground.lay("visit")
    assert len(ground.site.scratch.opened) == 0
    assert ground.site.catalog.runs()[0].status is RunStatus.FAILED


def test_a_table_that_the_point_does_not_have_is_told_before_anything_is_restored(ground: Ground) -> None:
    with pytest.raises(PointNotFoundError, match="no table vist"):
        ground.lay("visit", "vist")
    assert len(ground.site.scratch.opened) == 0
    # it came after the point: only scratch can tell, and nothing stays of the other one
    ground.run("CREATE TABLE visit_new (id INTEGER PRIMARY KEY)")
    with pytest.raises(PointNotFoundError, match="no table visit_new"):
        ground.lay("visit", "visit_new")
    assert ground.names() == ["charge", "visit", "visit_new"]
    assert ground.site.evidence.sealed[-1].verdict is Verdict.ERROR


@pytest.mark.parametrize("failure", [SourceError("the live table is away"), Interrupted("SIGTERM")])
def test_when_the_second_table_fails_the_first_does_not_stay(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, failure: DrmgrError | Interrupted
) -> None:
    lay = ground.tables.lay

    def once(scratch: Instance, table: TableShape, live: Instance, name: str, progress: object) -> LaidTable:
        if table.name == "charge":
            raise failure
        return lay(scratch, table, live, name, lambda _share, _word: None)

    monkeypatch.setattr(ground.tables, "lay", once)
    with pytest.raises(type(failure)):
        ground.lay("visit", "charge")
    assert ground.names() == ["charge", "visit"]


def test_what_could_not_be_dropped_again_is_named(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SourceError("the server is away")

    monkeypatch.setattr(ground.tables, "digests", fail)
    monkeypatch.setattr(ground.tables, "drop", fail)
    with pytest.raises(LoadError, match="could not be dropped: visit__drmgr_20260105_1400"):
        ground.lay("visit")


def test_what_is_not_proven_is_laid_beside_nothing(ground: Ground) -> None:
    wrong = FakeCheck("facts", Level.FACTS, CheckStatus.FAIL)
    done = lay_tables(ground.site.bench, replace(ground.wired, checks=(wrong,)), ground.plan("visit"))
    assert (done.record.verdict, done.tables, ground.names()) == (Verdict.FAILED, (), ["charge", "visit"])
    assert done.outcome.checks[-1].name == "tables-laid"
    assert done.record.laid == ()
    # what the data mean is for people to see: it is laid, and the run has failed
    odd = FakeCheck("odd", Level.BUSINESS, CheckStatus.FAIL)
    done = lay_tables(ground.site.bench, replace(ground.wired, checks=(odd,)), ground.plan("visit"))
    assert (done.record.verdict, len(done.tables)) == (Verdict.FAILED, 1)


def test_rows_that_are_not_those_of_the_facts_do_not_stay(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ground.tables.expected

    def other(*known: object) -> object:
        found = expected(*known)  # type: ignore[arg-type]
        return None if found is None else replace(found, rows=found.rows + 1)

    monkeypatch.setattr(ground.tables, "expected", other)
    with pytest.raises(LoadError, match="not those that the recovery point's facts tell of"):
        ground.lay("visit")
    assert ground.names() == ["charge", "visit"]
    assert ground.site.evidence.sealed[-1].verdict is Verdict.FAILED


def test_a_source_without_tables_and_several_sources_are_told_apart(ground: Ground) -> None:
    bare = replace(ground.wired, sources=(replace(ground.wired.sources[0], tables=None),))
    with pytest.raises(UsageError, match="not none"):
        lay_tables(ground.site.bench, bare, ground.plan("visit"))
    with pytest.raises(UsageError, match="cannot be laid: it is sqlite"):
        lay_tables(ground.site.bench, bare, replace(ground.plan("visit"), source="queue"))


def test_a_disk_that_is_too_small_is_told_before(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drmgr.engines.sqlite_tables.free_bytes", lambda _path: 0)
    with pytest.raises(PreflightError, match="bytes are free"):
        ground.lay("visit")
    assert ground.names() == ["charge", "visit"]
