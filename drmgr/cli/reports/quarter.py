"""``drmgr report quarter``: gathers a quarter's facts from repositories, catalog and evidence, and sets the report."""

import hashlib
import json
import math
from bisect import bisect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.reports.report import Language
from drmgr.errors import DrmgrError, PreflightError, RepositoryDamagedError
from drmgr.model import Json, RunKind, Text
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.cli.reports.quarter_evidence import Evidence
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job
    from drmgr.flows.points import SealedPoint
    from drmgr.flows.quarter import Period, Proof, Saved, SystemYear, Undeclared
    from drmgr.flows.shipped import LogRange
    from drmgr.interfaces import Repository
    from drmgr.model import RecoveryPoint

AT_THE_SAME_TIME = 4


def quarter(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="QUARTER", help="For instance 2026Q4.")],
    lang: Annotated[Language, typer.Option(help="zh or en.")] = "zh",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: beside the evidence.")] = None,
) -> None:
    """The quarter's report (灾备季度报告) as a signed PDF, and its tables as a workbook.

    What is not proven is shown as not proven; the conclusion is left to people.
    """
    from drmgr.cli.reports.report import sign_report
    from drmgr.evidence.pades import ready_to_sign
    from drmgr.evidence.render import render
    from drmgr.evidence.tables import write_workbook
    from drmgr.flows.quarter import quarter as period_of

    answers = output(context)
    with site(context) as opened:
        period = period_of(name, opened.zone)
        period.refuse_unbegun(opened.clock.now())
        labels = quarter_labels(lang)
        data = gather(opened, period, labels)
        folder = out.absolute() if out else opened.evidence_directory / "reports"
        stem = f"{period.name}-quarter-{lang}"
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max_workers=1) as meanwhile:
            # the typesetter is a process of its own: what signing needs is loaded while it works
            setting = meanwhile.submit(render, "quarter", lang, data, folder / f"{stem}.pdf", name=period.name)
            ready_to_sign()
            tables = write_workbook(folder / f"{stem}.xlsx", data, labels, lang)
            figures = folder / f"{stem}.json"
            write_atomically(figures, figures_bytes(data["report"]), mode=0o644)
            pdf = setting.result()
        sign_report(opened, pdf)
    document = {"report": str(pdf), "tables": str(tables), "figures": str(figures), "sha256": data["sha256"]}
    document["problems"] = len(data["report"]["problems"])
    answers.answer(document, lambda console: console.print(f"{pdf}\n{tables}\n{figures}", soft_wrap=True, markup=False))


def quarter_labels(lang: Language) -> Json:
    """The words of the report."""
    templates = files("drmgr.evidence") / "templates"
    own, common = (
        json.loads((templates / name).read_text(encoding="utf-8"))[lang] for name in ("quarter.json", "labels.json")
    )
    return {**own, "errors": common["errors"]}


def gather(opened: "Site", period: "Period", labels: Json) -> Json:
    """Everything that the template reads."""
    from drmgr.cli.reports.quarter_copies import sound_copies
    from drmgr.evidence.compliance import PACKAGED, compliance
    from drmgr.flows.quarter import measures
    from drmgr.flows.undeclared import undeclared

    # before the clock is asked: what is made meanwhile is not left out as lying ahead
    found, evidence = _systems(opened, period)
    runs = opened.catalog.runs(kind=RunKind.BACKUP, since=period.begin, until=period.end)
    missing = undeclared(period, opened.loaded.jobs, runs, evidence.drills, opened.config.retired)
    now = opened.clock.now()
    edited = opened.loaded.base / PACKAGED.name
    copies, behind = sound_copies(opened, period)
    report = report_of(period, found, now, labels, missing, [*evidence.problems, *behind])
    report["evidence"] = sorted([*report["evidence"], *evidence.others], key=lambda each: each["file"])
    figures = measures(
        report["systems"],
        copies=copies,
        lock_days=_lock_days(opened),
        retention_years=_retention_years(opened),
        undeclared=len(missing),
    )
    report["compliance"] = compliance(edited if edited.is_file() else PACKAGED, figures)
    return _document(opened, period, report, now)


def report_of(
    period: "Period",
    found: "list[SystemYear]",
    now: datetime,
    labels: Json,
    undeclared: "Sequence[Undeclared]" = (),
    more: "Sequence[Json]" = (),
) -> Json:
    """The report's tables but for the rules; where a drill stands in the charts goes with it. ``more`` are problems."""
    from drmgr.flows import quarter as facts
    from drmgr.flows.undeclared import problems_of

    told = [facts.summary(period, each, now) for each in found]
    for each in told:
        for drill in each["drills"]:
            drill["position"] = _position(period, datetime.fromisoformat(drill["at"]))
    vanished = [
        {"system": each.system, "points": each.points, "drills": [*map(facts.played_json, each.drills)]}
        for each in undeclared
    ]
    rows = [*problems_of(period, undeclared), *facts.problems(period, found, told, now), *more]
    rows.sort(key=lambda row: (row["at"] or "", row["system"]))
    return {
        "name": period.name,
        "begin": period.begin.date().isoformat(),
        "end": (period.end.date() - timedelta(days=1)).isoformat(),
        "running": now < period.end,
        "months": _months(period),
        "systems": told,
        "undeclared": vanished,
        "totals": _totals(told, vanished, _days_over(period, now)),
        "trend": facts.trend(period, [*found, *undeclared], period.zone),
        "problems": [{**row, "text": _problem_text(row, labels)} for row in rows],
        "evidence": _annex([*told, *vanished]),
    }


