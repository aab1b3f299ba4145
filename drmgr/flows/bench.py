"""What every flow works with, wired by the command line from concrete parts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from drmgr.errors import DrmgrError, Interrupted
from drmgr.interfaces import (
    Catalog,
    Check,
    Clock,
    Engine,
    EvidenceStore,
    Locks,
    LogShipper,
    Progress,
    Repository,
    Scratch,
)
from drmgr.model import Json, Run, RunKind, RunStatus, System, Text


@dataclass(frozen=True)
class Source:
    """One source of a system with the engine bound to its connection."""

    name: str
    engine: Engine
    logs: LogShipper | None = None


@dataclass(frozen=True)
class WiredSystem:
    """A business system with its concrete parts; ``checks`` in the order of their levels."""

    system: System
    repository: Repository
    sources: tuple[Source, ...]
    checks: tuple[Check, ...]

    def source(self, name: str) -> Source:
        """Raises KeyError."""
        return next(source for source in self.sources if source.name == name)


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
    locks: Locks
    clock: Clock
    scratch: Scratch
    evidence: EvidenceStore
    tools: Mapping[str, str]
    progress: ProgressFor = field(default=_silent)


def error_json(error: DrmgrError) -> dict[str, Json]:
    """An error as run records and JSON answers show it."""
    return {"code": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}


class Recorder:
    """Collects what a run will leave in the catalog."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.status = RunStatus.OK
        self.detail: dict[str, Json] = {}


@contextmanager
def recorded(catalog: Catalog, kind: RunKind, system: str) -> Iterator[Recorder]:
    """Opens a run before anything acts and closes it on every way out, with the error if there was one."""
    recorder = Recorder(catalog.open_run(kind, system))
    try:
        yield recorder
    except Interrupted as stop:
        error = {"code": stop.code, "message": f"ended by {stop.signal_name}", "hint": ""}
        catalog.close_run(recorder.run.id, RunStatus.INTERRUPTED, recorder.detail, error)
        raise
    except DrmgrError as error:
        catalog.close_run(recorder.run.id, RunStatus.FAILED, recorder.detail, error_json(error))
        raise
    except Exception as error:
        bug = {"code": "bug", "message": type(error).__name__, "hint": "please report it with the log"}
        catalog.close_run(recorder.run.id, RunStatus.FAILED, recorder.detail, bug)
        raise
    else:
        catalog.close_run(recorder.run.id, recorder.status, recorder.detail)
