"""How a system stands by its drills: what the signed evidence tells, and what should have been played."""

from collections.abc import Iterator
from datetime import datetime

from drmgr.flows.watched import CLOCK_TOLERANCE, DRILL_GRACE, DeclaredDrill, DrillProof, Watched, code_of, ended, span
from drmgr.interfaces import Catalog
from drmgr.model import RunKind
from drmgr.trouble import Problem


def drill_problems(watched: Watched, catalog: Catalog, begun: datetime | None, now: datetime) -> Iterator[Problem]:
    """``begun`` is when the system's first recovery point was made; None: there was none yet."""
    system = watched.system.id
    for proof in watched.proofs:
        yield from _of_proof(watched, proof, now)
    for drill in watched.drills:
        yield from _without_evidence(watched, catalog, drill)
        yield from _off_schedule(watched, drill, now)
    # the newest of a drill may have failed, and hide one that passed before
    passed = [*(proof.at for proof in watched.proofs if proof.passed), *([watched.passed] if watched.passed else [])]
    last = max(passed, default=begun)
    if last is not None and now - last > watched.drill_within:
        age, within = now - last, watched.drill_within
        unproven = f"no drill has passed for {span(within)} or longer, and the first backup is"
        text = f"{'the last drill that passed is' if passed else unproven} {span(age)} old"
        yield Problem(system, "drill-overdue", text, figures={"age": age.total_seconds()})


def _of_proof(watched: Watched, proof: DrillProof, now: datetime) -> Iterator[Problem]:
    system = watched.system.id
    where = f" from the copy {proof.place}" if proof.place else ""
    subject = f"{proof.drill}{where}"
    if proof.broken:
        yield Problem(system, "evidence-broken", f"evidence of {proof.drill}: {proof.broken}", proof.drill)
    elif not proof.passed:
        if not _made_up_for(watched, proof):
            text = f"the last drill {subject} came to: {proof.verdict}"
            yield Problem(system, "drill-failed", text, subject)
    elif proof.at > now + CLOCK_TOLERANCE:
        yield Problem(system, "clock", f"drill {proof.drill} was played in the future: the clock is wrong", proof.drill)
    elif _newest_passed(watched) is proof and proof.rto is not None and proof.rto.measured is not None:
        rto, took = watched.system.objectives.rto.total_seconds(), proof.rto.measured
        if took > rto:
            # it passed by what was promised then
            text = f"the last drill {subject} took {took:.0f} s, promised are {rto:.0f} s"
            yield Problem(system, "rto-missed", text, subject, {"took": took, "rto": rto})


def _made_up_for(watched: Watched, failed: DrillProof) -> bool:
    """Whether a drill that is not declared any more was followed by one that proves as much of the same place."""
    if any(drill.name == failed.drill for drill in watched.drills):
        return False
    return any(
        other.passed and other.at > failed.at and other.place == failed.place and other.level >= failed.level
        for other in watched.proofs
    )


def _newest_passed(watched: Watched) -> DrillProof | None:
    return max((proof for proof in watched.proofs if proof.passed), key=lambda each: each.at, default=None)


def _without_evidence(watched: Watched, catalog: Catalog, drill: DeclaredDrill) -> Iterator[Problem]:
    """A drill that failed so early that it left none."""
    proven = max((proof.at for proof in watched.proofs if proof.drill == drill.name), default=None)
    last = next(iter(catalog.runs(drill.name, RunKind.DRILL, decided=True, limit=1)), None)
    if last is None or last.detail.get("evidence"):
        return
    if proven is None or last.started_at > proven:
        text = f"drill {drill.name} {ended(last)}"
        yield Problem(watched.system.id, "drill-failed", text, drill.name, {"error": code_of(last)})


def _off_schedule(watched: Watched, drill: DeclaredDrill, now: datetime) -> Iterator[Problem]:
    if drill.cron is None or drill.since is None:
        return
    played = max((proof.at for proof in watched.proofs if proof.drill == drill.name), default=drill.since)
    at = drill.cron.latest(now - DRILL_GRACE)
    if at > max(played, drill.since):
        late = now - at
        text = f"drill {drill.name} was due {span(late)} ago and was not played"
        yield Problem(watched.system.id, "drill-overdue", text, drill.name, {"late": late.total_seconds()})
