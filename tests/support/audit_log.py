"""A real audit log of nine lines, and what its tests do to it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drmgr.model import AuditResult
from drmgr.state.audit import Actor, AuditLog
from drmgr.state.audit_lines import Anchor
from drmgr.state.audit_verify import AuditVerdict
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
