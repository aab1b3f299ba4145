"""SQL Server brought back: what is damaged, too large, or somebody else's. On the stand-in."""

from dataclasses import replace

import pytest

from drmgr.errors import (
    DrmgrError,
    LoadError,
    NotAllowedError,
    ScratchError,
)
from drmgr.model import CheckStatus
from drmgr.scratch.sqlserver import SqlServerScratch
from tests.contract.sqlserver.conftest import new_place, watching, writing
from tests.support.folders import passable_directory
from tests.support.sqlserver import StandIn, server_identity, stand_in
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.server import Fault


@pytest.mark.parametrize("ending", ["bak", "trn"])
def test_one_flipped_byte_fails_the_restore(place: SqlServerPlace, ending: str) -> None:
    with writing(place):
        place.back_up()

    def flip(_text: str) -> None:
        (path,) = place.scratch.folder.local.glob(f"*.{ending}")
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
