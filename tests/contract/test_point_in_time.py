"""Point in time in drills, and the bad days of shipping: moved slots, killed calls, full disks, foreign places."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drmgr.checks.sql import FreshnessCheck
from drmgr.engines.postgres.engine import PostgresEngine
from drmgr.engines.postgres.shipper import PostgresLogShipper
from drmgr.errors import LoadError, PreflightError, SourceError, SpoolFullError, UsageError
from drmgr.flows.aim import newest
from drmgr.flows.bench import Source
from drmgr.flows.drill import DrillDone, DrillPlan, drill
from drmgr.flows.points import find
from drmgr.flows.reach import windows
from drmgr.flows.shipped import log_ranges
from drmgr.model import CheckResult, CheckStatus, Level, Restored, Text, Verdict
from drmgr.scratch.server import give_to, server_programs
from tests.support.folders import passable_directory
from tests.support.physical import SLOT, Place, fill, note, physical_server
from tests.support.postgres import SERVER_USER, PostgresServer, installed_major, kill_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with passable_directory() as directory, physical_server(directory, segment_mib=1) as running:
        fill(running, scale=0)
        yield running


@pytest.fixture
def place(server: PostgresServer) -> Iterator[Place]:
    with passable_directory() as directory:
        made = Place(directory, server, integrity=True)
        made.sql("DELETE FROM note; INSERT INTO note (text) VALUES ('一')")
        yield made


def reachable_until(place: Place) -> datetime:
    points = find(place.repository, place.bench.catalog, "his").points
    return windows(points, log_ranges(place.repository, "his", "main"), "main")[-1].newest


@dataclass
class NotesCheck:
    """The rows of the restored table, kept for the test."""

    place: Place
    seen: list[str]
    name: str = "notes"
    level: Level = Level.BUSINESS

    def run(self, restored: Restored) -> CheckResult:
        rows = self.place.engine.rows(restored.instance("main"), "SELECT text FROM note ORDER BY id")
        self.seen[:] = [str(row[0]) for row in rows]
        return CheckResult(self.name, CheckStatus.PASS, self.level)


def play(place: Place, at: str) -> tuple[DrillDone, list[str]]:
    seen: list[str] = []
    wired = replace(place.wired, checks=(*place.wired.checks, NotesCheck(place, seen)))
    title = Text("演练", "drill")
    plan = DrillPlan("d", title, "server-lost", "hands-on", (wired,), "latest", Level.BUSINESS, at=at)
    return drill(place.bench, plan), seen


def minor(place: Place) -> int:
    ((number,),) = place.sql("SELECT current_setting('server_version_num')::int % 10000")
    return int(number)


def test_a_drill_goes_to_the_last_shipped_instant_and_its_rpo_is_measured_from_there(place: Place) -> None:
    point = place.back_up()
    note(place, "a")
    place.ship()
    reached = reachable_until(place)
    note(place, "lost with the server")
    done, seen = play(place, "newest")
    (outcome,) = done.record.outcomes
    assert (outcome.error, outcome.verdict, outcome.level) == (None, Verdict.PASSED, Level.BUSINESS)
    assert seen == ["一", "a"]
    assert outcome.timeline.t0 is not None
    assert outcome.rpo.measured == (outcome.timeline.t0 - reached).total_seconds()
    assert outcome.rpo.measured < (outcome.timeline.t0 - point.consistent_at).total_seconds()
    # the facts are proven at the point's own instant, after the time that counts
    assert [check.status for check in outcome.checks if check.level is Level.FACTS] == [CheckStatus.PASS]
    proof = next(phase for phase in outcome.phases if phase.name == "prove-facts")
    assert outcome.timeline.t6 is not None and proof.started_at >= outcome.timeline.t6
    assert [each.gone for each in done.record.destruction] == [True, True]
    # a physical backup has no programs of its own, and comes back as the very server that it was
    origin, (member,) = outcome.origin, point.members
    assert origin.into["main"] == member.versions == {"server": f"{place.server.plan.version}.{minor(place)}"}
    assert (origin.replayed["main"].target.kind, origin.replayed["main"].snapshots > 0) == ("time", True)
    # what was shipped after the fault was not there for it
    points = find(place.repository, place.bench.catalog, "his").points
    assert newest(place.wired, points, point.created_at).replays == {}


def test_the_newest_row_is_held_to_the_instant_gone_to_and_not_to_the_point(place: Place) -> None:
    title = Text("新鲜度", "freshness")
    fresh = FreshnessCheck(
        name="fresh", title=title, source="main", engine=place.engine, table="public.note", column="at", within=None
    )
    place.wired = replace(place.wired, checks=(*place.wired.checks, fresh))
    place.back_up()
    at = note(place, "written after the point")
    place.sql("SELECT pg_create_restore_point('before_the_mistake')")
    note(place, "ends the log")
    place.ship()
    outcomes = [play(place, "newest")[0].record.outcomes[0]]
    outcomes += [place.restore(target).outcome for target in (at, "before_the_mistake")]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.PASSED] * 3
    place.sql("INSERT INTO note (at, text) VALUES (clock_timestamp() + interval '1 h', 'from the future')")
    note(place, "ends the log")
    place.ship()
    (outcome,) = play(place, "newest")[0].record.outcomes
    assert [check.name for check in outcome.checks if check.status is CheckStatus.FAIL] == ["fresh"]


def test_a_drill_without_shipped_logs_counts_from_its_point(place: Place) -> None:
    point = place.back_up()
    note(place, "never shipped")
    done, seen = play(place, "newest")
    (outcome,) = done.record.outcomes
    assert (outcome.verdict, seen) == (Verdict.PASSED, ["一"])
    assert outcome.timeline.t0 is not None
    assert outcome.rpo.measured == (outcome.timeline.t0 - point.consistent_at).total_seconds()


def test_a_system_with_a_source_that_has_no_logs_is_not_taken_apart(place: Place) -> None:
    place.back_up()
    place.wired = replace(place.wired, sources=(Source("main", place.engine),))
    done, _ = play(place, place.now().isoformat())
    assert done.record.verdict is Verdict.ERROR
    assert done.record.outcomes[0].error is not None
    assert done.record.outcomes[0].error["code"] == UsageError.code


def test_a_log_that_makes_a_tablespace_is_not_replayed_into_productions_place(place: Place) -> None:
    space = place.server.plan.home / "fresh"
    space.mkdir()
    give_to(space, SERVER_USER)
    place.back_up()
    place.sql(f"CREATE TABLESPACE fresh LOCATION '{space}'")
    place.sql("CREATE TABLE elsewhere TABLESPACE fresh AS SELECT 1 AS n")
    try:
        before = sorted((path, path.stat().st_mtime_ns) for path in space.rglob("*"))
        at = note(place, "a")
        place.ship()
        with pytest.raises(LoadError, match="a tablespace was made after the recovery point"):
            place.restore(at)
        assert sorted((path, path.stat().st_mtime_ns) for path in space.rglob("*")) == before
    finally:
        place.sql("DROP TABLE elsewhere")
        place.sql("DROP TABLESPACE fresh")


def test_a_call_that_was_killed_loses_and_hides_nothing(place: Place) -> None:
    """Killed when all was received, and nothing moved to what waits."""
    place.back_up()
    place.ship()
    at = note(place, "a")
    waiting, incoming = place.spool.path / "waiting", place.spool.path / "incoming"
    state = (place.spool.path / "received.json").read_bytes()
    logs = place.source.logs
    assert logs is not None and logs.receive(place.spool.path) is None
    for path in waiting.iterdir():
        path.rename(incoming / path.name)
    (place.spool.path / "received.json").write_bytes(state)
    assert place.ship().files > 0
    done = place.restore(at)
    assert place.engine.scalar(done.instances["main"], "SELECT max(text) FROM note WHERE text = 'a'") == "a"
    place.bench.scratch.keep(done.record.run, place.clock.now() - timedelta(days=1))
    place.bench.scratch.reap()


def test_a_slot_that_was_moved_on_is_told(place: Place) -> None:
    place.back_up()
    place.ship()
    note(place, "skipped")
    place.sql("SELECT pg_switch_wal()")
    note(place, "skipped too")
    place.sql(f"SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_lsn())")
    with pytest.raises(SourceError, match=rf"somebody moved the replication slot {SLOT} on, and the log from"):
        place.ship()
    # what comes after the gap is shipped, and nothing leads over it until there is a new point
    with pytest.raises(SourceError, match="no recovery point of his reaches"):
        place.ship()
    assert reachable_until(place).isoformat() < place.now().isoformat()


def test_a_full_disk_of_the_spool_is_an_alarm_and_loses_nothing(place: Place) -> None:
    """pg_receivewal itself meets a file system that is smaller than a segment."""
    place.back_up()
    at = note(place, "a")
    tools = place.directory / "tools"
    tools.mkdir()
    real = server_programs(installed_major())
    for program in real.iterdir():
        (tools / program.name).symlink_to(program)
    (tools / "pg_receivewal").unlink()
    # not root: root of a name space of one's own may mount as well
    alone = "" if os.geteuid() == 0 else "--user --map-root-user"
    (tools / "pg_receivewal").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real}/pg_receivewal --version\n'
        f'exec unshare {alone} --mount sh -c \'mount -t tmpfs -o size=512k tmpfs "$1" && shift && exec "$@"\' '
        f'sh {place.spool.path}/incoming {real}/pg_receivewal "$@"\n'
    )
    (tools / "pg_receivewal").chmod(0o755)
    healthy = place.source
    place.source = replace(healthy, logs=PostgresLogShipper(place.engine, SLOT, place.runner, tools))
    with pytest.raises(SpoolFullError, match="the disk of the spool"):
        place.ship()
    place.source = healthy
    place.ship()
    assert reachable_until(place).isoformat() > at


@dataclass
class KillCheck:
    """Ends the restored server without warning, before the other checks."""

    name: str = "kill"
    level: Level = Level.OPENS

    def run(self, restored: Restored) -> CheckResult:
        kill_server(restored.instance("main"))
        return CheckResult(self.name, CheckStatus.PASS, self.level)


def test_a_restored_server_that_dies_before_its_checks_is_no_pass(place: Place) -> None:
    place.back_up()
    place.wired = replace(place.wired, checks=(KillCheck(), *place.wired.checks))
    done, _ = play(place, "newest")
    (outcome,) = done.record.outcomes
    assert done.record.verdict is Verdict.ERROR
    errors = {check.name for check in outcome.checks if check.status is CheckStatus.ERROR}
    assert {"opens-main", "notes"} <= errors or outcome.error is not None
    assert [each.gone for each in done.record.destruction] == [True] * len(done.record.destruction)


def test_an_empty_pg_wal_is_told(place: Place, tmp_path: Path) -> None:
    """The log of the server is gone: a peer's backup of it passed, and did not restore."""
    server, log = place.server.private, place.server.private.data / "pg_wal"
    place.back_up()
    server.stop()
    shutil.copytree(log, tmp_path / "kept")
    subprocess.run(["find", log, "-type", "f", "-delete"], check=True)
    try:
        with pytest.raises(SourceError):
            place.ship()
    finally:
        for file in (tmp_path / "kept").iterdir():
            if file.is_file():
                shutil.copyfile(file, log / file.name)
                shutil.chown(log / file.name, SERVER_USER, SERVER_USER)
        server.start()
    place.ship()


