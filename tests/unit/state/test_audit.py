"""The audit log: what is written can be read back, and whatever is done to it afterwards is found and named."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drmgr.errors import EvidenceError, KeystoreError
from drmgr.model import AuditHead, AuditResult, Json
from drmgr.state.audit import Actor, AuditLog
from drmgr.state.audit_lines import Anchor, anchor_bytes, anchor_name, read_anchor
from drmgr.state.audit_verify import MOST_FINDINGS, AuditVerdict, last_lines, verify
from drmgr.state.catalog import open_catalog
from drmgr.system.clock import SystemClock
from tests.support.fake_audit import FakeHeads

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
HOST = "backup-1"
LENGTH = 9


def log_in(directory: Path, heads: FakeHeads, key: Ed25519PrivateKey = KEY) -> AuditLog:
    return AuditLog(directory / "audit.jsonl", Actor("王工", HOST), lambda: key, heads, SystemClock())


def write(log: AuditLog, count: int = 1) -> None:
    for number in range(count):
        log.record("backup", "his", AuditResult.OK, run=f"run-{number}", detail={"point": "P", "parts": [number]})


@pytest.fixture
def heads() -> FakeHeads:
    return FakeHeads()


@pytest.fixture
def log(tmp_path: Path, heads: FakeHeads) -> AuditLog:
    """A log of nine lines."""
    made = log_in(tmp_path / "audit", heads)
    write(made, LENGTH)
    return made


def remembered(heads: FakeHeads) -> list[Anchor]:
    head = heads.audit_head(HOST)
    assert head is not None
    return [Anchor("the catalog", head)]


def lines_of(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def put(log: AuditLog, lines: list[bytes]) -> None:
    log.path.write_bytes(b"".join(lines))


def reasons(verdict: AuditVerdict) -> list[str]:
    return [finding.reason for finding in verdict.findings]


# --- writing ---


def test_a_line_says_who_what_why_and_how_it_went(tmp_path: Path, heads: FakeHeads) -> None:
    log = log_in(tmp_path, heads)
    log.record(
        "restore", "his", AuditResult.FAILED, why="服务器故障", run="R1", error="load", detail={"target": "scratch"}
    )
    content = json.loads(log.path.read_bytes())
    assert content["who"] == {"operator": "王工", "uid": os.getuid(), "host": HOST, "pid": os.getpid()}
    assert datetime.fromisoformat(content["at"]).tzinfo == UTC
    wanted = {
        "act": "restore",
        "system": "his",
        "result": "failed",
        "why": "服务器故障",
        "run": "R1",
        "error": "load",
        "detail": {"target": "scratch"},
        "sequence": 1,
        "previous": None,
    }
    assert {name: content[name] for name in wanted} == wanted
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert last_lines(log.path, 5) == [content]


def test_a_sound_log_verifies_and_names_its_head(log: AuditLog, heads: FakeHeads) -> None:
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert (verdict.ok, verdict.lines, verdict.notes) == (True, LENGTH, [])
    assert verdict.head == heads.audit_head(HOST)
    chained = [json.loads(line)["previous"] for line in lines_of(log)]
    assert chained[1:] == [hashlib.sha256(line[:-1]).hexdigest() for line in lines_of(log)[:-1]]
    assert [line["run"] for line in last_lines(log.path, 2)] == ["run-7", "run-8"]


def test_writers_at_the_same_time_make_one_chain(tmp_path: Path, heads: FakeHeads) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(log_in(tmp_path, heads), 4), range(8)))
    verdict = verify(tmp_path / "audit.jsonl", PUBLIC, remembered(heads))
    assert (verdict.ok, verdict.lines) == (True, 32)


def test_a_text_that_is_no_utf8_is_written_all_the_same(tmp_path: Path, heads: FakeHeads) -> None:
    log = log_in(tmp_path, heads)
    log.record("backup", "his", AuditResult.OK, why="caf\udce9", detail={"files": ["\udcff"]})
    assert verify(log.path, PUBLIC).ok
    assert last_lines(log.path, 1)[0]["why"] == "caf\\udce9"


def test_what_cannot_be_written_is_an_evidence_error_and_leaves_no_half_line(
    log: AuditLog, heads: FakeHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = log.path.read_bytes(), os.write
    budget = [100]

    def full(handle: int, content: memoryview) -> int:
        if not budget:
            raise OSError(28, "No space left on device")
        return real(handle, content[: budget.pop()])

    with monkeypatch.context() as patch:
        patch.setattr("drmgr.state.audit.os.write", full)
        with pytest.raises(EvidenceError, match="no space left") as caught:
            write(log)
    assert caught.value.exit_code == 23
    assert log.path.read_bytes() == before
    write(log)
    assert verify(log.path, PUBLIC, remembered(heads)).ok


def test_a_folder_that_cannot_be_used_is_an_evidence_error(tmp_path: Path, heads: FakeHeads) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(EvidenceError, match="cannot be written"):
        write(log_in(tmp_path / "audit", heads))


def test_without_its_key_nothing_is_written(tmp_path: Path, heads: FakeHeads) -> None:
    def no_key() -> Ed25519PrivateKey:
        raise KeystoreError("the keystore holds no key audit-signing")

    with pytest.raises(KeystoreError):
        AuditLog(tmp_path / "audit/log", Actor("a", HOST), no_key, heads, SystemClock()).record(
            "a", "b", AuditResult.OK
        )
    assert not (tmp_path / "audit").exists()


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


# --- a crash ---


@pytest.mark.parametrize("left", [1, 200, -1])
def test_a_torn_line_is_kept_aside_and_told(log: AuditLog, heads: FakeHeads, left: int) -> None:
    whole, head = log.path.read_bytes(), remembered(heads)[0].head
    write(log)
    torn = log.path.read_bytes()[len(whole) :][:left]
    heads.remember_audit_head(HOST, head)
    log.path.write_bytes(whole + torn)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert reasons(verdict) == ["line 10 is torn: its end is missing"]
    write(log)
    kept = log.path.parent / f"torn-{hashlib.sha256(torn).hexdigest()[:16]}.bin"
    assert kept.read_bytes() == torn
    assert [line["act"] for line in last_lines(log.path, 2)] == ["audit.torn", "backup"]
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert verdict.ok, reasons(verdict)
    assert "before line 10 a crash tore a line" in verdict.notes[0]
    kept.write_bytes(torn + b"x")
    assert "line 10 tells of a torn line" in reasons(verify(log.path, PUBLIC, remembered(heads)))[0]
    kept.unlink()
    assert not verify(log.path, PUBLIC, remembered(heads)).ok


def test_a_line_torn_on_purpose_after_it_was_whole_is_missing(log: AuditLog, heads: FakeHeads) -> None:
    log.path.write_bytes(log.path.read_bytes()[:-50])
    write(log)
    assert reasons(verify(log.path, PUBLIC, remembered(heads))) == ["no. 9 is missing from the log"]


KILLED = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from drmgr.model import AuditResult
from drmgr.state.audit import Actor, AuditLog
from drmgr.state.catalog import open_catalog
from drmgr.system.clock import SystemClock
from tests.support.fake_audit import FakeHeads
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2]))
log = AuditLog(Path(sys.argv[1]) / "audit.jsonl", Actor("a", "backup-1"), lambda: key, FakeHeads(), SystemClock())
while True:
    log.record("backup", "his", AuditResult.OK)
    print("written", flush=True)
"""


