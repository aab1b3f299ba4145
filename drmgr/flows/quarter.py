"""What a quarter's report says: computed from recovery points, shipped logs, recorded runs and signed evidence. No I/O.

What is not proven is shown as not proven; nothing is concluded here, that is left to people.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import partial

from drmgr.errors import UsageError
from drmgr.model import Json, Run, RunStatus, System
from drmgr.system.clock import rfc3339

DAY = timedelta(days=1)


class Proof(StrEnum):
    """How it is known that data were saved. ``expired``: sealed once, and taken away by the rules of retention."""

    SEALED = "sealed"
    SHIPPED = "shipped"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Period:
    """A quarter in the site's zone; ``end`` is the first instant after it."""

    name: str
    begin: datetime
    end: datetime

    @property
    def zone(self) -> tzinfo:
        assert self.begin.tzinfo is not None
        return self.begin.tzinfo

    def refuse_unbegun(self, now: datetime) -> None:
        """Raises UsageError before its first instant: there is nothing to report."""
        if now < self.begin:
            raise UsageError(
                f"{self.name} has not begun: its first day is {self.begin:%Y-%m-%d}",
                hint="report the quarter that goes on now, or one that is over",
            )

    def weeks(self) -> list[tuple[date, date]]:
        """From Monday to Sunday, the first and the last cut to the quarter; both days belong to it."""
        day, last = self.begin.date(), self.end.date() - DAY
        found = []
        while day <= last:
            sunday = min(day + DAY * (6 - day.weekday()), last)
            found.append((day, sunday))
            day = sunday + DAY
        return found


@dataclass(frozen=True)
class Saved:
    """From ``at`` on, the data up to ``until`` could be brought back.

    ``doubted``: as of a suspicious point that nobody has accepted; whether anybody would want them is not known.
    """

    at: datetime
    until: datetime
    proof: Proof
    doubted: bool = False


@dataclass(frozen=True)
class Played:
    """One system's part in one drill, as its evidence tells it; ``broken`` says why that cannot be believed."""

    at: datetime
    drill: str
    number: str
    verdict: str
    level: int
    rto: float | None
    rto_target: float
    rpo: float | None
    rpo_target: float
    file: str
    sha256: str
    broken: str = ""


@dataclass(frozen=True)
class SystemYear:
    """All that is known of one system. ``unasked`` says why its repository could not be asked, if it could not."""

    system: System
    saved: tuple[Saved, ...]
    runs: tuple[Run, ...]
    drills: tuple[Played, ...]
    unasked: str = ""
    damage: int = 0


@dataclass(frozen=True)
class Undeclared:
    """A system that the quarter knows and no job declares. ``points`` were sealed in it, ``drills`` played in it."""

    system: str
    points: int
    drills: tuple[Played, ...] = ()


