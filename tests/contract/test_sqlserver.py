"""SQL Server, where it differs from other engines: chains of backups, silent failures, bad days. All on the stand-in."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.engines.sqlserver import SqlServerConnection, SqlServerEngine
from drmgr.errors import (
    DrmgrError,
    LoadError,
    NotAllowedError,
    PointNotFoundError,
    PreflightError,
    ScratchError,
    SourceError,
)
from drmgr.flows.bringback import fetch
from drmgr.flows.points import find
from drmgr.flows.reach import Window, log_ranges, windows
from drmgr.model import CheckStatus, Level, RecoveryTarget
from drmgr.scratch.sqlserver import SqlServerScratch
from drmgr.system import mssql
from drmgr.system.mssql import Complaint, Server, act, connect
from drmgr.system.secret import Secret
from tests.support.folders import passable_directory
from tests.support.sqlserver import StandIn, engine_of, make_certificate, server_identity, stand_in
from tests.support.sqlserver_place import SqlServerPlace, passed
from tests.support.tds.server import Fault
from tests.support.tds.store import appended


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[StandIn, StandIn]]:
    with passable_directory() as folder, stand_in(folder / "a") as source, stand_in(folder / "b", "DRILL") as scratch:
        yield source, scratch


@pytest.fixture
def place(servers: tuple[StandIn, StandIn]) -> Iterator[SqlServerPlace]:
    with new_place(servers) as made:
        yield made


@contextmanager
def new_place(servers: tuple[StandIn, StandIn], **options: object) -> Iterator[SqlServerPlace]:
    """At its end nothing is left behind on either server, whatever went wrong in between."""
    source, scratch = servers
    with passable_directory() as directory:
        made = SqlServerPlace(directory, source, scratch, **options)
        try:
            yield made
            made.end_kept()
            assert list(scratch.store.databases) == []
        finally:
            for server in servers:
                server.server.faults.clear()
                for path in server.access.share.local.iterdir():
                    path.unlink()
            scratch.store.databases.clear()
            scratch.store.free_bytes = 10**12
            source.store.drift = timedelta()
            source.store.rights.clear()


# --- backups ---


def test_a_point_is_a_full_backup_and_the_log_to_the_facts_and_leaves_nothing_behind(place: SqlServerPlace) -> None:
    made = place.back_up()
    facts = made.point.members[0].facts
    assert facts.groups["origin"]["backups"] == ["full", "log"]
    assert facts.groups["moving"] == {}
    assert place.left() == []
    done = place.restore()
    assert passed(done, Level.FACTS)
    (check,) = [check for check in done.outcome.checks if check.name == "facts-main"]
    assert "no table changed meanwhile" in check.message


def test_a_table_that_changes_around_the_instant_is_named_and_not_vouched_for(place: SqlServerPlace) -> None:
    with writing(place):
        made = place.back_up()
    facts = made.point.members[0].facts
    assert list(facts.groups["moving"]) == ["dbo.queue"]
    assert "dbo.queue" not in facts.groups["tables"]
    done = place.restore()
    assert passed(done, Level.FACTS)
    (check,) = [check for check in done.outcome.checks if check.name == "facts-main"]
    assert "1 tables that changed meanwhile: dbo.queue" in check.message


def test_a_structure_that_changes_meanwhile_fails_the_backup(place: SqlServerPlace) -> None:
    def write(_text: str) -> None:
        place.source.store.change(place.database.name, lambda tables: tables.update({"dbo.new": tables["dbo.queue"]}))

    with watching(place.source, r"BACKUP LOG \[", write), pytest.raises(SourceError, match="columns changed during"):
        place.back_up()
    assert place.left() == []


def test_differentials_build_upon_the_last_full_backup_until_it_is_old_or_not_their_base(
    servers: tuple[StandIn, StandIn],
) -> None:
    with new_place(servers, full_every=timedelta(days=1)) as place:
        kinds = []
        for number in (101, 102):
            place.note(number)
            kinds.append(place.back_up().point.members[0].facts.groups["origin"]["backups"])
        assert [name.rsplit(".")[-1] for name in place.left()] == ["bak"]
        assert place.notes(place.restore()) == [101, 102]
        # somebody else takes a full backup, and later differentials build upon that one
        place.database.base = ("11111111-2222-3333-4444-555555555555", place.database.lsn)
        kinds.append(place.back_up().point.members[0].facts.groups["origin"]["backups"])
        place.source.store.drift = timedelta(days=2)
        kinds.append(place.back_up().point.members[0].facts.groups["origin"]["backups"])
        assert kinds == [["full", "log"], ["full", "differential", "log"], ["full", "log"], ["full", "log"]]
        assert len(place.left()) == 1
        assert passed(place.restore(), Level.FACTS)


@pytest.mark.parametrize(
    ("database", "options", "kinds"),
    [
        ({"model": "SIMPLE"}, {}, ["full"]),
        ({"primary": 0}, {}, ["full"]),
        ({}, {"copy_only": True}, ["full"]),
        ({"log_start": 1}, {"copy_only": True, "compression": True}, ["full", "log"]),
    ],
)
def test_without_a_log_of_its_own_the_backup_itself_is_the_instant(
    servers: tuple[StandIn, StandIn], database: dict[str, object], options: dict[str, object], kinds: list[str]
) -> None:
    with new_place(servers, database=database, **options) as place:
        facts = place.back_up().point.members[0].facts
        assert facts.groups["origin"]["backups"] == kinds
        assert ("recovery" in facts.groups) == ("log" in kinds)
        assert place.database.base is None or not options
        assert passed(place.restore(), Level.FACTS)


def test_a_log_that_is_taken_while_the_facts_are_is_bridged_by_a_differential(place: SqlServerPlace) -> None:
    place.back_up()
    taken = iter([True])

    def take(_text: str) -> None:
        if next(taken, False):
            place.source.store.change(
                place.database.name, lambda tables: tables.update({"dbo.空": replace(tables["dbo.空"])})
            )
            take_away_log(place)

    with watching(place.source, r"BACKUP LOG \[", take):
        made = place.back_up()
    assert made.point.members[0].facts.groups["origin"]["backups"] == ["full", "differential", "log"]
    assert passed(place.restore(), Level.FACTS)
    with (
        watching(place.source, r"BACKUP LOG \[", lambda _text: next_log(place)),
        pytest.raises(SourceError, match="so often"),
    ):
        place.back_up()
    assert place.left() == []


def next_log(place: SqlServerPlace) -> None:
    place.source.store.change(place.database.name, lambda tables: tables.update({"dbo.空": replace(tables["dbo.空"])}))
    take_away_log(place)


def test_a_base_that_was_damaged_while_it_lay_there_is_not_built_upon(servers: tuple[StandIn, StandIn]) -> None:
    with new_place(servers, full_every=timedelta(days=1)) as place:
        place.back_up()
        (base,) = place.source.access.share.local.glob("*.bak")
        content = bytearray(base.read_bytes())
        content[-5] ^= 1
        base.write_bytes(content)
        with pytest.raises(SourceError, match="damaged"):
            place.back_up()


def test_a_restore_into_a_connection_makes_its_database_or_takes_an_empty_one(place: SqlServerPlace) -> None:
    place.back_up()
    store = place.scratch.store
    store.create("empty", {})
    try:
        for name in ("empty", "new"):
            with place.bench.scratch.open(f"R-{name}", 0) as workspace:
                staged = workspace.stage("main")
                member = find(place.repository, place.bench.catalog, "his").points[0].point.members[0]
                fetch(place.bench, place.wired, member, staged)
                target = engine_of(place.scratch.access, name, place.directory / "runtime")
                loaded = target.load(staged, target.target(), lambda _share, _word: None)
                assert loaded.database == name
                assert store.databases[name].tables.keys() == place.database.tables.keys()
    finally:
        store.databases.clear()


# --- a backup that was none ---


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(r"BACKUP DATABASE \[", "quiet"), "there is no file"),
        (Fault(r"BACKUP DATABASE \[", "drop", after=2), "the connection to the server broke"),
        (Fault(r"BACKUP DATABASE \[", "error", number=3201, text="Cannot open backup device."), "cannot open or read"),
        (Fault(r"BACKUP DATABASE \[", "late-error", number=3013, text="terminating abnormally"), "the full backup of"),
        (Fault(r"BACKUP LOG \[", "quiet"), "there is no file"),
        (Fault(r"VERIFYONLY", "error", number=3189, text="Damage to the backup set was detected."), "damaged"),
        (Fault(r"HEADERONLY", "quiet"), "holds 0 backups"),
        (Fault(r"drmgr: fingerprint", "drop"), "the connection to the server broke"),
        (Fault(r"drmgr: tables", "quiet"), "has no tables"),
    ],
)
def test_a_backup_that_did_not_come_to_its_end_is_no_point(place: SqlServerPlace, fault: Fault, message: str) -> None:
    place.source.server.faults.append(fault)
    with pytest.raises(DrmgrError, match=message):
        place.back_up()
    assert find(place.repository, place.bench.catalog, "his").points == ()
    assert place.left() == []


def test_rows_in_the_middle_of_an_answer_do_not_break_the_backup_off(place: SqlServerPlace) -> None:
    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "rows", after=1))
    place.back_up()
    assert passed(place.restore(), Level.FACTS)


def test_who_does_not_read_to_the_end_has_no_backup(place: SqlServerPlace) -> None:
    """Why drmgr drains: the stand-in breaks an act off as SQL Server does."""
    import pymssql

    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "rows", after=1))
    server, path = place.source.access.server, place.source.access.share.path("naive.bak")
    assert server.password is not None
    with pymssql.connect(
        server.host, server.user, server.password.reveal(), port=str(server.port), tds_version="7.4", autocommit=True
    ) as naive:
        cursor = naive.cursor()
        cursor.execute(
            f"/* drmgr: backup */ BACKUP DATABASE [{place.database.name}] TO DISK = N'/backups/naive.bak' "
            "WITH FORMAT, NAME = N'x', DESCRIPTION = N'y'"
        )
    # no exception, and no backup
    assert not path.exists() or path.stat().st_size < 100


def test_a_file_of_another_backup_is_not_taken_for_ours(place: SqlServerPlace) -> None:
    place.back_up()
    with (
        watching(place.source, r"RESTORE HEADERONLY", lambda _text: swap(place)),
        pytest.raises(SourceError, match="hold"),
    ):
        place.back_up()


def swap(place: SqlServerPlace) -> None:
    """Another backup of the same database lies where ours should be."""
    for path in place.source.access.share.local.glob("*.bak"):
        path.write_bytes(path.read_bytes().replace(b'"BackupName": "drmgr ', b'"BackupName": "other '))


def test_leftovers_of_a_killed_backup_are_removed_by_the_next(place: SqlServerPlace) -> None:
    place.back_up()
    name = f"{place.engine.plan.prefix('point')}-20260101T000000Z-00000000.bak"
    place.source.access.share.path(name).write_bytes(b"half a backup")
    stranger = place.source.access.share.path("drmgr-other-point.bak")
    stranger.write_bytes(b"another's")
    place.back_up()
    assert place.left() == [stranger.name]


# --- restores ---


@pytest.mark.parametrize("ending", ["bak", "trn"])
def test_one_flipped_byte_fails_the_restore(place: SqlServerPlace, ending: str) -> None:
    with writing(place):
        place.back_up()

    def flip(_text: str) -> None:
        (path,) = place.scratch.access.share.local.glob(f"*.{ending}")
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)

    with watching(place.scratch, r"RESTORE FILELISTONLY", flip), pytest.raises(LoadError, match="damaged"):
        place.restore()
    assert place.left() == []


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (Fault(r"RESTORE DATABASE .* NORECOVERY", "quiet"), LoadError, "did not load"),
        (Fault(r"RESTORE LOG", "quiet"), LoadError, "does not say that it did"),
        (Fault(r"drmgr: recover", "quiet"), LoadError, "does not say that it did"),
        (Fault(r"RESTORE DATABASE .* NORECOVERY", "drop", after=1), LoadError, "the connection to the server broke"),
        (Fault(r"RESTORE DATABASE .* NORECOVERY", "error", number=3257, text="no room"), LoadError, "not room enough"),
    ],
)
def test_a_restore_that_did_nothing_is_an_error(
    place: SqlServerPlace, fault: Fault, error: type[DrmgrError], message: str
) -> None:
    with writing(place):
        place.back_up()
    place.scratch.server.faults.append(fault)
    with pytest.raises(error, match=message):
        place.restore()


def test_a_damaged_database_fails_its_check(place: SqlServerPlace) -> None:
    place.back_up()
    with watching(place.scratch, r"CHECKDB", lambda _text: damage(place.scratch)):
        done = place.restore()
    (check,) = [check for check in done.outcome.checks if check.name == "integrity-main"]
    assert (check.status, check.message) == (CheckStatus.FAIL, "1 problems")
    place.scratch.server.faults.append(Fault("CHECKDB", "quiet"))
    done = place.restore()
    (check,) = [check for check in done.outcome.checks if check.name == "integrity-main"]
    assert (check.status, check.message) == (CheckStatus.FAIL, "the check did not come to its end")


def damage(server: StandIn) -> None:
    for database in server.store.databases.values():
        database.damaged = True


def test_a_small_disk_and_an_older_server_are_refused_before_anything_is_written(place: SqlServerPlace) -> None:
    place.back_up()
    place.scratch.store.free_bytes = 1000
    with pytest.raises(ScratchError, match="the server has 1000 bytes free"):
        place.restore()
    place.scratch.store.version = "14.0.3465.1"
    try:
        with pytest.raises(LoadError, match="version 16, and this server is 14"):
            place.restore()
    finally:
        place.scratch.store.version = "16.0.4175.1"
    assert not any("RESTORE DATABASE" in text and "MOVE" in text for text in place.scratch.server.statements[-8:])


def test_a_restore_never_goes_onto_a_production_server(place: SqlServerPlace) -> None:
    place.back_up()
    # the same server by another name
    onto = replace(place.source.access, server=replace(place.source.access.server, host="localhost"))
    server = SqlServerScratch(onto, "test", lambda: {"his": server_identity(place.source.access)})
    place.host._sqlserver = server
    with pytest.raises(NotAllowedError, match="is the production server of his"):
        place.restore()
    assert list(place.source.store.databases) == [place.database.name] or not any(
        name.startswith("drmgr_") for name in place.source.store.databases
    )


def test_databases_of_a_dead_run_are_dropped_and_those_of_others_are_not(place: SqlServerPlace) -> None:
    place.back_up()
    done = place.restore()
    ours = done.instances["main"].database
    prefix = ours[: len("drmgr_01234567_")]
    for name in (f"{prefix}01DEAD_1", "drmgr_99999999_01DEAD_1", "his_copy", f"{prefix}x"):
        place.scratch.store.create(name, {})
    again = place.restore().instances["main"].database
    expected = {ours, again, "drmgr_99999999_01DEAD_1", "his_copy", f"{prefix}x"}
    assert set(place.scratch.store.databases) == expected
    place.end_kept()
    assert set(place.scratch.store.databases) == expected - {ours, again}
    place.scratch.store.databases.clear()


def test_a_scratch_server_that_is_away_keeps_nobody_from_a_backup(servers: tuple[StandIn, StandIn]) -> None:
    with new_place(servers) as place, passable_directory() as folder, stand_in(folder, "AWAY") as away:
        place.back_up()
        place.host._sqlserver = SqlServerScratch(away.access, "test", dict)
        place.restore()
        workspaces = list((place.directory / "scratch").iterdir())
        away.server.stop()
        place.end_kept()
        assert list((place.directory / "scratch").iterdir()) == workspaces
        place.back_up()


# --- any minute in between ---


def test_every_instant_between_two_logs_comes_back_just_as_it_was(place: SqlServerPlace) -> None:
    place.note(101)
    place.back_up()
    instants = [place.note(102)]
    place.ship()
    instants += [place.note(103), place.note(104)]
    idle = place.now()
    shipped = place.ship()
    assert shipped.until is not None
    (window,) = times(place)
    assert window.until == shipped.until
    assert place.notes(place.restore(at=instants[0].isoformat())) == [101, 102]
    assert place.notes(place.restore(at=instants[1].isoformat())) == [101, 102, 103]
    # nothing was committed after this one, and the server alone would call it out of reach
    assert place.notes(place.restore(at=idle.isoformat())) == [101, 102, 103, 104]
    with pytest.raises(PointNotFoundError, match="cannot be reached; what can be: main from"):
        place.restore(at=(place.now() + timedelta(hours=1)).isoformat())
    second = place.database.commits[-2].lsn
    assert place.notes(place.restore(at=f"lsn:{second}")) == [101, 102, 103]
    assert place.left() == []


def test_a_time_that_no_log_comes_to_is_never_called_reached(place: SqlServerPlace) -> None:
    """Whoever chose the logs was wrong, or a clock was: the restore itself must not go as far as it gets."""
    place.note(101)
    place.back_up()
    member = find(place.repository, place.bench.catalog, "his").points[0].point.members[0]
    later = (place.now() + timedelta(seconds=5)).isoformat()
    wanted = (RecoveryTarget("time", later), RecoveryTarget("position", f"lsn:{place.database.lsn + 10**6}"))
    for number, target in enumerate(wanted):
        with place.bench.scratch.open(f"R-{number}", 0) as workspace:
            staged = workspace.stage("main")
            fetch(place.bench, place.wired, member, staged)
            instance = workspace.start(replace(place.engine.recipe(member.facts), target=target))
            with pytest.raises(LoadError, match=f"the logs end before {target.kind}"):
                place.engine.load(staged, instance, lambda _share, _word: None)


def test_a_log_before_the_first_full_backup_is_refused_in_words(place: SqlServerPlace) -> None:
    with pytest.raises(SourceError, match="no full backup yet that a log could follow"):
        place.ship()


def times(place: SqlServerPlace) -> tuple[Window, ...]:
    found = find(place.repository, place.bench.catalog, "his")
    return windows(found.points, log_ranges(place.repository, "his", "main"), "main")


def test_an_idle_database_still_reaches_a_later_time(place: SqlServerPlace) -> None:
    place.back_up()
    first, second = place.ship().until, place.ship().until
    assert first is not None
    assert second is not None
    assert second > first
    (window,) = times(place)
    assert window.until == second


def test_a_log_that_somebody_else_took_is_found_when_it_happens_and_parts_the_window(place: SqlServerPlace) -> None:
    place.back_up()
    place.ship()
    before = place.note(102)
    take_away_log(place)
    lost = place.note(103)
    with pytest.raises(SourceError, match=r"backed up by somebody else: /other/stolen\.trn by SA"):
        place.ship()
    assert len(times(place)) == 1
    for at in (before, lost):
        with pytest.raises(PointNotFoundError, match="cannot be reached"):
            place.restore(at=at.isoformat())
    place.back_up()
    after = place.note(104)
    place.ship()
    assert len(times(place)) == 2
    assert place.notes(place.restore(at=after.isoformat())) == [102, 103, 104]


def take_away_log(place: SqlServerPlace) -> None:
    database = place.database
    header = {"DatabaseName": database.name, "BackupType": 2, "FirstLSN": database.log_start, "LastLSN": database.lsn}
    place.source.store.history.append(
        {
            **header,
            "IsCopyOnly": False,
            "BackupStartDate": place.source.store.now(),
            "user": "SA",
            "path": "/other/stolen.trn",
        }
    )
    database.log_start = database.lsn


def test_a_log_that_a_killed_call_left_behind_is_taken_up_by_the_next(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.server.faults.append(Fault(r"VERIFYONLY", "drop"))
    with pytest.raises(SourceError):
        place.ship()
    # the server has given this piece of its log away, and drmgr must not throw it after
    assert [name.endswith(".trn") for name in place.left()] == [True]
    assert place.ship().files == 2
    assert place.left() == []
    assert place.notes(place.restore(at=at.isoformat())) == [102]


def test_half_a_log_is_thrown_away_for_the_server_still_has_it(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.server.faults.append(Fault(r"BACKUP LOG \[", "drop", after=2))
    with pytest.raises(SourceError, match="the connection to the server broke"):
        place.ship()
    assert place.ship().files == 1
    assert place.notes(place.restore(at=at.isoformat())) == [102]


def test_a_database_that_was_set_back_has_begun_another_life(place: SqlServerPlace) -> None:
    place.back_up()
    place.ship()
    place.database.fork = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(SourceError, match="has begun another life"):
        place.ship()


def test_a_clock_that_was_set_back_makes_times_mean_two_things(place: SqlServerPlace) -> None:
    place.back_up()
    at = place.note(102)
    place.source.store.offset = timedelta(hours=9)
    try:
        place.ship()
        with pytest.raises(LoadError, match="clock was set to another time"):
            place.restore(at=at.isoformat())
        assert place.notes(place.restore(at=f"lsn:{place.database.commits[-1].lsn}")) == [102]
    finally:
        place.source.store.offset = timedelta(hours=8)


def test_a_database_without_log_says_so_when_it_is_to_be_shipped(servers: tuple[StandIn, StandIn]) -> None:
    with new_place(servers, database={"model": "SIMPLE"}) as place:
        place.back_up()
        with pytest.raises(PreflightError, match="has no log to ship"):
            place.ship()


# --- preflight ---


def test_preflight_names_what_is_wrong(place: SqlServerPlace, tmp_path: Path) -> None:
    store, database = place.source.store, place.database
    place.engine.preflight()

    def refused(message: str, engine: SqlServerEngine | None = None) -> None:
        with pytest.raises(PreflightError, match=message):
            (engine or place.engine).preflight()

    store.rights.update(backup_database=0, create_any_database=0)
    refused("lacks 2 rights: BACKUP DATABASE on the database; CREATE ANY DATABASE")
    store.rights.clear()
    database.preferred = 0
    refused("not the one that the availability group of")
    database.preferred, database.state = 1, "SUSPECT"
    refused("is suspect, not online")
    database.state = "ONLINE"
    for name, value, message in (
        ("version", "11.0.7507.2", "older than 2014"),
        ("engine_edition", 5, "takes its own backups"),
    ):
        right = getattr(store, name)
        setattr(store, name, value)
        refused(message)
        setattr(store, name, right)
    elsewhere = replace(place.source.access.share, local=tmp_path)
    refused("does not see in /backups", engine_on(place, share=elsewhere))
    refused("cannot be written", engine_on(place, share=replace(elsewhere, local=tmp_path / "nowhere")))
    refused("does not let user drmgr into the database nothing", engine_on(place, database="nothing"))
    bad = replace(place.source.access.server, password=Secret("wrong"))
    refused("refused the password of user drmgr", engine_on(place, server=bad))
    # after a bad password the client library still holds its number
    refused("no database server answers", engine_on(place, server=replace(bad, port=1)))
    refused("cannot be resolved", engine_on(place, server=replace(bad, host="nowhere.invalid")))
    place.engine.preflight()


def engine_on(place: SqlServerPlace, **changes: object) -> SqlServerEngine:
    access = place.source.access
    found = {"server": access.server, "database": place.database.name, "share": access.share} | changes
    connection = SqlServerConnection(**found)  # type: ignore[arg-type]
    return SqlServerEngine("his", connection, clock=place.clock, runtime=place.directory / "runtime")


# --- the way to the server ---


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, place: SqlServerPlace) -> None:
    monkeypatch.setattr(mssql, "LOGIN_SECONDS", 1)
    quick = replace(place.source.access.server, silence=1)
    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "silence", after=2))
    with pytest.raises(SourceError, match="the server fell silent"), engine_on(place, server=quick).capture():
        pass
    assert place.left() == []
    place.source.server.mute = True
    try:
        with pytest.raises(PreflightError, match="did not answer within 1 s"):
            engine_on(place, server=quick).preflight()
    finally:
        place.source.server.mute = False


def test_a_signal_ends_the_backup_on_the_server_too(place: SqlServerPlace) -> None:
    class Stop(BaseException):
        pass

    def stop(*_arguments: object) -> None:
        raise Stop

    number = len(place.source.server.logins)
    statement = (
        f"/* drmgr: backup */ BACKUP DATABASE [{place.database.name}] TO DISK = N'/backups/x.bak' "
        "WITH FORMAT, NAME = N'x', DESCRIPTION = N'y'"
    )
    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "wait", after=2))
    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Stop):
            act(place.source.access.server, statement, lambda _text: None)
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)
    session = place.source.server.logins[number]
    assert f"KILL {session.number}" in place.source.server.statements
    assert session.killed.is_set()


def test_the_server_proves_who_it_is_when_that_is_asked(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with stand_in(tmp_path / "tls", certificate=certificate) as secure, stand_in(tmp_path / "open") as plain:
        good = replace(secure.access.server, tls="verify", ca=tmp_path / "ca.pem")
        connect(good).close()
        assert secure.server.logins[-1].secure
        (tmp_path / "other").mkdir()
        make_certificate(tmp_path / "other")
        refused: list[Server] = [
            replace(good, ca=tmp_path / "other" / "ca.pem"),
            replace(plain.access.server, tls="require"),
        ]
        for server in refused:
            with pytest.raises(Complaint):
                connect(server)
        assert plain.server.logins == []


@contextmanager
def writing(place: SqlServerPlace) -> Iterator[None]:
    """A row is committed between the full backup and the log of a point."""

    def write(_text: str) -> None:
        place.source.store.change(
            place.database.name,
            lambda tables: tables.update(
                {"dbo.queue": appended(tables["dbo.queue"], (len(tables["dbo.queue"].rows),))}
            ),
        )

    with watching(place.source, r"BACKUP LOG \[", write):
        yield


@contextmanager
def watching(server: StandIn, pattern: str, act: object) -> Iterator[None]:
    """Acts when a statement that matches is under way."""
    server.server.watchers.append((pattern, act))  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.server.watchers.clear()