def _document(opened: "Site", period: "Period", report: Json, now: datetime) -> Json:
    from drmgr.config.models import text_of

    return document_of(period, report, now, text_of(opened.config.site.name), opened.host)


def document_of(period: "Period", report: Json, now: datetime, site_name: Text, host: str) -> Json:
    """The report with its header, in the form that all templates share."""
    from drmgr.system.clock import rfc3339

    local = now.astimezone(period.zone)
    header = {
        "number": f"QR-{period.name}-{local:%Y%m%d}",
        "site": {"zh": site_name.zh, "en": site_name.en},
        "timezone": str(period.zone),
        "host": host,
        "finished_at": rfc3339(local.replace(microsecond=0)),
        "occasion": "",
        "scenario": "",
        "form": "",
    }
    predicate = {"header": header, "backup_set": [], "environment": {"target": ""}}
    return {"predicate": predicate, "report": report, "sha256": hashlib.sha256(figures_bytes(report)).hexdigest()}


def figures_bytes(report: Json) -> bytes:
    """The figures as they lie beside the PDF: the hash on its cover is of this file."""
    return json.dumps(report, sort_keys=True, ensure_ascii=False, indent=1).encode()


# --- what is known of the systems -------------------------------------------------------------------------------------


def _systems(opened: "Site", period: "Period") -> "tuple[list[SystemYear], Evidence]":
    """Those that are declared, and the evidence of these and others."""
    from drmgr.cli.reports.quarter_evidence import add_taken_away, read_all

    jobs = sorted(opened.loaded.jobs.values(), key=lambda job: (job.tier, job.system))
    # opened once, before the threads ask for them
    _ = opened.catalog, opened.bucket
    with ThreadPoolExecutor(max_workers=AT_THE_SAME_TIME) as pool:
        known: list[RecoveryPoint] = []
        asked = pool.map(lambda job: _system(opened, job, known), jobs)
        # while restic works
        evidence = read_all(opened, period)
        systems = [replace(found, drills=tuple(evidence.drills.get(found.system.id, ()))) for found in asked]
    add_taken_away(opened, period, evidence, known)
    return systems, evidence


def _system(opened: "Site", job: "Job", known: "list[RecoveryPoint]") -> "SystemYear":
    """What is known of one system; its points are added to ``known``."""
    from drmgr.config.models import system_of
    from drmgr.flows.acceptance import accepted_in
    from drmgr.flows.points import find
    from drmgr.flows.quarter import Proof, SystemYear
    from drmgr.flows.shipped import ranges_in
    from drmgr.flows.suspicion import open_doubts
    from drmgr.model import PointStatus
    from drmgr.state.bulk import BulkMemory

    unasked, damage, saved = "", 0, []
    # what a person said of a point lies in the repository: where that cannot be asked, nobody has said anything
    accepted: frozenset[str] = frozenset()
    try:
        repository = opened.repository(job.system)
        found = find(repository, BulkMemory(opened.catalog, job.system), job.system)
        points, lies = _as_sealed(repository, found.points)
        damage, accepted = len(found.problems) + lies, accepted_in(found.snapshots)
        known += [sealed.point for sealed in points]
        whole = [sealed.point for sealed in points if sealed.point.status is PointStatus.COMPLETE]
        saved = [_saved(point, Proof.SEALED, accepted) for point in whole]
        if len(job.sources) == 1 and opened.has_log(job.sources[0]):
            # of several sources one may lag behind: then only whole points count
            source = job.sources[0].name
            doubted = frozenset(each.point.id for each in points if open_doubts(each.point, accepted))
            saved += shipped(points, ranges_in(found.snapshots, source), source, doubted)
    except DrmgrError as error:
        unasked = error.code
    gone = opened.care_book.expired("", job.system)
    saved += [_saved(point, Proof.EXPIRED, accepted) for point in gone if point.status is PointStatus.COMPLETE]
    runs = tuple(opened.catalog.runs(job.system, RunKind.BACKUP))
    return SystemYear(system_of(job), tuple(saved), runs, (), unasked, damage)


def _as_sealed(repository: "Repository", points: "Sequence[SealedPoint]") -> "tuple[Sequence[SealedPoint], int]":
    """Without the newest, and one, when its seal does not tell what the catalog remembers of it. Raises RepositoryError."""
    from drmgr.flows.points import believed

    try:
        for newest in points[-1:]:
            believed(repository, newest)
    except (PreflightError, RepositoryDamagedError):
        return points[:-1], 1
    return points, 0


