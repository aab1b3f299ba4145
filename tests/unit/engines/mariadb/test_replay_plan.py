"""Where a replay stops, and which logs it refuses: on logs made by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from drmgr.engines.mariadb.binlog import MAGIC, Place, Reader
from drmgr.engines.mariadb.replay_plan import Plan, Planner, Start
from drmgr.errors import LoadError, SourceError
from drmgr.model import RecoveryTarget
from tests.support.binlogs import Binlog


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files: transactions 2 to 4 in the first, none in the second, 5 and a domain of its own in the third."""
    first = Binlog(1000, ("0-7-1",))
    for number, at in ((2, 1010), (3, 1020), (4, 1030)):
        first.rows(number, at)
    second = Binlog(1040, ("0-7-4",)).close(1050)
    third = Binlog(1050, ("0-7-4",))
    third.rows(1, 1055, domain=3)
    third.rows(5, 1060)
    logs = (first.close(1040), second, third.close(1070))
    return [log.write(tmp_path, number) for number, log in enumerate(logs, start=1)]


def plan(
    files: list[Path], kind: Literal["time", "name", "position"], value: str, *, start: int = 0, gtid: str = "0-7-1"
) -> Plan:
    offset = start or next(iter(Reader(files[0]).groups())).start
    return Planner(Start(Place(1, offset), gtid), RecoveryTarget(kind, value), None).plan(files)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.mark.parametrize(
    ("kind", "value", "gtid", "transactions"),
    [
        ("time", at(1010), "0-7-1", 0),
        ("time", at(1020), "0-7-2", 1),
        # a whole second: what was committed in it may be before or after
        ("time", at(1020.9), "0-7-2", 1),
        ("time", at(1021), "0-7-3", 2),
        ("time", at(1040), "0-7-4", 3),
        ("time", at(1056), "0-7-4,3-7-1", 4),
        ("time", at(1070), "0-7-5,3-7-1", 5),
        ("name", "0-7-1", "0-7-1", 0),
        ("name", "0-7-3", "0-7-3", 2),
        ("name", "3-7-1", "0-7-4,3-7-1", 4),
        ("position", "log.000001:999999", "0-7-4", 3),
        ("position", "log.000002:4", "0-7-4", 3),
    ],
)
def test_a_replay_stops_at_its_target(
    files: list[Path], kind: Literal["time", "name", "position"], value: str, gtid: str, transactions: int
) -> None:
    reached = plan(files, kind, value).reached
    assert reached is not None
    assert (reached.gtid, reached.transactions) == (gtid, transactions)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("time", at(1071)), ("name", "0-7-6"), ("name", "0-8-5"), ("name", "nonsense"), ("position", "log.000003:99999")],
)
def test_a_target_after_the_log_is_an_error(
    files: list[Path], kind: Literal["time", "name", "position"], value: str
) -> None:
    with pytest.raises(LoadError, match="the log ends before"):
        plan(files, kind, value)


def test_a_place_inside_a_transaction_stops_before_it(files: list[Path]) -> None:
    second = list(Reader(files[0]).groups())[1]
    reached = plan(files, "position", f"log.000001:{second.end - 1}").reached
    assert reached is not None
    assert reached.gtid == "0-7-2"
    with pytest.raises(LoadError, match="before the backup itself"):
        plan(files, "position", f"log.000001:{second.start}", start=second.end, gtid="0-7-3")
    with pytest.raises(LoadError, match="is not in that file"):
        plan(files, "time", at(1070), start=second.start + 1, gtid="0-7-2")


def test_a_log_that_is_not_whole_or_not_ours_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="not that of the backup: it stands at 0-7-1 there, and the backup at 0-9-1"):
        plan(files, "time", at(1070), gtid="0-9-1")
    with pytest.raises(LoadError, match="binary log 2 is missing: after it comes 3"):
        plan([files[0], files[2]], "time", at(1070))
    with pytest.raises(LoadError, match="binary log 1 is missing"):
        Planner(Start(Place(1, 300), "0-7-1"), RecoveryTarget("time", at(1070))).plan(files[1:])
    again = Binlog(1050, ("0-7-9",)).close(1070).write(tmp_path, 3)
    with pytest.raises(LoadError, match=r"log\.000003 does not go on where the one before it ended"):
        plan([files[0], files[1], again], "time", at(1070))


def test_what_a_crashed_server_left_unfinished_is_not_replayed(tmp_path: Path) -> None:
    crashed = Binlog(1000, ("0-7-1",))
    start = crashed.rows(2, 1010)
    whole = len(crashed.content)
    crashed.rows(3, 1020)
    crashed.content = crashed.content[: crashed.content.rindex(b"his") + 7 + 4]
    after = Binlog(1040, ("0-7-2",))
    after.rows(3, 1045)
    paths = [crashed.write(tmp_path, 1), after.close(1050).write(tmp_path, 2)]
    reached = plan(paths, "time", at(1050), start=start).reached
    assert reached is not None
    assert (reached.gtid, reached.transactions) == ("0-7-3", 2)
    assert whole < paths[0].stat().st_size


def test_each_flipped_byte_and_each_cut_is_found(tmp_path: Path) -> None:
    log = Binlog(1000, ("0-7-1",))
    log.rows(2, 1010)
    log.close(1020)
    in_use = len(MAGIC) + 17
    # the server's own mark of a file that it writes still is the one bit that tells nothing
    for place in (each for each in range(len(log.content)) if each != in_use):
        damaged = bytearray(log.content)
        damaged[place] ^= 1
        (tmp_path / "log.000001").write_bytes(bytes(damaged))
        with pytest.raises(SourceError):
            list(Reader(tmp_path / "log.000001").groups())
    for end in (0, 3, 4, 10, 40, len(log.content) - 1):
        (tmp_path / "log.000001").write_bytes(log.content[:end])
        with pytest.raises(SourceError):
            list(Reader(tmp_path / "log.000001").groups())


@pytest.mark.parametrize(
    ("given_in", "text", "stops"),
    [
        ("his", "ALTER TABLE t ADD x int", False),
        ("other", "ALTER TABLE his.t ADD x int", True),
        ("", "DROP TABLE `his`.`t`", True),
        ("other", "CREATE TABLE history (n int)", False),
        ("mysql", "GRANT SELECT ON his.* TO a@b", False),
        ("mysql", "create table HIS.x like y", True),
    ],
)
def test_a_dump_is_not_carried_past_what_may_change_it_from_elsewhere(
    tmp_path: Path, given_in: str, text: str, stops: bool
) -> None:
    log = Binlog(1000, ("0-7-1",))
    start = log.rows(2, 1010)
    log.rows(3, 1012, database="other")
    log.statement(4, 1015, text, given_in)
    path = log.close(1030).write(tmp_path, 1)
    planner = Planner(Start(Place(1, start), "0-7-1"), RecoveryTarget("time", at(1030)), "his")
    if stops:
        with pytest.raises(LoadError, match="cannot be replayed past it"):
            planner.plan([path])
    else:
        made = planner.plan([path])
        assert (made.least, made.most) == ({0: 2}, {0: 4})
