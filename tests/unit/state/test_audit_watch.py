"""The audit log under watch: what is done to it shows at the next look, which is quick."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drmgr.errors import EvidenceError
from drmgr.state.audit import AuditLog
from drmgr.state.audit_verify import AuditVerdict
from drmgr.state.audit_watch import EVERY_TIME, AuditWatch
from tests.support.audit_log import KEY, LENGTH, heads, lines_of, log, log_in, put, reasons, remembered, write
from tests.support.fake_audit import FakeHeads

__all__ = ["heads", "log"]

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


def note_of(log: AuditLog) -> Path:
    return log.path.with_name("proven.json")


def look(log: AuditLog, heads: FakeHeads, *, hours: float = 0, every_time: int = EVERY_TIME) -> AuditVerdict:
    watch = AuditWatch(log.path, note_of(log), KEY, every_time)
    return watch.look(remembered(heads), NOW + timedelta(hours=hours))


def test_a_log_that_grows_is_sound_at_each_look(log: AuditLog, heads: FakeHeads) -> None:
    for lines in (LENGTH, LENGTH, LENGTH + 2):
        write(log, lines - len(lines_of(log)))
        found = look(log, heads)
        assert (found.ok, found.lines) == (True, lines)
        assert found.head == heads.audit_head("backup-1")


def test_what_was_proven_is_not_verified_line_by_line_again(log: AuditLog, heads: FakeHeads) -> None:
    with log.path.open("ab") as file:
        file.write(b'{"act":')
    write(log)
    # the line that tells of a torn one is noted whenever it is read
    assert len(look(log, heads).notes) == 1
    write(log)
    assert look(log, heads).notes == []


def edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"his"', b'"lis"'), *lines[2:]]


@pytest.mark.parametrize("grown", [0, 2])
@pytest.mark.parametrize(
    "change",
    [
        edited,
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: lines[:-1],
        lambda lines: lines[:4],
        lambda lines: [],
        lambda lines: [*lines, lines[-1]],
    ],
)
@pytest.mark.parametrize("lose_note", [False, True])
def test_every_change_shows_at_once_and_again(
    log: AuditLog,
    heads: FakeHeads,
    change: Callable[[list[bytes]], list[bytes]],
    grown: int,
    *,
    lose_note: bool,
) -> None:
    assert look(log, heads).ok
    write(log, grown)
    put(log, change(lines_of(log)))
    if lose_note:
        note_of(log).unlink()
    first = look(log, heads)
    assert not first.ok
    assert first.findings
    write(log)
    assert not look(log, heads, hours=48).ok


def test_a_log_that_was_put_back_with_its_head_in_the_catalog_shows_by_the_note(tmp_path: Path) -> None:
    heads = FakeHeads()
    log = log_in(tmp_path, heads)
    write(log, 3)
    older, head = lines_of(log), heads.audit_head("backup-1")
    write(log, 3)
    assert look(log, heads).ok
    put(log, older)
    assert head is not None
    heads.remember_audit_head("backup-1", head)
    assert "which the note of 2026-11-27" in reasons(look(log, heads))[0]


def test_a_log_that_is_gone_shows(log: AuditLog, heads: FakeHeads) -> None:
    look(log, heads)
    log.path.unlink()
    assert not look(log, heads).ok


@pytest.mark.parametrize("forged", [b"{}", b"", b"not JSON"])
def test_a_note_that_another_wrote_is_not_believed(log: AuditLog, heads: FakeHeads, forged: bytes) -> None:
    look(log, heads)
    put(log, edited(lines_of(log)))
    note_of(log).write_bytes(forged)
    assert not look(log, heads).ok


def test_a_note_moved_beyond_a_change_by_another_key_is_not_believed(log: AuditLog, heads: FakeHeads) -> None:
    put(log, edited(lines_of(log)))
    other = Ed25519PrivateKey.generate()
    AuditWatch(log.path, note_of(log), other).look([], NOW)
    assert json.loads(note_of(log).read_bytes())["before"]["size"] > 0
    assert not look(log, heads).ok


def test_a_long_log_is_read_as_a_whole_once_an_hour(log: AuditLog, heads: FakeHeads) -> None:
    assert look(log, heads, every_time=0).ok
    put(log, edited(lines_of(log)))
    assert look(log, heads, every_time=0, hours=0.9).ok
    assert not look(log, heads, every_time=0, hours=1).ok
    assert not look(log, heads, every_time=0, hours=1).ok


def test_a_clock_that_was_ahead_does_not_put_the_reading_off(log: AuditLog, heads: FakeHeads) -> None:
    look(log, heads, every_time=0, hours=48)
    put(log, edited(lines_of(log)))
    assert not look(log, heads, every_time=0).ok


def test_a_line_that_is_being_written_is_none_yet(log: AuditLog, heads: FakeHeads) -> None:
    look(log, heads)
    with log.path.open("ab") as file:
        file.write(b'{"act":')
    assert look(log, heads).ok
    write(log)
    assert look(log, heads).ok


def test_a_note_that_cannot_be_written_is_told(log: AuditLog, heads: FakeHeads) -> None:
    note_of(log).mkdir()
    with pytest.raises(EvidenceError):
        look(log, heads)


def test_a_fault_is_counted_once_however_often_it_is_looked_at(log: AuditLog, heads: FakeHeads) -> None:
    write(log, 3)
    look(log, heads)
    put(log, lines_of(log)[:-1])
    assert [look(log, heads, hours=hours).faults for hours in (1, 2, 3)] == [1, 1, 1]
    # the next line shows that one is missing, and the end is what it should be
    write(log)
    assert [look(log, heads, hours=hours).faults for hours in (4, 5)] == [1, 1]


def test_what_was_accepted_is_at_rest_until_something_else_is_done(log: AuditLog, heads: FakeHeads) -> None:
    write(log, 5)
    look(log, heads)
    put(log, edited(lines_of(log)))
    assert not look(log, heads).at_rest
    accepted = AuditWatch(log.path, note_of(log), KEY).accept(remembered(heads), NOW)
    assert (accepted.ok, accepted.at_rest) == (False, True)
    write(log)
    assert look(log, heads, hours=1).at_rest
    put(log, lines_of(log)[:-1])
    cut = look(log, heads, hours=2)
    assert not cut.at_rest and "cut off" in cut.findings[-1].reason
