"""A SQL Server database in its own place: beside, proven, two renames. On the stand-in."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.errors import DrmgrError, InUseError, PointNotFoundError, PreflightError, ScratchError, SourceError
from drmgr.model import SwapPhase, Verdict
from drmgr.system import mssql
from drmgr.system.mssql import Complaint, Session
from tests.contract.sqlserver.conftest import watching
from tests.contract.sqlserver.inplace_ground import GOOD, SPOILT, Ground, new_ground
from tests.support.sqlserver import USER
from tests.support.sqlserver_place import SqlServerPlace
from tests.support.tds.server import Fault
from tests.support.tds.store import Standing


@pytest.fixture
def ground() -> Iterator[Ground]:
    with new_ground() as made:
        yield made


def swapped(ground: Ground) -> str:
    """The run's id as names hold it."""
    assert ground.rows() == GOOD
    return ground.swap().run.lower()


def test_a_database_is_swapped_and_put_back(ground: Ground) -> None:
    before = ground.store.databases[ground.name]
    done = ground.restore()
    run = swapped(ground)
    assert (done.outcome.verdict, done.by_hand, ground.swap().phase) == (Verdict.PASSED, (), SwapPhase.SWAPPED)
    names = [check.name for check in done.outcome.checks]
    assert names.index("facts-main") < names.index("integrity-main@original")
    checked = [text for text in ground.place.source.server.statements if "CHECKDB" in text]
    assert [f"{ground.name}_restored_{run}" in text for text in checked] == [True, False]
    assert ground.store.databases[f"{ground.name}_before_{run}"] is before
    # beside one another on the disks where the hospital put them, by names that only this run has
    assert ground.store.databases[ground.name].files == {
        ground.name: f"D:\\data\\{ground.name}_restored_{run}_1.mdf",
        f"{ground.name}_log": f"E:\\log\\{ground.name}_restored_{run}_2.ldf",
    }
    ground.undo()
    assert (ground.rows(), ground.rows(f"{ground.name}_restored_{run}")) == (SPOILT, GOOD)
    assert ground.names() == ["_restored"]
    # the restored one kept its files, and the next restore does not stumble over them
    again = ground.restore()
    assert (again.outcome.verdict, ground.rows(), ground.names()) == (Verdict.PASSED, GOOD, ["_before", "_restored"])
    assert ground.place.left() == []


def test_what_a_restore_resets_is_as_it_was_on_both_ways(ground: Ground) -> None:
    given = Standing(access="RESTRICTED_USER", owner="his_owner", trustworthy=True, chaining=True, broker=True)
    ground.store.databases[ground.name].standing = replace(given)
    ground.restore()
    run = swapped(ground)
    assert ground.standing() == given
    # messages would be answered twice
    assert ground.standing(f"{ground.name}_before_{run}") == replace(given, broker=False)
    ground.undo()
    assert ground.standing() == given
    assert ground.standing(f"{ground.name}_restored_{run}") == replace(given, broker=False)


def test_what_was_off_stays_off(ground: Ground) -> None:
    given = Standing(broker=False)
    ground.store.databases[ground.name].standing = replace(given)
    ground.restore()
    assert ground.standing() == given
    assert not [text for text in ground.place.source.server.statements if "_BROKER" in text or "TRUSTWORTHY ON" in text]


def test_an_empty_place_gets_the_owner_of_the_backup(ground: Ground) -> None:
    ground.store.databases[ground.name].standing.owner = "his_owner"
    ground.place.back_up()
    del ground.store.databases[ground.name]
    ground.restore()
    assert (ground.names(), ground.standing().owner) == ([], "his_owner")
    ground.undo()
    assert (list(ground.store.databases), ground.names()) == (
        [f"{ground.name}_restored_{ground.swap().run.lower()}"],
        ["_restored"],
    )


