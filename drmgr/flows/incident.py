"""An incident's course as people tell it: held against the clock and against itself, and added to what is sealed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from drmgr.errors import UsageError
from drmgr.flows.bench import Bench, recorded
from drmgr.interfaces import IncidentNotes
from drmgr.model import NOTHING_TOLD, About, CorrectiveAction, EvidenceEntry, IncidentNote, RunKind, Timeline, Told

STAGES = ("T0 (fault)", "T1 (noticed)", "T2 (accepted)", "T3 (decided)")


def refuse_disorder(told: Told, begun: datetime) -> None:
    """Raises UsageError unless T0 to T3, as far as they are known, follow each other and none is after ``begun``."""
    known = [(name, instant) for name, instant in zip(STAGES, told.stages(), strict=True) if instant is not None]
    for (before, first), (after, second) in pairwise(known):
        if second < first:
            raise UsageError(
                f"{after} at {_shown(second)} is before {before} at {_shown(first)}",
                hint="T0 to T3 follow each other; leave out what nobody knows",
            )
    for name, instant in known:
        if instant > begun:
            raise UsageError(
                f"{name} at {_shown(instant)} is after the restore began, at {_shown(begun)}",
                hint="only what was before the restore is told; the rest is measured",
            )


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S%z}"


@dataclass(frozen=True)
class Known:
    """A sealed restore, and what the notes that came after it tell, oldest first. Targets are seconds."""

    about: About
    timeline: Timeline
    rto_target: float
    rpo_target: float
    told: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Addition:
    """What a person adds."""

    told: Told = NOTHING_TOLD
    cause: str = ""
    words: str = ""
    actions: tuple[CorrectiveAction, ...] = ()


def merged(timeline: Timeline, told: Sequence[Told]) -> Timeline:
    """The course with what was told later in place of what was told before."""
    names = ("fault", "noticed", "accepted", "decided")
    for each in told:
        stages = {f"t{number}": getattr(each, name) for number, name in enumerate(names)}
        timeline = replace(timeline, **{name: at for name, at in stages.items() if at is not None})
    return timeline


def note(bench: Bench, notes: IncidentNotes, known: Known, added: Addition) -> EvidenceEntry:
    """Seals the addition as a document of its own, and records who added it.

    Raises UsageError for an empty addition and for times out of order, EvidenceError, KeystoreError.
    """
    if added == Addition():
        raise UsageError("there is nothing to add", hint="give a time, --cause, --said or --action")
    line = merged(known.timeline, (*known.told, added.told))
    if line.begun is not None:
        refuse_disorder(Told(line.t0, line.t1, line.t2, line.t3), line.begun)
    about = known.about
    with recorded(bench, RunKind.INCIDENT_NOTE, about.system, f"about {about.run}") as run:
        entry = notes.add(
            IncidentNote(
                run=run.run.id,
                about=about,
                told=added.told,
                timeline=line,
                rto_target=known.rto_target,
                rpo_target=known.rpo_target,
                cause=added.cause,
                words=added.words,
                actions=added.actions,
                site=bench.site,
                timezone=bench.timezone,
                host=bench.host,
                operator=bench.operator,
                at=bench.clock.now(),
            )
        )
        run.detail.update(evidence=entry.id, about=about.evidence)
    return entry