def test_what_was_written_outlives_a_kill(tmp_path: Path, heads: FakeHeads) -> None:
    raw = KEY.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
    counted = 0
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), raw], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            counted += 1
            if counted == 20:
                process.send_signal(signal.SIGKILL)
    log = log_in(tmp_path, heads)
    write(log)
    verdict = verify(log.path, PUBLIC, remembered(heads))
    assert verdict.ok, reasons(verdict)
    assert verdict.lines >= counted + 1


# --- anchors ---


def test_an_anchor_comes_back_as_it_was_and_no_other_is_taken() -> None:
    head = AuditHead("LOG", 12, "ab" * 32)
    content = anchor_bytes(head, HOST, "2026-01-05T00:00:00+00:00", KEY)
    found = read_anchor(anchor_name(head), content, HOST, PUBLIC)
    assert found == Anchor("the anchor of 2026-01-05T00:00:00+00:00", head)
    assert read_anchor(anchor_name(head), content, "backup-2", PUBLIC) is None
    other: Any = Ed25519PrivateKey.generate()
    for name, wrong in (
        (anchor_name(head), content.replace(b'"sequence":12', b'"sequence":11')),
        (anchor_name(AuditHead("LOG", 11, "ab" * 32)), content),
        (anchor_name(head), anchor_bytes(head, HOST, "2026-01-05T00:00:00+00:00", other)),
        (anchor_name(head), b"{}"),
    ):
        with pytest.raises(ValueError, match=r"it "):
            read_anchor(name, wrong, HOST, PUBLIC)


# --- the catalog as the memory of heads ---


def test_the_catalog_remembers_the_head_of_each_host(tmp_path: Path) -> None:
    when = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        assert (catalog.audit_head(HOST), catalog.audit_anchored_at(HOST)) == (None, None)
        log = AuditLog(tmp_path / "audit.jsonl", Actor("a", HOST), lambda: KEY, catalog, SystemClock())
        write(log, 2)
        catalog.remember_audit_head("backup-2", AuditHead("OTHER", 7, "00" * 32))
        catalog.remember_audit_anchor(HOST, when)
        write(log)
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        head = catalog.audit_head(HOST)
        assert head == verify(log.path, PUBLIC).head
        assert head is not None
        assert head.sequence == 3
        assert catalog.audit_head("backup-2") == AuditHead("OTHER", 7, "00" * 32)
        # a new head does not forget when one was anchored
        assert (catalog.audit_anchored_at(HOST), catalog.audit_anchored_at("backup-2")) == (when, None)
