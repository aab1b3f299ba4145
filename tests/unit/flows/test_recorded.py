"""Every run stands in the audit log, before it acts and after; a run that cannot be written there does not begin."""

from dataclasses import replace

import pytest

from drmgr.errors import EvidenceError, Interrupted, SourceError
from drmgr.flows.bench import Bench, recorded
from drmgr.model import AuditResult, RunKind, RunStatus
from tests.support.fake_audit import FakeAudit
from tests.unit.flows.conftest import Site


def with_log(site: Site, full_at: int | None = None) -> tuple[Bench, FakeAudit]:
    audit = FakeAudit(full_at)
    return replace(site.bench, audit=audit), audit


def told(audit: FakeAudit) -> list[tuple[str, str, AuditResult, str | None]]:
    return [(line.act, line.system, line.result, line.error) for line in audit.lines]


def test_a_run_is_written_before_and_after(site: Site) -> None:
    bench, audit = with_log(site)
    with recorded(bench, RunKind.RESTORE, "his", "服务器故障") as run:
        assert told(audit) == [("restore", "his", AuditResult.STARTED, None)]
        run.detail["point"] = "P"
        run.status = RunStatus.INCOMPLETE
    assert told(audit)[1:] == [("restore", "his", AuditResult.INCOMPLETE, None)]
    assert {(line.run, line.why) for line in audit.lines} == {(run.run.id, "服务器故障")}
    assert audit.lines[1].detail == {"point": "P"}


@pytest.mark.parametrize(
    ("stop", "result", "code"),
    [
        (SourceError("the source is down"), AuditResult.FAILED, "source"),
        (Interrupted("SIGTERM"), AuditResult.INTERRUPTED, "interrupted"),
        (ZeroDivisionError(), AuditResult.FAILED, "bug"),
    ],
)
def test_a_run_that_ends_badly_says_so(site: Site, stop: BaseException, result: AuditResult, code: str) -> None:
    bench, audit = with_log(site)
    with pytest.raises(type(stop)), recorded(bench, RunKind.BACKUP, "his"):
        raise stop
    assert told(audit)[-1] == ("backup", "his", result, code)


def test_without_its_line_in_the_log_nothing_begins(site: Site) -> None:
    bench, audit = with_log(site, full_at=1)
    begun = False
    with (
        pytest.raises(EvidenceError, match="audit log cannot be written") as caught,
        recorded(bench, RunKind.DRILL, "d"),
    ):
        begun = True
    assert (begun, audit.lines) == (False, [])
    [run] = site.catalog.runs()
    assert (run.status, run.error and run.error["code"], caught.value.run) == (RunStatus.FAILED, "evidence", run.id)


def test_a_result_that_cannot_be_written_is_an_error_too(site: Site) -> None:
    bench, audit = with_log(site, full_at=2)
    with pytest.raises(EvidenceError) as caught, recorded(bench, RunKind.BACKUP, "his"):
        pass
    assert told(audit) == [("backup", "his", AuditResult.STARTED, None)]
    # the backup itself is what it is
    [run] = site.catalog.runs()
    assert (run.status, caught.value.run) == (RunStatus.OK, run.id)