def shipped(
    points: "Sequence[SealedPoint]", ranges: "Sequence[LogRange]", source: str, doubted: frozenset[str] = frozenset()
) -> "list[Saved]":
    """What the shipped logs made safe; only those that can be reached from a point without one missing.

    After a point whose id is ``doubted`` they are in doubt too, until one that is not: from wherever a replay begins, it goes
    through what was doubted.
    """
    from drmgr.flows.quarter import Proof, Saved
    from drmgr.flows.reach import reach

    found: dict[str, Saved] = {}
    covered: datetime | None = None
    states = sorted((each.point.consistent_at, each.point.id in doubted) for each in points)
    for sealed in points:
        member = next((each for each in sealed.point.members if each.source == source), None)
        if member is None or (covered is not None and member.consistent_at < covered):
            # the logs of the point before go on beyond this one
            continue
        reached = reach(member, ranges)
        if reached is None:
            continue
        covered = reached.until
        for each in reached.ranges:
            if each.until is not None:
                found[each.snapshot.id] = Saved(
                    each.snapshot.time, each.until, Proof.SHIPPED, _in_doubt(states, each.until)
                )
    return list(found.values())


def _in_doubt(states: "Sequence[tuple[datetime, bool]]", until: datetime) -> bool:
    """Whether the newest point up to then is in doubt."""
    before = bisect(states, (until, True))
    return before > 0 and states[before - 1][1]


def _saved(point: "RecoveryPoint", proof: "Proof", accepted: frozenset[str]) -> "Saved":
    from drmgr.flows.quarter import Saved
    from drmgr.flows.suspicion import open_doubts

    return Saved(point.created_at, point.consistent_at, proof, bool(open_doubts(point, accepted)))


# --- what is made of it -----------------------------------------------------------------------------------------------


def _lock_days(opened: "Site") -> int:
    lock = getattr(opened.config.store, "object_lock", None)
    return lock.days if lock else 0


def _retention_years(opened: "Site") -> int | None:
    """Of the system that keeps its points for the fewest; None where one has no rules, which say how long."""
    rules = [job.retention or opened.config.retention for job in opened.loaded.jobs.values()]
    return min((each.yearly for each in rules if each), default=None) if all(rules) else None


def _annex(told: list[Json]) -> list[Json]:
    by_file = {drill["file"]: drill for each in told for drill in each["drills"]}
    return [{key: by_file[name][key] for key in ("number", "file", "sha256", "broken")} for name in sorted(by_file)]


def _totals(told: list[Json], vanished: list[Json], over: int) -> Json:
    """Of systems without a job nothing is proven in all the days that are ``over``."""
    drills = {drill["file"]: drill["verdict"] for each in (*told, *vanished) for drill in each["drills"]}
    verdicts = list(drills.values())
    return {
        "systems": len(told) + len(vanished),
        "proven": sum(each["days"]["proven"] for each in told),
        "elapsed": sum(each["days"]["elapsed"] for each in told) + over * len(vanished),
        "rpo": sum(each["rpo"]["share"] == 1 for each in told),
        "drilled": sum(each["passed_in_quarter"] for each in told),
        "rto": sum(each["rto"]["worst"] is not None and each["rto"]["worst"] <= each["rto"]["target"] for each in told),
        "verdicts": [verdicts.count(word) for word in ("passed", "failed", "error")],
    }


def _days_over(period: "Period", now: datetime) -> int:
    """Days of the quarter that have ended."""
    return max(0, (min(now.astimezone(period.zone).date(), period.end.date()) - period.begin.date()).days)


def _months(period: "Period") -> list[Json]:
    begins = [period.begin.replace(month=period.begin.month + number) for number in range(3)]
    return [{"name": f"{each:%Y-%m}", "position": _position(period, each)} for each in begins]


def _position(period: "Period", at: datetime) -> float:
    """Where in the quarter, from 0 to 1."""
    return (at - period.begin) / (period.end - period.begin)


def _problem_text(row: Json, labels: Json) -> str:
    figures = dict(row["figures"])
    if "share" in figures:
        figures["share"] = f"{int(figures['share'] * 1000) / 10:.1f}%"
    if "longest" in figures:
        longest = figures["longest"]
        figures["longest"] = labels["not_proven"] if longest is None else _span(longest, labels["units"])
    for name in ("measured", "target"):
        if name in figures:
            figures[name] = _span(figures[name], labels["units"], exact=True)
    for name in ("error", "why"):
        if name in figures:
            figures[name] = labels["errors"].get(figures[name], figures[name])
    if "verdict" in figures:
        figures["verdict"] = labels["verdicts"].get(figures["verdict"], figures["verdict"])
    return str(labels["problem_codes"][row["code"]].format(**figures))


def _span(seconds: float, units: Json, *, exact: bool = False) -> str:
    """To the minute; ``exact``: to the second, rounded up, so that a promise missed by less does not look kept."""
    whole = math.ceil(seconds) if exact else int(seconds)
    minutes = whole // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, units["d"]), (hours, units["h"]), (rest, units["min"]), (whole % 60 if exact else 0, units["s"])]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or f"{whole} {units['s']}"
