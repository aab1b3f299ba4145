"""A system in its own place: brought beside what is there, proven, and only then under its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from drmgr.errors import PreflightError, ScratchError, UsageError
from drmgr.flows.aim import Aim
from drmgr.flows.bench import Bench, WiredSystem
from drmgr.flows.bringback import (
    CLOCK_TOLERANCE,
    STAGING_FACTOR,
    Loaded,
    Phases,
    fetch_all,
    load,
    load_into_scratch,
    needed_bytes,
    prove,
    replayed,
    target_reached,
)
from drmgr.flows.course import Course
from drmgr.flows.swap import Places, Swapper, clear_leftovers, drop, refuse_unfinished
from drmgr.interfaces import SwapBook, Workspace
from drmgr.model import (
    CheckResult,
    CheckStatus,
    Instance,
    Level,
    Member,
    Move,
    Swap,
    SwapPhase,
)
from drmgr.system.files import free_bytes

IN_PLACE = "@original"
"""Ends the name of a check that was made once more, on what is in place."""


@dataclass(frozen=True)
class ToOriginal:
    """The system's own place. ``permit`` raises NotAllowedError.

    ``end_sessions``: those of others are ended for the swap. ``accept_failed``: it is put in place although a check failed.
    """

    places: Places
    book: SwapBook
    permit: Callable[[], None]
    end_sessions: bool = False
    accept_failed: bool = False


@dataclass
class InPlace:
    """What became of a restore in place, as far as it came."""

    swap: Swap | None = None
    checks: tuple[CheckResult, ...] = ()
    instances: dict[str, Instance] = field(default_factory=dict)
    by_hand: tuple[str, ...] = ()


def refuse_original(target: ToOriginal, wired: WiredSystem, chosen: tuple[Member, ...], *, at: str) -> None:
    """What can be known before anything is written. Raises PreflightError, UsageError, ScratchError."""
    refuse_unfinished(target.book, wired.system.id)
    for member in chosen:
        place = target.places[member.source]
        if at and not (place.by_scratch or place.replays):
            raise UsageError(
                f"an instant between recovery points cannot be put in the place of {member.source}: no log is gone through",
                hint="restore it with --to scratch, and bring what is missing from there",
            )
        if place.by_scratch and not member.engine.endswith("-physical"):
            raise PreflightError(
                f"the recovery point holds {member.source} by another method than the job has now",
                hint="restore it with --to scratch or --to connection:NAME",
            )
        place.survey(member)
    _refuse_small_disks(target, chosen)


def _refuse_small_disks(target: ToOriginal, chosen: tuple[Member, ...]) -> None:
    """What is there stays, so there must be room for both. All sources of one disk together."""
    needed: dict[int, tuple[int, Path]] = {}
    for member in chosen:
        disk = target.places[member.source].disk()
        if disk is not None and disk.exists():
            before, _ = needed.get(disk.stat().st_dev, (0, disk))
            needed[disk.stat().st_dev] = (before + room(member), disk)
    for size, disk in needed.values():
        if free_bytes(disk) < size:
            raise ScratchError(
                f"the restore needs about {size} bytes beside what is there, and {disk} has {free_bytes(disk)} bytes free",
                hint="free some space; what is there is kept, so there must be room for both",
            )


def room(member: Member) -> int:
    """Bytes that the source will take beside what is there, at most."""
    logical = member.engine in ("postgresql", "mariadb", "sqlserver")
    return int(member.bytes * STAGING_FACTOR) if logical else member.bytes


class OriginalRestore:
    """One restore in place; ``begun`` is what is noted of it first.

    ``perform`` leaves in ``result`` how far it came, also when it raises.
    """

    def __init__(
        self,
        bench: Bench,
        wired: WiredSystem,
        target: ToOriginal,
        *,
        aim: Aim,
        begun: Swap,
        phases: Phases,
        course: Course,
    ) -> None:
        self.result = InPlace()
        self._bench = bench
        self._wired = wired
        self._target = target
        self._aim = aim
        self._phases = phases
        self._course = course
        self._begun = begun
        self._run = begun.run
        self._stages: dict[str, Path] = {}
        self._swapper = Swapper(bench, target.book, target.places, begun.run, end_sessions=target.end_sessions)

    def perform(self, chosen: tuple[Member, ...], doubts: tuple[CheckResult, ...]) -> None:
        """Beside, proven, in place, proven once more. A failed check ends it before anything is renamed.

        Raises InUseError before the swap when others work in what is there: what is proven waits for ``--finish``.
        """
        bench, target, sources = self._bench, self._target, tuple(member.source for member in chosen)
        self._swapper.refuse_in_use(sources)
        clear_leftovers(bench, target.book, self._wired.system.id, target.places)
        self._note(self._begun)
        try:
            with bench.scratch.open(self._run, needed_bytes(chosen, self._aim.replays)) as workspace:
                self._beside(chosen, workspace)
                if self._wanted(doubts):
                    self._settle(workspace, not_passed((*doubts, *self.result.checks)))
                    self._swap()
                    self._prove_in_place(sources)
        finally:
            self._give_up()

    def _note(self, swap: Swap) -> None:
        self._target.book.write(swap)
        self.result.swap = swap

    def _beside(self, chosen: tuple[Member, ...], workspace: Workspace) -> None:
        reached: dict[str, str] = {}
        loaded: dict[str, Instance] = {}
        for member in chosen:
            one = self._one(member, workspace)
            loaded |= one.instances
            reached |= one.reached
        replays = self._aim.replays
        # the facts are those of the recovery point, and a replay went on from there
        checks = tuple(check for check in self._wired.checks if not (replays and check.level is Level.FACTS))
        with self._phases.step("verify"):
            restored = self._aim.restored(loaded, self._wired.system.objectives)
            self.result.checks += prove(self._bench, checks, restored)
        self.result.checks += tuple(target_reached(name, replays[name], reached[name]) for name in reached)
        self._loaded: Mapping[str, Instance] = loaded

    def _one(self, member: Member, workspace: Workspace) -> Loaded:
        place, source = self._target.places[member.source], member.source
        replays = {name: each for name, each in self._aim.replays.items() if name == source}
        if place.by_scratch:
            return load_into_scratch(self._bench, self._wired, (member,), workspace, self._phases, replays=replays)
        staged = self._staged(workspace, source)
        with self._phases.step("restore", source):
            fetch_all(self._bench, self._wired, member, staged, replays)
        with self._phases.step("load", source):
            into = place.make(self._run, member.facts)
            if source in replays:
                into = replace(into, target=replays[source].target)
            loaded = load(self._bench, self._wired, place.engine, staged, into)
        return Loaded(
            {source: loaded}, replayed(self._wired, member, staged, loaded, phases=self._phases, replays=replays)
        )

    def _staged(self, workspace: Workspace, source: str) -> Path:
        if source not in self._stages:
            beside = self._target.places[source].staging(self._run)
            self._stages[source] = beside or workspace.stage(f"{self._wired.system.id}-{source}")
        return self._stages[source]

    def _wanted(self, doubts: tuple[CheckResult, ...]) -> bool:
        checks = (*doubts, *self.result.checks)
        looked = any(check.status is not CheckStatus.SKIPPED for check in checks)
        return (looked and not not_passed(checks)) or self._target.accept_failed

    def _settle(self, workspace: Workspace, accepted: tuple[str, ...]) -> None:
        assert self.result.swap is not None
        moves: list[Move] = []
        with self._phases.step("settle"):
            for source, instance in self._loaded.items():
                place = self._target.places[source]
                place.settle(self._run, self._stages.get(source, workspace.path), instance)
                moves += place.moves(self._run, source)
        # every source is proven and beside; from here on nothing that was brought is taken away
        self._note(replace(self.result.swap, phase=SwapPhase.PROVEN, moves=tuple(moves), accepted=accepted))

    def _swap(self) -> None:
        assert self.result.swap is not None
        with self._phases.step("swap"):
            self.result.swap = self._swapper.together(self.result.swap)
        # T5 and T6 of what a person has to start first are measured by --finish, once it answers
        if not waits_for_people(self._target.places, self.result.swap):
            self._course.usable()

    def _prove_in_place(self, sources: tuple[str, ...]) -> None:
        with self._phases.step("verify-in-place"):
            found, self.result.instances = prove_in_place(self._bench, self._wired, self._target, self._aim, self._run)
            self.result.checks += found
        self.result.by_hand = left_to_people(self._target.places, self.result.instances, self._run)
        for source in sources:
            self._target.places[source].tidy(self._run)
        assert self.result.swap is not None
        if not waits_for_people(self._target.places, self.result.swap):
            self._course.verified()
            if not not_passed(found):
                self._note(replace(self.result.swap, course=self._course.so_far))

    def _give_up(self) -> None:
        """What was not proven goes again; what was is kept."""
        swap = self.result.swap
        if swap is not None and swap.phase is SwapPhase.BESIDE:
            drop(self._bench, self._target.book, swap, self._target.places)
            self.result.swap = self._target.book.read(swap.system, swap.run)


def left_to_people(places: Places, answering: Mapping[str, Instance], run: str) -> tuple[str, ...]:
    """What a person has to type, in order, until everything in place answers, and is what it was."""
    started = tuple(place.by_hand for name, place in places.items() if place.by_hand and name not in answering)
    return (*started, *(line for name in answering for line in places[name].lacking(run)))


def waits_for_people(places: Places, swap: Swap) -> bool:
    """Whether a server in place does not answer yet: nobody can use it, and no time of the restore has come to its end."""
    mine = (places[source] for source in swap.sources)
    return any(place.by_hand and place.live(swap.run) is None for place in mine)


def not_passed(checks: tuple[CheckResult, ...]) -> tuple[str, ...]:
    """Without those of sources that were not asked for."""
    well = (CheckStatus.PASS, CheckStatus.SKIPPED)
    return tuple(check.name for check in checks if check.status not in well)


def prove_in_place(
    bench: Bench, wired: WiredSystem, target: ToOriginal, aim: Aim, run: str
) -> tuple[tuple[CheckResult, ...], dict[str, Instance]]:
    """The checks once more, of what is in place and answers; those of the facts not, for people work in it by now."""
    live = {source: instance for source, place in target.places.items() if (instance := place.live(run)) is not None}
    if not live:
        return (), {}
    checks = tuple(check for check in wired.checks if check.level is not Level.FACTS)
    # people may have written since the swap; what came back was held to its instant before
    ends = bench.clock.now() + timedelta(seconds=CLOCK_TOLERANCE)
    found = prove(bench, checks, replace(aim.restored(live, wired.system.objectives), ends=ends))
    # one of a source that a person has to start first was made on scratch; it is made here by --finish
    made = [check for check in found if check.status is not CheckStatus.SKIPPED]
    return tuple(replace(check, name=f"{check.name}{IN_PLACE}") for check in made), live
