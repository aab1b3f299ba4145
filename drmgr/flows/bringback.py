"""Bringing a recovery point's sources back into instances, and proving what came back. Shared by restore and drill."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from drmgr.errors import DrmgrError, PointNotFoundError, RepositoryDamagedError, ScratchError
from drmgr.flows.aim import Replay
from drmgr.flows.bench import Bench, WiredSystem, beside
from drmgr.flows.shipped import MANIFEST
from drmgr.interfaces import AcrossCheck, Check, Engine, Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Instance,
    Level,
    Member,
    NotRestored,
    Part,
    Phase,
    RecoveryPoint,
    Restored,
    Text,
)
from drmgr.privacy import without_text

NOTHING: Mapping[str, Replay] = MappingProxyType({})

STAGING_FACTOR = 2.5
"""Scratch needs room for the staged dump and for the loaded database with its indexes: this many times the stored bytes."""

SMALL_BYTES = 256 * 1024 * 1024
"""Parts up to this size are brought back beside the large ones: it takes restic longer to open the repository."""

BESIDE = 3
"""So many of them at the same time."""

CLOCK_TOLERANCE = 60.0
"""How many seconds a source's clock may be ahead of ours."""


class Phases:
    """Times the steps of one system's restore."""

    def __init__(self, bench: Bench, system: str) -> None:
        self.done: list[Phase] = []
        self._bench = bench
        self._system = system

    @contextmanager
    def step(self, name: str, source: str = "") -> Iterator[None]:
        """Records the step with its real start and end, also when it fails."""
        clock = self._bench.clock
        self._bench.work.refuse_stopped()
        started_at, started, ok = clock.now(), clock.monotonic(), False
        try:
            yield
            ok = True
        finally:
            seconds = clock.monotonic() - started
            self.done.append(Phase(name, started_at, clock.now(), seconds, self._system, source, ok))


def members(point: RecoveryPoint, wired: WiredSystem, wanted: tuple[str, ...] = ()) -> tuple[Member, ...]:
    """The members to restore, in the order of the point: the named sources, or those that the job declares now.

    Raises PointNotFoundError when the point has not all of them.
    """
    known = {member.source for member in point.members}
    declared = {source.name: source.engine.name for source in wired.sources}
    wanted = wanted or tuple(declared)
    for name in wanted:
        if name not in known:
            raise PointNotFoundError(
                f"recovery point {point.id} has no source {name}; it has {', '.join(sorted(known))}"
            )
    chosen = tuple(member for member in point.members if member.source in wanted)
    for member in chosen:
        if family(declared.get(member.source, "")) != family(member.engine):
            raise PointNotFoundError(
                f"the job has no source {member.source} of the kind {member.engine} that recovery point {point.id} holds",
                hint="put the source back into the job as it was at the time of the backup",
            )
    return chosen


def family(engine: str) -> str:
    """The maker, whatever its method: the points of one method can be read after a switch to another."""
    return engine.partition("-")[0]


_COMPLETE = Text("恢复点内文件齐全", "the recovery point lacks no file")
_ALL = Text("恢复点内各数据源均已恢复", "every source of the recovery point is brought back")
_READABLE = Text("恢复点均可读取", "every recovery point can be read")


def readable(problems: Sequence[str]) -> CheckResult:
    """A repository that lost something does not pass, even where an older point still restores."""
    status = CheckStatus.FAIL if problems else CheckStatus.PASS
    message = "; ".join(problems[:5])
    return CheckResult("points-readable", status, Level.STRUCTURE, 0, len(problems), title=_READABLE, message=message)


def left_out(point: RecoveryPoint, wired: WiredSystem, way_out: str) -> tuple[CheckResult, ...]:
    """What fails when the point holds sources that the job has no more, and nobody said that they are not wanted.

    ``way_out`` is what a person can do other than to declare them again.
    """
    declared = {source.name for source in wired.sources}
    names = sorted(member.source for member in point.members if member.source not in declared)
    if not names:
        return ()
    message = f"the job no longer has {', '.join(names)}; put it back into the job, or {way_out}"
    return (
        CheckResult("sources-complete", CheckStatus.FAIL, Level.STRUCTURE, 0, len(names), title=_ALL, message=message),
    )


