"""An audit log in memory, for the unit tests of flows, and a memory for the heads of real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drmgr.errors import EvidenceError
from drmgr.model import AuditHead, AuditResult, Json


@dataclass(frozen=True)
class Said:
    """One line."""

    act: str
    system: str
    result: AuditResult
    why: str = ""
    run: str | None = None
    error: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)


class FakeAudit:
    """``lines`` are those written so far; from line number ``full_at`` on it refuses, as a full disk does."""

    def __init__(self, full_at: int | None = None) -> None:
        self.lines: list[Said] = []
        self._full_at = full_at

    def record(
        self,
        act: str,
        system: str,
        result: AuditResult,
        *,
        why: str = "",
        run: str | None = None,
        error: str | None = None,
        detail: Mapping[str, Json] | None = None,
    ) -> None:
        if self._full_at is not None and len(self.lines) + 1 >= self._full_at:
            raise EvidenceError("the audit log cannot be written: no space left on device")
        self.lines.append(Said(act, system, result, why, run, error, dict(detail or {})))


class FakeHeads:
    """Remembers the heads of audit logs in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, AuditHead] = {}

    def audit_head(self, host: str) -> AuditHead | None:
        return self.kept.get(host)

    def remember_audit_head(self, host: str, head: AuditHead) -> None:
        self.kept[host] = head
