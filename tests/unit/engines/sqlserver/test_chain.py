"""Which backups follow one another: by their numbers, whatever their files are called."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drmgr.engines.sqlserver.chain import chain_of, follows
from drmgr.engines.sqlserver.headers import Header, note_of, started_of
from drmgr.engines.sqlserver.load import _stop_text
from drmgr.errors import LoadError

FULL = Header(
    file="full",
    label="drmgr x",
    kind="full",
    database="his",
    family="f",
    fork="k",
    first=10,
    last=20,
    checkpoint=10,
    started=datetime(2026, 1, 5, tzinfo=UTC),
    set_id="s",
    base="",
    version=16,
    size=1,
    sound=True,
    copy_only=False,
)
DIFF = replace(FULL, file="diff", kind="differential", first=25, last=30, set_id="d", base="s")


def log(first: int, last: int, name: str = "", fork: str = "k") -> Header:
    return replace(FULL, file=name or f"{first}-{last}", kind="log", first=first, last=last, fork=fork)


def test_logs_are_put_in_order_and_those_that_bring_nothing_are_left_out() -> None:
    logs = [log(40, 50), log(5, 15), log(5, 30), log(30, 40), log(10, 20), log(28, 35)]
    chain = chain_of([*logs, FULL])
    assert [(each.first, each.last) for each in chain.logs] == [(5, 30), (28, 35), (30, 40), (40, 50)]
    assert chain.last == 50
    chain = chain_of([DIFF, *logs, FULL])
    assert [(each.first, each.last) for each in chain.logs] == [(28, 35), (30, 40), (40, 50)]
    assert chain_of([FULL]).last == 20


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([DIFF], "no full backup"),
        ([FULL, replace(FULL, file="other")], "2 full backups"),
        ([FULL, replace(FULL, kind="log", sound=False, file="bad")], "bad is damaged"),
        ([FULL, replace(DIFF, base="another")], "does not build upon full"),
        ([FULL, replace(log(20, 30, "strange"), family="g")], "strange is that of another database"),
        ([FULL, log(21, 30, "late")], "late begins at 21, and what comes before ends at 20"),
        ([FULL, log(10, 30), log(31, 40, "late")], "late begins at 31, and what comes before ends at 30"),
        ([FULL, log(10, 30, "other-life", fork="l")], "other-life belongs to another life"),
    ],
)
def test_a_break_is_named(headers: list[Header], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        chain_of(headers)


def test_a_log_follows_when_it_begins_no_later_and_ends_no_earlier() -> None:
    assert follows(FULL, log(20, 20))
    assert follows(FULL, log(1, 90))
    assert not follows(FULL, log(21, 90))
    assert not follows(FULL, log(1, 19))
    assert not follows(FULL, log(1, 90, fork="l"))


def test_a_header_says_when_it_was_begun_and_in_whose_time() -> None:
    note = note_of({"utc_now": datetime(2026, 1, 5, 1, 2, 3, 4), "utc_offset_minutes": 480})  # noqa: DTZ001 - as the server's type
    assert started_of(note).isoformat() == "2026-01-05T09:02:03.000004+08:00"
    for strange in (None, "", "nightly", "drmgr begun=x", f"{note} more"):
        with pytest.raises(ValueError, match="not a backup that drmgr made"):
            started_of(strange)


@pytest.mark.parametrize(
    ("microsecond", "text"), [(0, "000"), (3332, "000"), (3334, "003"), (6667, "007"), (9999, "007"), (999999, "997")]
)
def test_a_stop_is_never_rounded_beyond_its_target(microsecond: int, text: str) -> None:
    assert _stop_text(datetime(2026, 1, 5, 14, 3, 59, microsecond)) == f"2026-01-05T14:03:59.{text}"  # noqa: DTZ001