def lacking(chosen: tuple[Member, ...]) -> tuple[CheckResult, ...]:
    """What fails when a member was stored without files that could not be read then: all that is there may be right."""
    partial = [member for member in chosen if not member.complete]
    if not partial:
        return ()
    names = ", ".join(member.source for member in partial)
    unreadable = sum(member.unreadable for member in partial)
    message = f"files could not be read when it was made: {names}"
    return (
        CheckResult(
            "point-complete", CheckStatus.FAIL, Level.STRUCTURE, 0, unreadable, title=_COMPLETE, message=message
        ),
    )


def needed_bytes(chosen: tuple[Member, ...], replays: Mapping[str, Replay] = NOTHING) -> int:
    """Scratch space that the members will take at most."""
    logs = sum(each.snapshot.bytes for replay in replays.values() for each in replay.ranges)
    return int(sum(member.bytes for member in chosen) * STAGING_FACTOR) + 2 * logs


def needed_memory(bench: Bench, wired: WiredSystem, chosen: tuple[Member, ...]) -> int:
    """Memory that the members' instances take, all of them at once."""
    recipes = (wired.source(member.source).engine.recipe(member.facts) for member in chosen)
    return sum(bench.scratch.memory(recipe) for recipe in recipes)


def fetch(bench: Bench, wired: WiredSystem, member: Member, into: Path) -> None:
    """Restores every part of the member below ``into``, each proven complete."""
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScratchError(f"the folder {into} cannot be made: {error.strerror}") from error

    def bring(part: Part) -> None:
        progress = bench.progress(f"{wired.system.id}/{member.source} {part.name}")
        wired.repository.restore(part.snapshot, into / part.name, part.files, part.bytes, progress)

    largest = max(member.parts, key=lambda part: part.bytes)
    small = [part for part in member.parts if part is not largest and part.bytes <= SMALL_BYTES]
    with beside(bench.work, BESIDE) as pool:
        waiting = [pool.submit(bring, part) for part in small]
        # what takes long in this thread: that is where a signal arrives
        for part in member.parts:
            if part not in small:
                bring(part)
        for each in waiting:
            each.result()


def fetch_logs(bench: Bench, wired: WiredSystem, replay: Replay, into: Path) -> None:
    """Restores the shipped logs below ``into``, each file proven by the hash it had when it was shipped."""
    for number, each in enumerate(replay.ranges):
        folder = into / f"logs-{number:06}"
        snapshot = each.snapshot
        progress = bench.progress(f"{wired.system.id} logs")
        wired.repository.restore(snapshot.id, folder, snapshot.files, snapshot.bytes, progress)
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for file in manifest["files"]:
            with (folder / file["name"]).open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != file["sha256"]:
                    raise RepositoryDamagedError(f"the log file {file['name']} is not what was shipped")
        (folder / MANIFEST).unlink()


@dataclass(frozen=True)
class Loaded:
    """Where each source can be questioned, and what each replay said of the end it came to."""

    instances: Mapping[str, Instance]
    reached: Mapping[str, str]


def load_into_scratch(
    bench: Bench,
    wired: WiredSystem,
    chosen: tuple[Member, ...],
    workspace: Workspace,
    phases: Phases,
    *,
    replays: Mapping[str, Replay] = NOTHING,
) -> Loaded:
    """Each member in a fresh instance of its own; those with a replay go on from there to its target."""
    loaded: dict[str, Instance] = {}
    reached: dict[str, str] = {}
    for member in chosen:
        engine = wired.source(member.source).engine
        staged = workspace.stage(f"{wired.system.id}-{member.source}")
        with phases.step("restore", member.source):
            fetch_all(bench, wired, member, staged, replays)
        with phases.step("start-instance", member.source):
            recipe = replace(engine.recipe(member.facts), source=f"{wired.system.id}-{member.source}", restored=staged)
            if member.source in replays:
                recipe = replace(recipe, target=replays[member.source].target)
            instance = workspace.start(recipe)
        with phases.step("load", member.source):
            loaded[member.source] = load(bench, wired, engine, staged, instance)
            workspace.drop(staged / member.parts[0].name)
        reached |= replayed(wired, member, staged, loaded[member.source], phases=phases, replays=replays)
    return Loaded(loaded, reached)