GRANTS = """
CREATE ROLE restricted LOGIN REPLICATION;
GRANT pg_read_all_data, pg_read_all_settings, pg_checkpoint TO restricted;
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(),
  pg_create_restore_point(text) TO restricted"""


def test_an_account_that_is_no_superuser_backs_up_ships_and_is_told_what_it_lacks(place: Place) -> None:
    place.sql(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'restricted') THEN "
        "DROP OWNED BY restricted; DROP ROLE restricted; END IF; END $$"
    )
    for statement in GRANTS.split(";"):
        place.sql(statement)
    place.sql(f"ALTER ROLE restricted PASSWORD '{place.server.password}'")
    place.become("restricted")
    place.engine.preflight()
    point = place.back_up()
    at = note(place, "a")
    place.ship()
    assert reachable_until(place).isoformat() > at
    done, seen = play(place, "newest")
    assert (done.record.verdict, seen) == (Verdict.PASSED, ["一", "a"])
    assert point.members[0].facts.groups["recovery"]["admin"] == "postgres"
    logs = place.source.logs
    assert isinstance(logs, PostgresLogShipper)
    assert (logs.state().status, logs.state().keeps_at_most, logs.state().archive_fails) == ("reserved", None, False)
    for statement, lacking in (
        ("REVOKE EXECUTE ON FUNCTION pg_backup_stop(boolean) FROM restricted", "may not call pg_backup_stop"),
        ("ALTER ROLE restricted NOREPLICATION", "may not use replication slots"),
        ("REVOKE pg_read_all_settings FROM restricted", "may not see the server's data_directory"),
    ):
        place.sql(statement)
        with pytest.raises(PreflightError, match=lacking):
            place.engine.preflight()
        for grant in GRANTS.split(";")[1:]:
            place.sql(grant)
        place.sql("ALTER ROLE restricted REPLICATION")


