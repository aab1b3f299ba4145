"""The audit log: what is written is whole, in one chain, and outlives a crash."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drmgr.errors import EvidenceError, KeystoreError
from drmgr.model import AuditHead, AuditResult
from drmgr.state.audit import Actor, AuditLog
from drmgr.state.audit_lines import Anchor, anchor_bytes, anchor_name, read_anchor
from drmgr.state.audit_verify import last_lines, verify
from drmgr.state.catalog import open_catalog
from drmgr.system.clock import SystemClock
from tests.support.audit_log import (
    HOST,
    KEY,
    LENGTH,
    PUBLIC,
    heads,
    lines_of,
    log,
    log_in,
    reasons,
    remembered,
    write,
)
from tests.support.fake_audit import FakeHeads

__all__ = ["heads", "log"]


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