def fetch_all(bench: Bench, wired: WiredSystem, member: Member, into: Path, replays: Mapping[str, Replay]) -> None:
    """The member's parts, and the logs that its replay goes through."""
    fetch(bench, wired, member, into)
    if member.source in replays:
        fetch_logs(bench, wired, replays[member.source], into)


def replayed(
    wired: WiredSystem, member: Member, staged: Path, loaded: Instance, *, phases: Phases, replays: Mapping[str, Replay]
) -> dict[str, str]:
    """What the member's replay said of the end it came to, by its source; empty without one."""
    logs = wired.source(member.source).logs
    if member.source not in replays or logs is None:
        return {}
    with phases.step("replay", member.source):
        return {member.source: logs.replay(member, staged, loaded, replays[member.source].target)}


def target_reached(source: str, replay: Replay, actual: str) -> CheckResult:
    """The replay ended without an error, and it does so only when the server says that it stopped at the target."""
    target = f"{replay.target.kind} {replay.target.value}"
    title = Text("已到达指定恢复时刻", "the recovery target was reached")
    return CheckResult(f"target-{source}", CheckStatus.PASS, Level.OPENS, target, actual, source=source, title=title)


def load(bench: Bench, wired: WiredSystem, engine: Engine, staged: Path, instance: Instance) -> Instance:
    return engine.load(staged, instance, bench.progress(f"{wired.system.id} load"))


def prove(bench: Bench, checks: tuple[Check, ...], restored: Restored) -> tuple[CheckResult, ...]:
    """Runs every check; one that could not look is an ``error``, never left out."""
    results = []
    for check in checks:
        bench.work.refuse_stopped()
        bench.progress(f"{restored.point.system} check")(0.0, check.name)
        started = bench.clock.monotonic()
        try:
            result = check.run(restored)
        except DrmgrError as error:
            result = CheckResult(check.name, CheckStatus.ERROR, check.level, message=error.message)
        except NotRestored as missing:
            result = CheckResult(
                check.name, CheckStatus.SKIPPED, check.level, message=f"source {missing} was not restored"
            )
        # here and not only in evidence: what is printed ends in logs
        shown = without_text(result)
        results.append(replace(shown, seconds=round(bench.clock.monotonic() - started, 3)))
    return tuple(results)


def prove_across(bench: Bench, check: AcrossCheck, restored: Mapping[str, Restored]) -> CheckResult:
    """As ``prove``, of several systems; one of a system that did not come back is ``skipped``."""
    bench.progress("across")(0.0, check.name)
    started = bench.clock.monotonic()
    missing = [system for system in check.systems if system not in restored]
    try:
        result = check.run(restored) if not missing else _not_made(check, missing[0])
    except DrmgrError as error:
        result = CheckResult(check.name, CheckStatus.ERROR, check.level, message=error.message)
    except NotRestored as gone:
        result = _not_made(check, str(gone))
    return replace(without_text(result), seconds=round(bench.clock.monotonic() - started, 3))


def _not_made(check: AcrossCheck, missing: str) -> CheckResult:
    return CheckResult(check.name, CheckStatus.SKIPPED, check.level, message=f"{missing} was not restored")


def level_reached(results: tuple[CheckResult, ...]) -> Level:
    """The deepest level up to which every level has checks that carry it and all passed; the lowest needs no check."""
    reached = Level.STRUCTURE
    for level in Level:
        at_level = [result for result in results if result.level is level]
        if not at_level and level is Level.STRUCTURE:
            continue
        carried = any(result.carries for result in at_level)
        if not carried or any(result.status is not CheckStatus.PASS for result in at_level):
            return reached
        reached = level
    return reached


def data_lost(brought_back: datetime, fault: datetime) -> float | None:
    """Seconds between the instant brought back and the fault; None for one from the future: then the clocks disagree."""
    seconds = (fault - brought_back).total_seconds()
    return None if seconds < -CLOCK_TOLERANCE else max(0.0, seconds)
