"""What the tests of flows work with instead of servers and clocks."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drmgr.errors import DrmgrError, EvidenceError, Interrupted, LockedError
from drmgr.interfaces import Progress, Sink
from drmgr.model import (
    ChainHead,
    CheckResult,
    CheckStatus,
    Destruction,
    DrillRecord,
    EvidenceEntry,
    Facts,
    IncidentNote,
    Instance,
    Level,
    Recipe,
    Tree,
    Verdict,
)

START = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved. ``set_back`` moves the wall clock alone, as an administrator would."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._offset = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._passed + self._offset)

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        self._passed += seconds

    def set_back(self, seconds: float) -> None:
        self._offset -= seconds


@dataclass
class FakeEngine:
    """A source that is a folder. ``raises`` holds, by the name of a method, what that method is to raise."""

    root: Path
    clock: FakeClock
    load_seconds: float = 0.0
    raises: dict[str, DrmgrError | Interrupted] = field(default_factory=dict)
    into: Path | None = None
    name: str = "fake"

    def _act(self, method: str) -> None:
        if method in self.raises:
            raise self.raises[method]

    def preflight(self) -> None:
        self._act("preflight")

    @contextmanager
    def capture(self) -> Iterator["FakeCapture"]:
        self._act("capture")
        yield FakeCapture(self, self.clock.now())

    def recipe(self, facts: Facts) -> Recipe:
        return Recipe("", facts.engine)

    def target(self) -> Instance:
        assert self.into is not None
        return Instance(self.name, path=self.into)

    def identity(self, of: Instance) -> str:
        return f"fake:{of.path}"

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        self._act("versions")
        return {"server": "1.2" if of is None else "1.3"}

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        self._act("load")
        assert into.path is not None
        shutil.copytree(restored / "data", into.path, dirs_exist_ok=True)
        self.clock.sleep(self.load_seconds)
        progress(1.0, "loaded")
        return into

    def facts(self, of: Instance, like: Facts) -> Facts:
        del like
        self._act("facts")
        assert of.path is not None
        return content_facts(of.path, self.clock.now())

    def integrity(self, of: Instance) -> CheckResult:
        self._act("integrity")
        whole = of.path is not None and any(of.path.iterdir())
        return CheckResult("whole", CheckStatus.PASS if whole else CheckStatus.FAIL, Level.INTEGRITY, True, whole)


@dataclass
class FakeCapture:
    frozen = True
    engine: FakeEngine
    consistent_at: datetime

    def store(self, sink: Sink) -> None:
        self.engine._act("store")
        sink.save(Tree("data", self.engine.root))

    def facts(self) -> Facts:
        self.engine._act("capture-facts")
        return content_facts(self.engine.root, self.consistent_at)


def content_facts(folder: Path, at: datetime) -> Facts:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return Facts("fake", at, {"content": hashes})


@dataclass
class FakeWorkspace:
    path: Path

    def start(self, recipe: Recipe) -> Instance:
        place = self.path / f"instance-{recipe.source}"
        place.mkdir()
        return Instance(recipe.engine, path=place)

    def stage(self, source: str) -> Path:
        place = self.path / "staged" / source
        place.mkdir(parents=True)
        return place

    def drop(self, staged: Path) -> None:
        shutil.rmtree(staged)


class FakeScratch:
    """Folders; ``opened`` names the workspaces in order, ``kept`` those that stay and until when."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        self.directory = directory
        self.opened: list[str] = []
        self.kept: dict[str, datetime] = {}
        self.halted = 0
        self._clock = clock
        self._destroyed: list[Destruction] = []

    @contextmanager
    def open(self, run: str, needed_bytes: int) -> Iterator[FakeWorkspace]:
        assert needed_bytes > 0
        path = self.directory / run
        path.mkdir(parents=True)
        self.opened.append(run)
        try:
            yield FakeWorkspace(path)
        finally:
            if run not in self.kept:
                shutil.rmtree(path)
                self._destroyed.append(Destruction(str(path), 1, 1, 0, not path.exists(), self._clock.now()))

    def memory(self, recipe: Recipe) -> int:
        return 100

    def halt(self) -> None:
        self.halted += 1

    def keep(self, run: str, until: datetime) -> None:
        self.kept[run] = until

    def destructions(self) -> tuple[Destruction, ...]:
        return tuple(self._destroyed)

    def reap(self) -> tuple[Destruction, ...]:
        return ()


class FakeEvidence:
    """Keeps the records; ``broken`` refuses them."""

    def __init__(self) -> None:
        self.sealed: list[DrillRecord] = []
        self.notes: list[IncidentNote] = []
        self.broken = False
        self.standing: ChainHead | None = None

    def head(self) -> ChainHead | None:
        if self.broken:
            raise EvidenceError("the chain is broken")
        return self.standing

    def seal(self, record: DrillRecord) -> EvidenceEntry:
        if self.broken:
            raise EvidenceError("the chain is broken")
        self.sealed.append(record)
        number = len(self.sealed)
        return EvidenceEntry(
            f"E{number}", record.run, number, record.name, record.verdict, record.finished_at, "p", "h"
        )

    def add(self, note: IncidentNote) -> EvidenceEntry:
        if self.broken:
            raise EvidenceError("the chain is broken")
        self.notes.append(note)
        number = len(self.sealed) + len(self.notes)
        verdict = Verdict(note.about.verdict["verdict"])
        return EvidenceEntry(f"E{number}", note.run, number, f"note-{note.about.name}", verdict, note.at, "p", "h")


class FakeLocks:
    """Names in ``held`` are taken by somebody else."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.seen: list[str] = []

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        if name in self.held:
            raise LockedError(f"{name} is held")
        self.held.add(name)
        self.seen.append(name)
        try:
            yield
        finally:
            self.held.discard(name)


@dataclass
class FakeCheck:
    """Gives ``status``, or raises."""

    name: str = "question"
    level: Level = Level.BUSINESS
    status: CheckStatus = CheckStatus.PASS
    source: str = ""
    error: DrmgrError | Interrupted | None = None

    def run(self, restored: "object") -> CheckResult:
        from drmgr.model import Restored

        assert isinstance(restored, Restored)
        if self.source:
            restored.instance(self.source)
        if self.error is not None:
            raise self.error
        return replace(CheckResult(self.name, self.status, self.level), source=self.source)