def test_people_are_told_who_cannot_come_in_and_what_could_not_be_given_back(ground: Ground) -> None:
    ground.store.databases[ground.name].users = ("reader", "o'ld ]user")
    ground.store.databases[ground.name].standing.owner = "left_us"
    ground.place.back_up()
    done = ground.restore()
    expected = (
        f"USE [{ground.name}]; ALTER USER [o'ld ]]user] WITH LOGIN = [o'ld ]]user]",
        f"ALTER AUTHORIZATION ON DATABASE::[{ground.name}] TO [left_us]",
    )
    assert (done.outcome.verdict, done.by_hand) == (Verdict.PASSED, expected)
    ground.store.logins |= {"left_us", "o'ld ]user"}
    ground.standing().owner = "left_us"
    assert ground.finish().by_hand == ()


def test_nobody_is_cut_off_unasked(ground: Ground) -> None:
    with ground.somebody() as session:
        with pytest.raises(InUseError, match="1 sessions or programs work in main"):
            ground.restore()
        assert (ground.rows(), ground.names()) == (SPOILT, [])
        assert session.row(mssql.ENTERED)["entered"] == ground.name
        ground.restore(end_sessions=True)
        with pytest.raises(Complaint):
            session.row(mssql.ENTERED)
    assert (ground.rows(), ground.standing().access) == (GOOD, "MULTI_USER")
    with ground.somebody(), pytest.raises(InUseError):
        ground.undo()
    with ground.somebody():
        ground.undo(force=True)
    assert ground.rows() == SPOILT


def test_who_comes_in_the_last_moment_keeps_the_names_as_they_are(ground: Ground) -> None:
    """Between the look at the sessions and the shut door: the server itself refuses to shut it."""
    source = ground.place.source
    came: list[Session] = []

    def come(_text: str) -> None:
        came.append(mssql.connect(source.access.server, ground.name))
        source.server.watchers.clear()

    with watching(source, r"SET SINGLE_USER WITH NO_WAIT", come), pytest.raises(InUseError) as told:
        ground.restore()
    assert "--finish" in told.value.hint
    assert (ground.swap().phase, ground.rows(), ground.standing().access) == (SwapPhase.PROVEN, SPOILT, "MULTI_USER")
    came[0].close()
    assert ground.finish().outcome.verdict is Verdict.PASSED
    assert ground.rows() == GOOD


@pytest.mark.parametrize("damage", ["facts", "integrity", "load"])
def test_what_is_not_proven_touches_nothing(ground: Ground, damage: str) -> None:
    source, before = ground.place.source, ground.store.databases[ground.name]
    given = replace(before.standing)

    def spoil(_text: str) -> None:
        for name, database in ground.store.databases.items():
            if name != ground.name:
                database.damaged = damage == "integrity"
                if damage == "facts":
                    database.tables.pop("dbo.odd ]name", None)

    if damage == "load":
        source.server.faults.append(Fault("drmgr: recover", "quiet"))
        with pytest.raises(DrmgrError, match="does not say that it did"):
            ground.restore()
    else:
        with watching(source, r"HASHBYTES|CHECKDB", spoil):
            assert ground.restore().outcome.verdict is not Verdict.PASSED
    assert (ground.swap().phase, list(ground.store.databases)) == (SwapPhase.DROPPED, [ground.name])
    assert (ground.store.databases[ground.name], before.standing, ground.rows()) == (before, given, SPOILT)
    assert not [text for text in source.server.statements if "MODIFY NAME" in text or f"[{ground.name}] SET" in text]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grouped": True}, "availability group"),
        ({"mirrored": True}, "mirrored"),
        ({"replicated": True}, "published by replication"),
        ({"subscribed": True}, "subscribes to another one"),
        ({"capturing": True}, "CDC"),
        ({"snapshots": 2}, "snapshots"),
        ({"access": "SINGLE_USER"}, "single-user mode"),
    ],
)
def test_what_cannot_be_set_aside_is_named_before_anything_is_done(
    ground: Ground, change: dict[str, object], said: str
) -> None:
    ground.store.databases[ground.name].standing = replace(Standing(), **change)  # type: ignore[arg-type]
    refused(ground, said)