def quarter(text: str, zone: tzinfo) -> Period:
    """The quarter of that name, such as 2026Q4. Raises UsageError."""
    match = re.fullmatch(r"(20\d\d)Q([1-4])", text.upper())
    if match is None:
        raise UsageError(f"{text} is no quarter", hint="write it like 2026Q4")
    year, number = int(match[1]), int(match[2])
    begin = datetime(year, 3 * number - 2, 1, tzinfo=zone)
    end = datetime(year + number // 4, 3 * number % 12 + 1, 1, tzinfo=zone)
    return Period(f"{year}Q{number}", begin, end)


def summary(period: Period, found: SystemYear, now: datetime) -> dict[str, Json]:
    """Everything that the report says of one system."""
    played = [each for each in found.drills if period.begin <= each.at < period.end]
    rpo, rto = found.system.objectives.rpo.total_seconds(), found.system.objectives.rto.total_seconds()
    days = _days(period, found, now)
    return {
        "system": found.system.id,
        "title": {"zh": found.system.title.zh, "en": found.system.title.en},
        "tier": found.system.tier,
        "unasked": found.unasked,
        "damage": found.damage,
        "weeks": [_week(week, days, played, period, now) for week in period.weeks()],
        "days": {
            **{word: list(days.values()).count(word) for word in ("proven", "doubted")},
            "elapsed": _elapsed(days),
        },
        "points": sum(_is_point(each, period) for each in found.saved),
        "rpo": {"target": rpo, **_attained(period, found.saved, found.system.objectives.rpo, now)},
        "rto": {"target": rto, **_worst(played)},
        "drills": [played_json(each) for each in sorted(played, key=lambda each: each.at)],
        "passed_in_quarter": any(_passed(each) for each in played),
        "passed_in_year": any(
            _passed(each) and period.end - 365 * DAY <= each.at < period.end for each in found.drills
        ),
    }


def trend(period: Period, systems: Sequence[SystemYear | Undeclared], zone: tzinfo) -> list[dict[str, Json]]:
    """Drills by verdict in this quarter and the three before it."""
    year, number = int(period.name[:4]), int(period.name[5])
    rows = []
    for back in (3, 2, 1, 0):
        index = year * 4 + number - 1 - back
        each = quarter(f"{index // 4}Q{index % 4 + 1}", zone)
        played = {
            (drill.number, _verdict(drill))
            for system in systems
            for drill in system.drills
            if each.begin <= drill.at < each.end
        }
        counts = {word: sum(verdict == word for _, verdict in played) for word in ("passed", "failed", "error")}
        rows.append({"quarter": each.name, **counts})
    return rows


def problems(period: Period, systems: Sequence[SystemYear], summaries: Sequence[Json], now: datetime) -> list[Json]:
    """What went wrong, oldest first; grade, owner, date and re-test are filled in by people."""
    rows: list[Json] = []
    for found, told in zip(systems, summaries, strict=True):
        rows += _problems_of(period, found, told, now)
    return sorted(rows, key=lambda row: (row["at"] or "", row["system"]))


def problem(period: Period, system: str, code: str, at: datetime | None = None, **figures: Json) -> Json:
    """One row of them, its time in the site's zone."""
    when = None if at is None else rfc3339(at.astimezone(period.zone))
    return {"system": system, "code": code, "at": when, "figures": figures}


def drill_problems(period: Period, system: str, played: Sequence[Played]) -> list[Json]:
    """The drills that did not pass."""
    return [
        problem(period, system, "drill-failed", each.at, drill=each.drill, number=each.number, verdict=_verdict(each))
        for each in played
        if not _passed(each)
    ]


def _problems_of(period: Period, found: SystemYear, told: Json, now: datetime) -> list[Json]:
    row = partial(problem, period, found.system.id)
    rows = []
    if found.unasked:
        rows.append(row("unasked", why=found.unasked))
    if found.damage:
        rows.append(row("damaged", count=found.damage))
    for code, runs in _failed_runs(period, found).items():
        rows.append(row("runs-failed", min(run.started_at for run in runs), error=code, count=len(runs)))
    played = [each for each in found.drills if period.begin <= each.at < period.end]
    rows += drill_problems(period, found.system.id, played)
    if slow := _too_slow(played, told["rto"]["target"]):
        rows.append(row("rto-missed", slow[0].at, measured=slow[0].rto, target=slow[1]))
    if doubted := [each.at for each in found.saved if _is_point(each, period) and each.doubted]:
        rows.append(row("points-doubted", min(doubted), count=len(doubted), days=told["days"]["doubted"]))
    missing = told["days"]["elapsed"] - told["days"]["proven"] - told["days"]["doubted"]
    if missing:
        rows.append(row("days-unproven", count=missing))
    if told["rpo"]["share"] is not None and told["rpo"]["share"] < 1:
        rows.append(row("rpo-missed", share=told["rpo"]["share"], longest=told["rpo"]["longest"]))
    if not told["passed_in_quarter"]:
        rows.append(row("not-drilled" if now >= period.end else "not-drilled-yet"))
    return rows


def _failed_runs(period: Period, found: SystemYear) -> dict[str, list[Run]]:
    """By the code of their error."""
    failed: dict[str, list[Run]] = {}
    for run in found.runs:
        bad = run.status in {RunStatus.FAILED, RunStatus.INTERRUPTED} and _code(run) != "locked"
        if bad and period.begin <= run.started_at < period.end:
            failed.setdefault(_code(run), []).append(run)
    return failed


def measures(
    summaries: Sequence[Json], *, copies: int, lock_days: int, retention_years: int | None = None, undeclared: int = 0
) -> dict[str, float | None]:
    """The figures that rules are held against, by name. None: nothing was measured, which meets no rule.

    ``retention_years``: for so many years a point of each is kept by the rules of every declared system.
    Of ``undeclared`` systems nothing is proven, and nobody knows what they were: any of them may have been a key system.
    """
    key = [each for each in summaries if each["tier"] == 1]

    def worst(of: Sequence[Json], measure: str, figure: str) -> float | None:
        values = [each[measure][figure] for each in of]
        return None if undeclared or not values or None in values else max(values)

    days = [each["days"]["proven"] / each["days"]["elapsed"] for each in summaries if each["days"]["elapsed"]]
    days += [0.0] * undeclared
    count = len(summaries) + undeclared
    return {
        "daily_backup_share": min(days, default=None),
        "systems_drilled_this_quarter_share": _share(sum(each["passed_in_quarter"] for each in summaries), count),
        "systems_drilled_this_year_share": _share(sum(each["passed_in_year"] for each in summaries), count),
        "rto_key_systems_worst": worst(key, "rto", "worst"),
        "rto_worst": worst(summaries, "rto", "worst"),
        "rpo_key_systems_worst": worst(key, "rpo", "longest"),
        "rpo_worst": worst(summaries, "rpo", "longest"),
        "copies": float(copies),
        "object_lock_days": float(lock_days),
        "retention_years": None if undeclared or retention_years is None else float(retention_years),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


# --- backups ----------------------------------------------------------------------------------------------------------


def _is_point(saved: Saved, period: Period) -> bool:
    return saved.proof is not Proof.SHIPPED and period.begin <= saved.at < period.end


def _days(period: Period, found: SystemYear, now: datetime) -> dict[date, str]:
    """Each day of the quarter: proven, doubted (it has no points but suspicious ones), run-only, none or future."""
    points = [each for each in found.saved if _is_point(each, period)]
    proven, doubted = (
        {each.at.astimezone(period.zone).date() for each in points if each.doubted is word} for word in (False, True)
    )
    good = {RunStatus.OK, RunStatus.INCOMPLETE}
    recorded = {run.started_at.astimezone(period.zone).date() for run in found.runs if run.status in good}
    days = {}
    day, today = period.begin.date(), now.astimezone(period.zone).date()
    while day < period.end.date():
        if day > today:
            days[day] = "future"
        else:
            known = (("proven", proven), ("doubted", doubted), ("run-only", recorded))
            days[day] = next((word for word, there in known if day in there), "none")
        day += DAY
    # today is not over: only a backup can be told of it
    if days.get(today) == "none" and now < datetime.combine(today + DAY, time(0), tzinfo=period.zone):
        days[today] = "future"
    return days


def _elapsed(days: Mapping[date, str]) -> int:
    return sum(each != "future" for each in days.values())


def _week(
    week: tuple[date, date], days: Mapping[date, str], played: Sequence[Played], period: Period, now: datetime
) -> dict[str, Json]:
    inside = [state for day, state in days.items() if week[0] <= day <= week[1]]
    drilled = [each for each in played if week[0] <= each.at.astimezone(period.zone).date() <= week[1]]
    elapsed = [state for state in inside if state != "future"]
    proven = elapsed.count("proven")
    state = "future" if not elapsed else "proven" if proven == len(elapsed) else "partly" if proven else "none"
    if state == "none":
        state = next((word for word in ("doubted", "run-only") if word in elapsed), "none")
    verdicts = sorted({_verdict(each) for each in drilled})
    begin = week[0].isoformat()
    counts = {"days": len(elapsed), "proven": proven, "doubted": elapsed.count("doubted")}
    return {"begin": begin, **counts, "state": state, "drills": verdicts}


def _attained(period: Period, saved: Sequence[Saved], rpo: timedelta, now: datetime) -> dict[str, Json]:
    """The share of the time so far in which no more than the RPO would have been lost, and the largest loss.

    Time before the first proof counts as not attained. What is in doubt is no proof.
    """
    begin, end = period.begin, min(now, period.end)
    if end <= begin:
        return {"share": None, "longest": None}
    good, longest, newest, since = timedelta(0), timedelta(0), None, begin
    unproven = False
    trusted = [each for each in saved if not each.doubted]
    for each in [*sorted(trusted, key=lambda each: each.at), Saved(end, end, Proof.SEALED)]:
        until = min(max(each.at, begin), end)
        if newest is None:
            unproven = unproven or until > since
        else:
            good += max(timedelta(0), min(until, newest + rpo) - since)
            if until > since:
                longest = max(longest, until - newest)
        since = until
        newest = each.until if newest is None else max(newest, each.until)
    # a point is at an instant: what is lost at most is told only when all of the time is proven
    told = None if unproven else longest.total_seconds()
    # rounded down: a second missed in a quarter must not become all of it
    return {"share": math.floor(good / (end - begin) * 1e6) / 1e6, "longest": told}


# --- drills -----------------------------------------------------------------------------------------------------------


def _verdict(each: Played) -> str:
    """Evidence that cannot be believed proves nothing, whatever it says."""
    return "error" if each.broken else each.verdict


def _passed(each: Played) -> bool:
    return _verdict(each) == "passed"


def _worst(played: Sequence[Played]) -> dict[str, Json]:
    """An RTO is measured where a drill passed. One that did not can only make the worst worse: it took so long as well."""
    passed = [each.rto for each in played if each.rto is not None and _passed(each)]
    measured = [each.rto for each in played if each.rto is not None and not each.broken] if passed else []
    return {"worst": max(measured, default=None), "best": min(passed, default=None), "drills": len(played)}


def _too_slow(played: Sequence[Played], promised: float) -> tuple[Played, float] | None:
    """The slowest drill that took longer than was promised then or is promised now, and what it missed."""
    slow = [
        (each.rto, each, min(each.rto_target, promised))
        for each in played
        if each.rto is not None and not each.broken and each.rto > min(each.rto_target, promised)
    ]
    _, slowest, missed = max(slow, key=lambda row: row[0], default=(0, None, 0.0))
    return None if slowest is None else (slowest, missed)


def played_json(each: Played) -> dict[str, Json]:
    """One system's part in a drill. Quick and wrong is not in time."""
    passed = _passed(each)
    return {
        "at": rfc3339(each.at),
        "drill": each.drill,
        "number": each.number,
        "verdict": _verdict(each),
        "level": each.level,
        "rto": {
            "target": each.rto_target,
            "measured": each.rto,
            "met": passed and each.rto is not None and each.rto <= each.rto_target,
        },
        "rpo": {
            "target": each.rpo_target,
            "measured": each.rpo,
            "met": passed and each.rpo is not None and each.rpo <= each.rpo_target,
        },
        "file": each.file,
        "sha256": each.sha256,
        "broken": each.broken,
    }


def _code(run: Run) -> str:
    return str(run.error.get("code", "")) if run.error else ""
