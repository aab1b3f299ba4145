"""Backup of one system: every source in its own consistent view, then the seal. No seal, no recovery point."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from drmgr.errors import DrmgrError, EvidenceError, PreflightError, SourceError
from drmgr.flows.acceptance import history_of, in_words
from drmgr.flows.bench import Bench, Source, WiredSystem, beside, recorded
from drmgr.flows.origin import versions_of
from drmgr.flows.points import MARK, SEAL_TAG, find, point_of, seal, tags
from drmgr.flows.suspicion import judge
from drmgr.interfaces import Capture, Progress, Repository
from drmgr.model import (
    ChainHead,
    DoubtKind,
    Entry,
    Judgement,
    Member,
    Part,
    Payload,
    PointStatus,
    RecoveryPoint,
    RunKind,
    RunStatus,
    Snapshot,
    Standstill,
    Stream,
)

Versions = Mapping[str, Mapping[str, str]]
"""What is at work at each source, by its name."""


@dataclass(frozen=True)
class BackupDone:
    """A sealed recovery point and the run that made it; ``status`` is ok or incomplete."""

    run: str
    status: RunStatus
    point: RecoveryPoint
    seal: str
    started_at: datetime
    finished_at: datetime
    notes: tuple[str, ...] = ()
    """What a person should hear of although nothing failed."""


def backup(bench: Bench, wired: WiredSystem) -> BackupDone:
    """Makes one recovery point.

    Raises LockedError, PreflightError, SourceError, RepositoryError; then nothing is offered that was not before. Files
    that could not be read do not raise: the point is sealed as incomplete.
    """
    system = wired.system.id
    # recorded first: a backup that found the system locked was not made, and the catalog should say so
    with recorded(bench, RunKind.BACKUP, system) as record, bench.locks.hold(f"system-{system}"):
        started_at = bench.clock.now()
        preflight(wired)
        point_id = str(ULID())
        # asked before writers stand still, and before anything is stored
        versions = {source.name: versions_of(source) for source in wired.sources}
        captured = _captured(bench, wired, point_id, versions)
        members = captured.members
        judgement, doubts = _judged(bench, wired, point_id, members)
        head, unread = _evidence(bench)
        complete = all(member.complete for member in members)
        point = RecoveryPoint(
            id=point_id,
            system=system,
            run=record.run.id,
            created_at=bench.clock.now(),
            consistent_at=captured.consistent_at,
            status=PointStatus.COMPLETE if complete else PointStatus.INCOMPLETE,
            members=members,
            tools=bench.tools,
            host=bench.host,
            standstill=captured.standstill,
            judgement=judgement,
            evidence=head,
        )
        snapshot = seal(wired.repository, bench.catalog, point)
        record.status = RunStatus.OK if complete else RunStatus.INCOMPLETE
        record.detail.update(point=point_id, seal=snapshot, unreadable=sum(member.unreadable for member in members))
        notes = (*captured.notes, *doubts, *unread)
        if notes:
            record.detail["notes"] = list(notes)
        return BackupDone(record.run.id, record.status, point, snapshot, started_at, bench.clock.now(), notes=notes)


def preflight(wired: WiredSystem) -> None:
    """Asks every source, and reports all that is wrong at once. Raises the one error, or PreflightError.

    The repository is not asked: restic opens it before it starts the source's command, so a bad one shows at once, and
    asking would cost its key derivation once more.
    """
    wrong: list[DrmgrError] = []
    if not wired.sources:
        raise PreflightError(f"{wired.system.id} has no sources")
    asked = [source.engine.preflight for source in wired.sources]
    for ask in asked if wired.pause is None else [wired.pause.preflight, *asked]:
        try:
            ask()
        except DrmgrError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise PreflightError("; ".join(error.message for error in wrong), hint=wrong[0].hint)


def _judged(
    bench: Bench, wired: WiredSystem, point: str, members: Sequence[Member]
) -> tuple[Judgement, tuple[str, ...]]:
    """What is suspicious about the new point, and what a person should hear of that."""
    canaries = {canary.source: canary.sound() for canary in wired.canaries}
    history = history_of(find(wired.repository, wired.memory or bench.catalog, wired.system.id))
    judgement = judge(point, members, history, wired.sensitivity, canaries)
    notes = [f"{wired.system.id}: this recovery point is suspicious: {in_words([doubt])}" for doubt in judgement.doubts]
    told = {doubt.source for doubt in judgement.doubts if doubt.kind is DoubtKind.CANARY}
    missing = sorted(name for name, sound in canaries.items() if not sound and name not in told)
    notes += [f"{wired.system.id}/{name}: its canary is not there; plant it: drmgr canary plant" for name in missing]
    return judgement, tuple(notes)


def _evidence(bench: Bench) -> tuple[ChainHead | None, tuple[str, ...]]:
    """Where the evidence stands, so that documents which are taken away later show; a backup is not refused for it."""
    try:
        return bench.evidence.head(), ()
    except EvidenceError as error:
        return None, (f"this recovery point does not seal where the evidence stands: {error.message}",)


@dataclass(frozen=True)
class _Captured:
    """What was stored of all sources, in the order of their capture."""

    members: tuple[Member, ...]
    consistent_at: datetime
    standstill: Standstill | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _View:
    """One source's open view; ``close`` gives it back, ``opened`` is when it was had, by our own clock."""

    source: Source
    capture: Capture
    opened: datetime
    started: float
    close: ExitStack


