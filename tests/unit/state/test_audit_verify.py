"""The audit log: whatever is done to it afterwards is found and named."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drmgr.errors import EvidenceError
from drmgr.model import AuditHead, AuditResult, Json
from drmgr.state.audit import AuditLog
from drmgr.state.audit_lines import Anchor
from drmgr.state.audit_verify import MOST_FINDINGS, verify
from tests.support.audit_log import (
    HOST,
    LENGTH,
    PUBLIC,
    heads,
    lines_of,
    log,
    log_in,
    put,
    reasons,
    remembered,
    write,
)
from tests.support.fake_audit import FakeHeads

__all__ = ["heads", "log"]


# --- every way to change it, at every place ---

PLACES = range(LENGTH)


def changed(line: bytes, **fields: Json) -> bytes:
    return json.dumps({**json.loads(line), **fields}, separators=(",", ":"), sort_keys=True).encode() + b"\n"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "edit",
    [
        lambda line: changed(line, why="nothing to see"),
        lambda line: changed(line, result="ok", act="drill"),
        lambda line: changed(line, sequence=3),
        lambda line: line.replace(b'"act"', b' "act"'),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: line.replace(b'"his"', b'"lis"'),
        lambda line: b"\n",
        lambda line: b"not JSON\n",
        lambda line: changed(line, signature="AAAA"),
        lambda line: changed(line, signature=None),
        lambda line: b"[" * 100_000 + b"\n",
    ],
)
def test_an_edited_line_is_named(log: AuditLog, heads: FakeHeads, place: int, edit: Callable[[bytes], bytes]) -> None:
    lines = lines_of(log)
    lines[place] = edit(lines[place])
    put(log, lines)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert [finding.line for finding in verdict.findings] == [place + 1], reasons(verdict)
    assert f"line {place + 1} is not sound" in reasons(verdict)[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("count", [1, 2])
def test_removed_lines_are_named(log: AuditLog, heads: FakeHeads, place: int, count: int) -> None:
    lines, last = lines_of(log), min(place + count, LENGTH)
    put(log, lines[:place] + lines[last:])
    verdict = verify(log.path, PUBLIC, remembered(heads))
    named = f"no. {place + 1} is missing" if last == place + 1 else f"no. {place + 1} to {last} are missing"
    assert len(verdict.findings) == 1
    assert named in reasons(verdict)[0]
    assert ("cut off" in reasons(verdict)[0]) == (last == LENGTH)


@pytest.mark.parametrize("place", range(LENGTH + 1))
@pytest.mark.parametrize("copied", [0, 4, LENGTH - 1])
def test_an_inserted_copy_of_a_line_is_named(log: AuditLog, heads: FakeHeads, place: int, copied: int) -> None:
    lines = lines_of(log)
    put(log, [*lines[:place], lines[copied], *lines[place:]])
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert len(verdict.findings) == 1
    # of two equal lines side by side the second is the copy
    assert verdict.findings[0].line == (place + 1 if place != copied else place + 2)
    if place < copied:
        assert f"is out of its place: no. {copied + 1} stands before no. {place + 1}" in reasons(verdict)[0]
    else:
        assert f"was inserted: no. {copied + 1} is there already" in reasons(verdict)[0]


@pytest.mark.parametrize("place", range(LENGTH + 1))
def test_an_inserted_line_that_drmgr_never_wrote_is_named(log: AuditLog, heads: FakeHeads, place: int) -> None:
    lines = lines_of(log)
    forged = changed(lines[3], sequence=place + 1, why="forged")
    put(log, [*lines[:place], forged, *lines[place:]])
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert [finding.line for finding in verdict.findings] == [place + 1], reasons(verdict)


@pytest.mark.parametrize("place", range(LENGTH - 1))
def test_two_lines_that_changed_places_are_named(log: AuditLog, heads: FakeHeads, place: int) -> None:
    lines = lines_of(log)
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    put(log, lines)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert len(verdict.findings) == 1, reasons(verdict)
    assert f"no. {place + 2} stands before no. {place + 1}" in reasons(verdict)[0]


@pytest.mark.parametrize(("origin", "to"), [(0, 5), (1, LENGTH - 1), (4, 6), (6, 1), (LENGTH - 1, 0), (5, 3)])
def test_a_line_moved_elsewhere_is_named(log: AuditLog, heads: FakeHeads, origin: int, to: int) -> None:
    lines = lines_of(log)
    lines.insert(to, lines.pop(origin))
    put(log, lines)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert [finding.line for finding in verdict.findings] == [to + 1], reasons(verdict)
    assert f"is out of its place: no. {origin + 1} stands" in reasons(verdict)[0]


def test_any_change_of_any_byte_is_found(log: AuditLog, heads: FakeHeads) -> None:
    whole, dice = log.path.read_bytes(), random.Random(5)
    for _ in range(150):
        place = dice.randrange(len(whole))
        log.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1 :])
        verdict = verify(log.path, PUBLIC, remembered(heads))
        at = whole.count(b"\n", 0, place) + 1
        assert not verdict.ok, place
        assert any(finding.line in {at, at + 1} for finding in verdict.findings), (place, reasons(verdict))


def test_a_line_signed_anew_by_a_thief_of_the_key_breaks_the_chain(log: AuditLog, tmp_path: Path) -> None:
    other = FakeHeads()
    stolen = log_in(tmp_path / "other", other)
    lines = lines_of(log)
    before = json.loads(lines[3])
    other.remember_audit_head(HOST, AuditHead(before["log"], 4, hashlib.sha256(lines[3][:-1]).hexdigest()))
    stolen.record("backup", "his", AuditResult.OK, why="as the thief would have it")
    put(log, [*lines[:4], *lines_of(stolen), *lines[5:]])
    verdict = verify(log.path, PUBLIC)
    assert "line 6 (no. 6) does not follow the line before it" in reasons(verdict)[0]


def test_another_key_proves_nothing(log: AuditLog) -> None:
    verdict = verify(log.path, Ed25519PrivateKey.generate().public_key())
    assert (verdict.faults, verdict.head) == (LENGTH, None)
    assert "signed by another key" in reasons(verdict)[0]


def test_no_more_findings_are_told_than_people_can_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"x\n" * (MOST_FINDINGS + 7))
    verdict = verify(path, PUBLIC)
    assert (len(verdict.findings), verdict.faults) == (MOST_FINDINGS, MOST_FINDINGS + 7)


# --- the end, which only the heads elsewhere can prove ---


def test_a_cut_off_end_shows_by_the_head_alone(log: AuditLog, heads: FakeHeads) -> None:
    put(log, lines_of(log)[:-3])
    assert verify(log.path, PUBLIC).ok
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert reasons(verdict) == [
        "the log was cut off or put back to an older one: no. 7 to 9 are missing, which the catalog knows"
    ]


def test_an_older_file_put_back_with_its_catalog_shows_by_the_anchor(tmp_path: Path, heads: FakeHeads) -> None:
    log = log_in(tmp_path, heads)
    write(log, 3)
    old_file, old_heads = log.path.read_bytes(), dict(heads.kept)
    write(log, 2)
    anchor = Anchor("the anchor of Monday", remembered(heads)[0].head)
    log.path.write_bytes(old_file)
    heads.kept = old_heads
    assert verify(log.path, PUBLIC, remembered(heads)).ok
    assert "which the anchor of Monday knows" in reasons(verify(log.path, PUBLIC, [*remembered(heads), anchor]))[0]
    # once the log has grown past the anchor again, the anchored line is another one
    write(log, 5)
    verdict = verify(log.path, PUBLIC, [*remembered(heads), anchor])
    assert reasons(verdict) == ["line 5 (no. 5) is not the one that the anchor of Monday holds"]


def test_a_cut_off_log_goes_on_so_that_the_cut_shows_for_ever(log: AuditLog, heads: FakeHeads) -> None:
    put(log, lines_of(log)[:-3])
    write(log, 2)
    # the head has moved on, and even a reader without any finds the hole
    assert reasons(verify(log.path, PUBLIC)) == ["no. 7 to 9 are missing from the log"]
    log.path.unlink()
    assert "no. 1 to 11 are missing" in reasons(verify(log.path, PUBLIC, remembered(heads)))[0]
    write(log)
    assert reasons(verify(log.path, PUBLIC)) == ["no. 1 to 11 are missing from the log"]


def test_an_edited_last_line_does_not_become_the_next_ones_base(log: AuditLog, heads: FakeHeads) -> None:
    lines = lines_of(log)
    put(log, [*lines[:-1], changed(lines[-1], why="edited")])
    write(log)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert [finding.line for finding in verdict.findings] == [LENGTH]
    heads.kept.clear()
    put(log, [*lines, b"rubbish\n"])
    with pytest.raises(EvidenceError, match="none that drmgr wrote"):
        write(log)


def test_the_log_of_another_site_is_not_taken_for_this_one(log: AuditLog, tmp_path: Path, heads: FakeHeads) -> None:
    other = log_in(tmp_path / "other", FakeHeads())
    write(other, LENGTH + 2)
    put(log, lines_of(other))
    assert "is not the one that the catalog holds" in reasons(verify(log.path, PUBLIC, remembered(heads)))[0]


def test_lines_of_another_log_are_named_behind_a_gap_too(log: AuditLog, tmp_path: Path) -> None:
    other = log_in(tmp_path / "other", FakeHeads())
    write(other, LENGTH)
    put(log, [*lines_of(log)[:3], *lines_of(other)[5:]])
    assert "line 5 is of another log" in reasons(verify(log.path, PUBLIC))


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="there is no audit log"):
        verify(tmp_path / "audit.jsonl", PUBLIC)
