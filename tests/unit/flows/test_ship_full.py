"""The disk of the spool is full: an alarm of its own, whatever was being written, and what waits stays."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.errors import PreflightError, SpoolFullError
from drmgr.flows.bench import Source
from drmgr.flows.ship_logs import Spool, ship
from drmgr.model import LogBatch, LogFile
from tests.unit.flows.conftest import Site


class Logs:
    """A shipper of one waiting file, whose receiving fails as it is told."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error

    def receive(self, spool: Path) -> None:
        if self.error is not None:
            raise self.error

    def waiting(self, spool: Path) -> tuple[LogBatch, ...]:
        return (LogBatch("c", 1, 1, 1, None, 1, {}, (LogFile("one", 3, "0"),)),)

    def files(self, spool: Path) -> Path:
        return spool / "waiting"


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, SpoolFullError), (errno.EROFS, PreflightError)])
def test_what_cannot_be_received_is_told_by_its_reason(site: Site, number: int, kind: type[Exception]) -> None:
    logs = Logs(OSError(number, "no"))
    source = Source("main", site.engines["main"], logs)  # type: ignore[arg-type]
    wired = replace(site.wired, sources=(source,))
    with pytest.raises(kind, match="the spool"):
        ship(site.bench, wired, source, Spool(site.folder / "spool", 1 << 30))


def test_a_manifest_that_cannot_be_written_is_no_bug_and_keeps_what_waits(site: Site) -> None:
    source = Source("main", site.engines["main"], Logs())  # type: ignore[arg-type]
    wired = replace(site.wired, sources=(source,))
    waiting = site.folder / "spool" / "waiting"
    waiting.mkdir(parents=True)
    (waiting / "one").write_bytes(b"log")
    (waiting / "manifest.json").symlink_to("/dev/full")
    with pytest.raises(SpoolFullError, match="the disk of the spool"):
        ship(site.bench, wired, source, Spool(site.folder / "spool", 1 << 30))
    assert (waiting / "one").read_bytes() == b"log"