def _captured(bench: Bench, wired: WiredSystem, point: str, versions: Versions) -> _Captured:
    """One source after the other; in a pause, where there is one, every view is opened before anything is stored."""
    act = _Storing(bench, wired, point, versions)
    if wired.pause is None:
        for source in wired.sources:
            with ExitStack() as views:
                act.store(_open(bench, source, views))
        return act.done(None)
    with ExitStack() as views:
        still = views.enter_context(ExitStack())
        still.enter_context(wired.pause.held())
        since = bench.clock.now()
        opened = [_open(bench, source, views) for source in wired.sources]
        frozen = all(view.capture.frozen for view in opened)
        until = bench.clock.now()
        if frozen:
            # the views stay what they are: the writers need not wait for the storing
            still.close()
        for view in opened:
            act.store(view)
        if not frozen:
            until = bench.clock.now()
    act.notes[:0] = wired.pause.notes
    return act.done(Standstill(wired.pause.name, since, until))


def _open(bench: Bench, source: Source, views: ExitStack) -> _View:
    started = bench.clock.monotonic()
    close = views.enter_context(ExitStack())
    capture = close.enter_context(source.engine.capture())
    return _View(source, capture, bench.clock.now(), started, close)


class _Storing:
    """Stores one view after the other."""

    def __init__(self, bench: Bench, wired: WiredSystem, point: str, versions: Versions) -> None:
        self.notes: list[str] = []
        self._bench = bench
        self._wired = wired
        self._point = point
        self._versions = versions
        self._members: list[Member] = []
        self._instants: list[datetime] = []

    def store(self, view: _View) -> None:
        """Stores the parts of a view, takes its facts, and gives it back."""
        bench, system, source = self._bench, self._wired.system.id, view.source
        label = f"{system}/{source.name}"
        sink = _RepositorySink(bench, self._wired.repository, tags(self._point, system, f"source={source.name}"), label)
        with view.close:
            view.capture.store(sink)
            facts = view.capture.facts()
            consistent_at = view.capture.consistent_at
            seen_until = view.opened if view.capture.frozen else bench.clock.now()
        if not sink.parts:
            raise SourceError(f"{label} stored nothing")
        member = Member(
            source=source.name,
            engine=source.engine.name,
            consistent_at=consistent_at,
            parts=tuple(sink.parts),
            facts=facts,
            complete=sink.unreadable == 0 and sink.complete,
            unreadable=sink.unreadable,
            seconds=bench.clock.monotonic() - view.started,
            seen_until=seen_until,
            connection=source.connection,
            versions=self._versions[source.name],
        )
        self._members.append(member)
        # by our own clock at the latest: that of its source may be ahead
        self._instants.append(min(consistent_at, view.opened))
        self.notes += [f"{label}: {note}" for note in sink.notes]

    def done(self, standstill: Standstill | None) -> _Captured:
        return _Captured(tuple(self._members), min(self._instants), standstill, tuple(self.notes))


class _RepositorySink:
    """Stores the parts of one source as tagged snapshots; implements interfaces.Sink."""

    def __init__(self, bench: Bench, repository: Repository, base_tags: tuple[str, ...], label: str) -> None:
        self.parts: list[Part] = []
        self.complete = True
        self.unreadable = 0
        self.notes: list[str] = []
        self._bench = bench
        self._repository = repository
        self._tags = base_tags
        self._label = label
        self._listed: tuple[Snapshot, ...] | None = None

    def save(self, payload: Payload) -> Part:
        return self.save_together(payload)[0]

    def save_together(self, *payloads: Payload) -> tuple[Part, ...]:
        with beside(self._bench.work, len(payloads)) as pool:
            waiting = [pool.submit(self._store, payload) for payload in payloads[1:]]
            # the main part, which takes long, in this thread: that is where a signal arrives
            stored = [self._store(payloads[0]), *(each.result() for each in waiting)]
        for snapshot, part in stored:
            self.complete = self.complete and snapshot.complete
            self.unreadable += len(snapshot.unreadable)
            self.parts.append(part)
        return tuple(part for _, part in stored)

    def _store(self, payload: Payload) -> tuple[Snapshot, Part]:
        started = self._bench.clock.monotonic()
        progress: Progress = self._bench.progress(f"{self._label} {payload.part}")
        snapshot = self._repository.backup(payload, (*self._tags, f"part={payload.part}", *payload.labels), progress)
        if snapshot.files == 0 or (isinstance(payload, Stream) and snapshot.bytes == 0):
            raise SourceError(f"{self._label}: nothing of {payload.part} was stored")
        seconds = self._bench.clock.monotonic() - started
        sizes = (snapshot.files, snapshot.bytes, snapshot.bytes_added)
        return snapshot, Part(payload.part, snapshot.id, *sizes, seconds, snapshot.change)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def entries(self, part: Part) -> Iterator[Entry]:
        return self._repository.entries(part.snapshot)

    def previous(self, part: str) -> Snapshot | None:
        if self._listed is None:
            # once: the system is locked, so no other backup adds to it meanwhile
            system = next(tag for tag in self._tags if tag.startswith("system="))
            self._listed = self._repository.snapshots((MARK, system)).snapshots
        listed = self._listed
        sealed = {point_of(snapshot) for snapshot in listed if SEAL_TAG in snapshot.tags}
        ours = {tag for tag in self._tags if tag.startswith("source=")} | {f"part={part}"}
        found = [each for each in listed if ours <= set(each.tags) and point_of(each) in sealed]
        return found[-1] if found else None