def test_another_cluster_does_not_share_the_repository(place: Place) -> None:
    place.back_up()
    with passable_directory() as directory, physical_server(directory, segment_mib=1) as other:
        fill(other, scale=0)
        theirs = Place(directory, other)
        theirs.use(place.repository)
        with pytest.raises(
            PreflightError, match=r"holds backups of the cluster \d+, and the server is the cluster"
        ) as told:
            theirs.back_up()
        (identifier,) = re.findall(r'"(\d+)"', told.value.hint)
        theirs.engine = theirs.make(identifier=identifier)
        theirs.use(place.repository)
        theirs.back_up()
    # and now the first one is the stranger
    with pytest.raises(PreflightError, match="holds backups of the cluster"):
        place.back_up()


def test_the_points_of_one_method_are_read_by_the_other(place: Place) -> None:
    physical = place.engine
    logical = PostgresEngine(
        "main", place.server.connection("his"), runner=place.runner, clock=place.clock, runtime=place.directory / "run"
    )
    for made_by, read_by in ((physical, logical), (logical, physical)):
        place.use(place.repository, made_by)
        place.back_up()
        place.use(place.repository, read_by)
        done, seen = play(place, "")
        assert (done.record.outcomes[0].error, done.record.verdict, seen) == (None, Verdict.PASSED, ["一"])