def test_a_suspect_database_and_a_lesser_account_are_refused(ground: Ground) -> None:
    ground.store.databases[ground.name].state = "SUSPECT"
    assert "sp_detach_db" in refused(ground, "is suspect")
    ground.store.databases[ground.name].state = "ONLINE"
    ground.store.lesser.add(USER)
    assert "restore.through" in refused(ground, "may not set the database")


def refused(ground: Ground, said: str) -> str:
    """The hint; nothing was written on the server or on this host."""
    with pytest.raises(PreflightError, match=said) as told:
        ground.restore()
    acts = ("RESTORE DATABASE", "ALTER", "DROP", "KILL")
    sent = [text.partition("*/")[2].lstrip() or text for text in ground.place.source.server.statements]
    assert not [text for text in sent if text.startswith(acts)]
    assert (ground.rows(), ground.names(), ground.target.book.all()) == (SPOILT, [], [])
    return told.value.hint


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(ground: Ground) -> None:
    size = ground.store.database_bytes
    ground.store.volumes = {"D:\\": size, "E:\\": 10**9}
    with pytest.raises(
        ScratchError, match=rf"needs {size + size // 10} bytes, and the server has {size} bytes free on D:"
    ):
        ground.restore()
    assert (ground.names(), ground.swap().phase) == ([], SwapPhase.DROPPED)
    ground.store.volumes = {"D:\\": 2 * size, "E:\\": 2000}
    ground.restore()
    assert ground.rows() == GOOD


def test_any_instant_in_between_comes_into_its_place(ground: Ground) -> None:
    place = ground.place
    at = place.note(667)
    place.note(668)
    place.ship()
    done = ground.restore(at.isoformat())
    assert (done.outcome.verdict, ground.rows()) == (Verdict.PASSED, [101, 666, 667])
    names = {check.name for check in done.outcome.checks}
    assert "target-main" in names and not [name for name in names if name.startswith("facts")]
    ground.undo()
    assert ground.rows() == [101, 666, 667, 668]


def test_an_instant_that_is_not_reached_touches_nothing(ground: Ground) -> None:
    ground.place.ship()
    at = ground.place.note(667)
    with pytest.raises(PointNotFoundError, match="cannot be reached"):
        ground.restore(at.isoformat())
    ground.place.ship()
    # whoever chose the logs was wrong: the server itself does not come to that time
    ground.place.source.server.faults.append(Fault("RESTORE LOG", "quiet", times=9))
    with pytest.raises(DrmgrError, match="does not say that it did"):
        ground.restore(at.isoformat())
    assert (ground.rows(), ground.names()) == ([101, 666, 667], [])


@pytest.mark.parametrize("back", [False, True])
def test_the_backup_after_a_swap_is_a_full_one_and_no_log_is_chained_to_the_other_life(*, back: bool) -> None:
    """A differential may lie on the last full backup, which is that of another life by now: its fork says so."""
    with new_ground(full_every=timedelta(days=7)) as ground:
        place = ground.place
        place.ship()
        assert kinds(place) == ["full", "differential", "log"]
        place.note(667)
        ground.restore()
        lives(place, ground)
        with pytest.raises(SourceError, match="has begun another life"):
            place.ship()
        if back:
            assert kinds(place) == ["full", "log"]
            ground.undo()
            lives(place, ground)
            with pytest.raises(SourceError, match="has begun another life"):
                place.ship()
        assert kinds(place) == ["full", "log"]
        at = place.note(777)
        place.note(778)
        place.ship()
        assert place.notes(place.restore(at=at.isoformat())) == [*SPOILT, *([667] if back else []), 777]
        assert kinds(place) == ["full", "differential", "log"]


def lives(place: SqlServerPlace, ground: Ground) -> None:
    """The tests' own eye on the database follows the name."""
    place.database = ground.store.databases[ground.name]


def kinds(place: SqlServerPlace) -> list[str]:
    """What a point of now is made of."""
    return list(place.back_up().point.members[0].facts.groups["origin"]["backups"])
