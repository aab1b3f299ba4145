"""A drill: bring systems back on scratch, prove them, measure the time, destroy everything, seal the evidence."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from drmgr.errors import DrmgrError, ScratchError
from drmgr.flows.abreast import Abreast
from drmgr.flows.bench import Bench, WiredSystem, recorded
from drmgr.flows.bringback import Phases, prove_across
from drmgr.flows.story import Fault, Story, Wanted, note_dependencies
from drmgr.flows.turns import Candidate, Limits, Turns, in_order
from drmgr.interfaces import AcrossCheck
from drmgr.model import (
    Destruction,
    DrillRecord,
    EvidenceEntry,
    Level,
    OccasionKind,
    RunKind,
    RunStatus,
    Text,
    Verdict,
)

ONE_AT_A_TIME = Limits(1, 0, 1 << 62)


@dataclass(frozen=True)
class DrillPlan:
    """What is to be played; ``level`` is the least that counts as passed, ``copy`` the place all comes from.

    ``at`` goes on from the point by the logs: to ``newest``, the last instant that was shipped, or to a time. Of several
    systems, one that ships no logs comes back to its newest point before that.
    """

    name: str
    title: Text
    scenario: str
    form: str
    systems: tuple[WiredSystem, ...]
    point: str
    level: Level
    approval: str = ""
    copy: str = ""
    at: str = ""
    across: tuple[AcrossCheck, ...] = ()
    limits: Limits = ONE_AT_A_TIME


@dataclass(frozen=True)
class DrillDone:
    """The record as sealed, and where its evidence lies."""

    record: DrillRecord
    evidence: EvidenceEntry


def drill(bench: Bench, plan: DrillPlan) -> DrillDone:
    """Plays the drill. A bad backup does not raise: the verdict says it, and evidence is sealed all the same.

    Raises LockedError, EvidenceError, KeystoreError.
    """
    with recorded(bench, RunKind.DRILL, plan.name, plan.approval) as run, bench.locks.hold(f"drill-{plan.name}"):
        fault = Fault(bench.clock.now(), bench.clock.monotonic())
        together = Phases(bench, "")
        stories = _play_all(bench, plan, fault, run.run.id, together)
        outcomes = tuple(story.outcome() for story in stories)
        destruction = tuple(proof for proof in bench.scratch.destructions() if run.run.id in proof.path)
        record = DrillRecord(
            run=run.run.id,
            kind=RunKind.DRILL,
            occasion=OccasionKind.DRILL,
            name=plan.name,
            title=plan.title,
            scenario=plan.scenario,
            form=plan.form,
            site=bench.site,
            started_at=fault.at,
            finished_at=bench.clock.now(),
            verdict=overall([*(outcome.verdict for outcome in outcomes), *_not_gone(destruction)]),
            level=min((outcome.level for outcome in outcomes), default=Level.STRUCTURE),
            outcomes=outcomes,
            destruction=destruction,
            target="scratch",
            host=bench.host,
            operator=bench.operator,
            reason=f"drill {plan.name}" + (f" from the copy {plan.copy}" if plan.copy else ""),
            tools=bench.tools,
            timezone=bench.timezone,
            approval=plan.approval,
            copy=plan.copy,
            phases=tuple(together.done),
        )
        entry = bench.evidence.seal(record)
        run.status = RunStatus.OK if record.verdict is Verdict.PASSED else RunStatus.FAILED
        points = {outcome.system.id: outcome.point.id for outcome in outcomes if outcome.point}
        run.detail.update(verdict=record.verdict, evidence=entry.id, copy=plan.copy, points=points)
        run.detail["seconds"] = {
            story.system: round(story.seconds, 3) for story in stories if story.seconds is not None
        }
        return DrillDone(record, entry)


def _not_gone(destruction: Sequence[Destruction]) -> tuple[Verdict, ...]:
    return tuple(Verdict.ERROR for proof in destruction if not proof.gone)


def _play_all(bench: Bench, plan: DrillPlan, fault: Fault, run: str, together: Phases) -> tuple[Story, ...]:
    """All systems, as many at once as the limits allow. Where they are to agree, all stay up until that has been proven."""
    several = len(plan.systems) > 1
    wanted = Wanted(run, plan.point, plan.at, plan.level, together=bool(plan.across), several=several)
    stories = {wired.system.id: Story(bench, wired, wanted, fault) for wired in plan.systems}
    if len(stories) == 1 and not plan.across:
        return tuple(_one(plan, story) for story in stories.values())
    _choose_all(bench, plan.limits, stories)
    candidates = _candidates(bench, plan, stories)
    with ExitStack() as held:
        _bring_back_all(bench, plan, stories, Turns(candidates, plan.limits, holds=wanted.together), held)
        if plan.across:
            with together.step("verify-across"):
                _prove_across(bench, plan, stories)
        _let_go(held, stories)
    order = [each.name for each in in_order(candidates)]
    note_dependencies([stories[name] for name in [*(set(stories) - set(order)), *order]])
    return tuple(stories.values())


def _one(plan: DrillPlan, story: Story) -> Story:
    """In the main thread: a signal arrives there, and ends whatever is under way."""
    story.choose()
    candidate = story.candidate(None)
    if candidate is not None and Turns([candidate], plan.limits).take() is None:
        story.error = _too_large(candidate, plan.limits)
    else:
        _alone(story)
    return story


def _choose_all(bench: Bench, limits: Limits, stories: Mapping[str, Story]) -> None:
    """The points first: by them it is known what each system needs."""
    unweighed = Limits(limits.parallel, 0, 0)

    def act(candidate: Candidate, _usable: Callable[[], None]) -> None:
        stories[candidate.name].choose()

    turns = Turns([Candidate(name) for name in stories], unweighed)
    Abreast(turns, act, lambda _candidate: None, lambda: _stop(bench)).run()


def _candidates(bench: Bench, plan: DrillPlan, stories: Mapping[str, Story]) -> list[Candidate]:
    before: Mapping[str, float] = {}
    for run in bench.catalog.runs(plan.name, RunKind.DRILL):
        if isinstance(run.detail.get("seconds"), dict):
            before = run.detail["seconds"]
            break
    found = (story.candidate(before.get(name)) for name, story in stories.items())
    return [candidate for candidate in found if candidate is not None]


def _bring_back_all(bench: Bench, plan: DrillPlan, stories: Mapping[str, Story], turns: Turns, held: ExitStack) -> None:
    def act(candidate: Candidate, usable: Callable[[], None]) -> None:
        story = stories[candidate.name]
        if not plan.across:
            _alone(story, usable)
            return
        with ExitStack() as own:
            story.bring_back(own, usable)
            held.push(own.pop_all())

    def refuse(candidate: Candidate) -> None:
        stories[candidate.name].error = _too_large(candidate, plan.limits)

    Abreast(turns, act, refuse, lambda: _stop(bench)).run()


def _stop(bench: Bench) -> None:
    bench.work.stop_all()
    bench.scratch.halt()


def _too_large(candidate: Candidate, limits: Limits) -> ScratchError:
    return ScratchError(
        f"{candidate.name} needs {candidate.memory} bytes of memory and {candidate.disk} bytes of disk, and what is left "
        f"of the drill's {limits.memory} and {limits.disk} does not suffice",
        hint="raise scratch.memory or scratch.disk in the site file; a drill with across keeps all its systems up",
    )


def _prove_across(bench: Bench, plan: DrillPlan, stories: Mapping[str, Story]) -> None:
    restored = {name: story.restored for name, story in stories.items() if story.restored is not None}
    for check in plan.across:
        result = prove_across(bench, check, restored)
        for name in check.systems:
            stories[name].agree(result)


def _let_go(held: ExitStack, stories: Mapping[str, Story]) -> None:
    try:
        held.close()
    except DrmgrError as error:
        # a workspace that could not be destroyed: what was proven stays proven, but the drill did not end well
        last = list(stories.values())[-1]
        last.error = last.error or error


def _alone(story: Story, usable: Callable[[], None] = lambda: None) -> None:
    try:
        with ExitStack() as held:
            story.bring_back(held, usable)
    except DrmgrError as error:
        story.error = story.error or error


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of them; a failure outranks an error, for it is known. None at all is an error."""
    for worst in (Verdict.FAILED, Verdict.ERROR):
        if worst in verdicts:
            return worst
    return Verdict.PASSED if verdicts else Verdict.ERROR
