"""What every flow works with, wired by the command line from concrete parts."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from drmgr.errors import DrmgrError, Interrupted, UsageError
from drmgr.flows.suspicion import Sensitivity
from drmgr.interfaces import (
    Audit,
    Canary,
    Catalog,
    Check,
    Clock,
    Engine,
    EvidenceStore,
    Locks,
    LogShipper,
    Pause,
    PointMemory,
    Progress,
    Repository,
    Scratch,
    TableEngine,
    TreeEngine,
)
from drmgr.model import AuditResult, Json, Run, RunKind, RunStatus, System, Text


@dataclass(frozen=True)
class Source:
    """One source of a system with the engine bound to its connection."""

    name: str
    engine: Engine
    logs: LogShipper | None = None
    tree: TreeEngine | None = None
    tables: TableEngine | None = None
    connection: str = ""
    """The name of its place in the site file."""


@dataclass(frozen=True)
class WiredSystem:
    """A business system with its concrete parts; ``checks`` in the order of their levels.

    ``repository`` is the system's own, or one of its copies: then ``copy`` is that one's name and ``memory`` what is known
    of the points in it, where the catalog knows the points of the system's own. ``medium`` is the kind of store that the
    repository lies in, ``key_version`` that of the password which opens it; empty when nobody says.
    """

    system: System
    repository: Repository
    sources: tuple[Source, ...]
    checks: tuple[Check, ...]
    copy: str = ""
    memory: PointMemory | None = None
    pause: Pause | None = None
    sensitivity: Sensitivity = field(default=Sensitivity())
    canaries: tuple[Canary, ...] = ()
    medium: str = ""
    key_version: str = ""

    def source(self, name: str) -> Source:
        """Raises UsageError for one that the job does not declare, or no longer."""
        for source in self.sources:
            if source.name == name:
                return source
        raise UsageError(f"the job of {self.system.id} declares no source {name}", hint="see the job's sources")


class Work(Protocol):
    """What is under way, in whichever thread."""

    def stop_all(self) -> None:
        """Ends what other threads have running; they get Interrupted, now or at their next step."""

    def refuse_stopped(self) -> None:
        """Raises Interrupted once ``stop_all`` was called."""


class _Steps:
    """Knows of no programs, only of steps."""

    def __init__(self) -> None:
        self._stopped = Event()

    def stop_all(self) -> None:
        self._stopped.set()

    def refuse_stopped(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("the main thread")


@contextmanager
def beside(work: Work, workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for what goes on beside this one. An interruption, which comes to the main thread alone, ends them too."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            yield pool
        except Interrupted:
            work.stop_all()
            raise


ProgressFor = Callable[[str], Progress]
"""Makes the progress display for one labelled step."""


def _silent(_label: str) -> Progress:
    return lambda _share, _word: None


@dataclass(frozen=True)
class Bench:
    """The site's parts that are not of one system."""

    site: Text
    timezone: str
    host: str
    operator: str
    catalog: Catalog
    audit: Audit
    locks: Locks
    clock: Clock
    scratch: Scratch
    evidence: EvidenceStore
    tools: Mapping[str, str]
    progress: ProgressFor = field(default=_silent)
    work: Work = field(default_factory=_Steps)


def error_json(error: DrmgrError) -> dict[str, Json]:
    """An error as run records and JSON answers show it."""
    return {"code": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}


class Recorder:
    """Collects what a run will leave in the catalog and in the audit log; ``why`` is the reason a person gave."""

    def __init__(self, bench: Bench, run: Run, why: str) -> None:
        self.run = run
        self.status = RunStatus.OK
        self.detail: dict[str, Json] = {}
        self._bench = bench
        self._why = why
        self._begun = False

    def begin(self) -> None:
        """Writes the intent into the audit log. Raises EvidenceError, and then nothing has been done."""
        self._audit(AuditResult.STARTED)
        self._begun = True

    def close(self, status: RunStatus, error: dict[str, Json] | None = None) -> None:
        """Writes the result into both. Raises EvidenceError, PreflightError."""
        self._bench.catalog.close_run(self.run.id, status, self.detail, error)
        if self._begun:
            self._audit(AuditResult(status.value), None if error is None else str(error["code"]))

    def _audit(self, result: AuditResult, error: str | None = None) -> None:
        kind, system = self.run.kind.value, self.run.system
        try:
            self._bench.audit.record(
                kind, system, result, why=self._why, run=self.run.id, error=error, detail=self.detail
            )
        except DrmgrError as unwritten:
            unwritten.run = self.run.id
            raise


@contextmanager
def recorded(bench: Bench, kind: RunKind, system: str, why: str = "") -> Iterator[Recorder]:
    """Opens a run before anything acts and closes it on every way out, with the error if there was one.

    Raises EvidenceError when the audit log cannot be written: at the start before anything acts.
    """
    recorder = Recorder(bench, bench.catalog.open_run(kind, system), why)
    try:
        recorder.begin()
        yield recorder
    except Interrupted as stop:
        error = {"code": stop.code, "message": f"ended by {stop.signal_name}", "hint": ""}
        recorder.close(RunStatus.INTERRUPTED, error)
        raise
    except DrmgrError as error:
        error.run = recorder.run.id
        recorder.close(RunStatus.FAILED, error_json(error))
        raise
    except Exception as error:
        bug = {"code": "bug", "message": type(error).__name__, "hint": "please report it with the log"}
        recorder.close(RunStatus.FAILED, bug)
        raise
    else:
        recorder.close(recorder.status)
