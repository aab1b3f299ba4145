"""SQL Server's backups: chains of them, and backups that were none. On the stand-in."""

from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.errors import (
    DrmgrError,
    SourceError,
)
from drmgr.flows.bringback import fetch
from drmgr.flows.points import find
from drmgr.model import Level
from tests.contract.sqlserver.conftest import new_place, take_away_log, watching, writing
from tests.support.sqlserver import StandIn, engine_of
from tests.support.sqlserver_place import SqlServerPlace, passed
from tests.support.tds.server import Fault


def test_a_point_is_a_full_backup_and_the_log_to_the_facts_and_leaves_nothing_behind(place: SqlServerPlace) -> None:
    made = place.back_up()
    facts = made.point.members[0].facts
    assert facts.groups["origin"]["backups"] == ["full", "log"]
    assert facts.groups["moving"] == {}
    assert place.left() == []
    done = place.restore()
    assert passed(done, Level.FACTS)
    versions = made.point.members[0].versions
    assert versions == done.outcome.origin.into["main"]
    assert set(versions) == {"server"} and versions["server"].startswith(f"{facts.groups['origin']['version']}.")
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
        (base,) = place.source.folder.local.glob("*.bak")
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
    server, path = place.source.access.server, place.source.folder.path("naive.bak")
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
    for path in place.source.folder.local.glob("*.bak"):
        path.write_bytes(path.read_bytes().replace(b'"BackupName": "drmgr ', b'"BackupName": "other '))


def test_leftovers_of_a_killed_backup_are_removed_by_the_next(place: SqlServerPlace) -> None:
    place.back_up()
    name = f"{place.engine.plan.prefix('point')}-20260101T000000Z-00000000.bak"
    place.source.folder.path(name).write_bytes(b"half a backup")
    stranger = place.source.folder.path("drmgr-other-point.bak")
    stranger.write_bytes(b"another's")
    place.back_up()
    assert place.left() == [stranger.name]
