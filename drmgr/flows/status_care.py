"""How a system stands by the care of its repositories: copies, locks, and what looking through them found."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from drmgr.errors import DrmgrError, RepositoryDamagedError
from drmgr.flows.copying import Standing
from drmgr.flows.watched import Watched, code_of, ended, span
from drmgr.interfaces import Catalog
from drmgr.model import Run, RunKind, RunStatus
from drmgr.trouble import Problem

LOOKS = 400
"""How far back damage is remembered: a daily look for more than a year."""


def care_problems(watched: Watched, catalog: Catalog, begun: datetime, now: datetime) -> Iterator[Problem]:
    """``begun`` is when the system's first recovery point was made, whether it is still there; now if there was none."""
    yield from _protection(watched, catalog, begun, now)
    copies = watched.copies()
    for name, held in copies.items():
        yield from _of_copy(watched, name, held)
    looks = catalog.runs(watched.system.id, RunKind.REPO_CHECK, decided=True, limit=LOOKS)
    for place in ("", *copies):
        yield from _looks(watched, [run for run in looks if run.detail.get("place", "") == place], place)


def _protection(watched: Watched, catalog: Catalog, begun: datetime, now: datetime) -> Iterator[Problem]:
    """What the last ``repo protect`` of each place found, and whether there was one before the locks can run out."""
    system = watched.system.id
    runs = catalog.runs(system, RunKind.PROTECT, limit=100) if watched.locked else []
    for copy, days in watched.locked.items():
        ours = [run for run in runs if _of_place(run, copy)]
        if ours and ours[0].detail.get("problems"):
            yield Problem(system, "unprotected", f"{ours[0].detail['problems'][0]}{_in(copy)}", copy)
            continue
        since = next((run.started_at for run in ours if run.status is RunStatus.OK), begun)
        if now - since > days / 2:
            age = now - since
            told = f"no lock was extended for {span(age)}{_in(copy)}, and they last {span(days)}"
            yield Problem(system, "unprotected", told, copy, {"age": age.total_seconds()})


def _of_place(run: Run, copy: str) -> bool:
    """Whether it was a protection of that place that came to its end."""
    closed = run.status in {RunStatus.OK, RunStatus.INCOMPLETE, RunStatus.FAILED}
    return closed and not run.detail.get("dry_run") and run.detail.get("copy", "") == copy


def _of_copy(watched: Watched, name: str, held: Standing | DrmgrError) -> Iterator[Problem]:
    """A copy, as it tells itself what it holds."""
    system = watched.system.id
    if isinstance(held, DrmgrError):
        text = f"the copy {name} cannot be asked: {held.message}"
        yield Problem(system, "copy-unreachable", text, name, {"error": held.code})
        return
    if held.problems:
        text = f"the copy {name}: {held.problems[0]}"
        yield Problem(system, "copy-damaged", text, name, {"count": len(held.problems)})
    if held.lag is None:
        yield Problem(system, "copy-behind", f"the copy {name} holds no complete recovery point", name)
    elif not held.met:
        text = f"the newest data in the copy {name} are {span(held.lag)} old, promised are {span(held.rpo)}"
        figures = {"age": held.lag.total_seconds(), "rpo": held.rpo.total_seconds()}
        yield Problem(system, "copy-behind", text, name, figures)


def _looks(watched: Watched, runs: Sequence[Run], place: str) -> Iterator[Problem]:
    """What ``repo check`` found there, until all that showed damage was read once more and found sound."""
    failed = next((run for number, run in enumerate(runs) if _still_wrong(run, runs[:number])), None)
    if failed is not None:
        text = f"looking through the repository{_in(place)} {_found(failed)}"
        yield Problem(watched.system.id, "check-failed", text, place, {"count": failed.detail.get("errors", "")})


def _found(run: Run) -> str:
    if run.error:
        return ended(run)
    points = ", ".join(run.detail.get("points", ())) or "none that is known"
    return f"found {run.detail.get('errors')} errors; recovery points that they touch: {points}"


def _still_wrong(run: Run, later: Sequence[Run]) -> bool:
    """Whether it found damage, and all that showed it was not read again since."""
    if run.status is not RunStatus.FAILED:
        return False
    return not any(other.status is RunStatus.OK and _covers(other, run) for other in later)


def _covers(sound: Run, damaged: Run) -> bool:
    if damaged.error is not None and code_of(damaged) != RepositoryDamagedError.code:
        # nothing could be looked at, and now something could
        return True
    if float(sound.detail.get("share", 0.0)) == 1.0 or damaged.detail.get("share") == 0.0:
        # a part is chosen by chance: another one proves nothing of it
        return True
    groups, since = sound.detail.get("groups"), sound.detail.get("all_read_since")
    # a group that was found broken is read again by the next call of as many groups
    again = groups is not None and groups == damaged.detail.get("groups")
    return again or (since is not None and datetime.fromisoformat(since) > damaged.started_at)


def _in(copy: str) -> str:
    return f" in the copy {copy}" if copy else ""