def test_settings_that_lie_elsewhere_come_along_and_a_physical_backup_is_not_loaded_into_a_server(
    place: Place, tmp_path: Path
) -> None:
    private = place.server.private
    settings = place.server.plan.home / "etc"
    settings.mkdir(exist_ok=True)
    give_to(settings, SERVER_USER)
    for name in ("pg_hba.conf", "pg_ident.conf"):
        shutil.copy(private.data / name, settings / name)
        give_to(settings / name, SERVER_USER)
    place.sql(f"ALTER SYSTEM SET hba_file = '{settings / 'pg_hba.conf'}'")
    private.stop()
    private.start()
    try:
        member = place.back_up().members[0]
    finally:
        place.sql("ALTER SYSTEM RESET hba_file")
        private.stop()
        private.start()
    label = next(part for part in member.parts if part.name == "label")
    names = [entry.path for entry in place.repository.entries(label.snapshot)]
    assert sorted(names) == ["backup_label", "manifest.json", "settings-0-pg_hba.conf"]
    (tmp_path / "label").mkdir()
    with pytest.raises(PreflightError, match="not loaded into a server"):
        place.engine.load(tmp_path, place.engine.target(), lambda _share, _word: None)


def test_a_spool_that_was_lost_is_told_if_the_log_has_a_gap_by_it(place: Place) -> None:
    place.back_up()
    place.ship()
    shutil.rmtree(place.spool.path)
    # all of it was shipped: nothing is lost
    place.ship()
    logs = place.source.logs
    assert isinstance(logs, PostgresLogShipper)
    # the server keeps nothing that is safe with us
    assert logs.state().behind < 2 * 1024 * 1024
    note(place, "received, and not shipped")
    assert logs.receive(place.spool.path) is None
    shutil.rmtree(place.spool.path)
    with pytest.raises(SourceError, match=r"the spool was lost with \d+ files of the log"):
        place.ship()
    place.back_up()
    place.ship()
