"""What the signed evidence says of a quarter: drills, restores in incidents, notes, and documents that are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ulid import ULID

from drmgr.cli.watching.proofs import read_document
from drmgr.model import Json, OccasionKind, RecoveryPoint, RunKind

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.evidence.chain import Link
    from drmgr.flows.quarter import Period, Played


@dataclass(frozen=True)
class Evidence:
    """``drills`` are all there ever were, by the systems that they played; ``others`` the quarter's other documents.

    ``problems`` are the quarter's incidents, and documents of it that are gone.
    """

    drills: "dict[str, list[Played]]" = field(default_factory=dict)
    others: list[Json] = field(default_factory=list)
    problems: list[Json] = field(default_factory=list)


def read_all(opened: "Site", period: "Period") -> Evidence:
    """Every document once, whichever of the report's tables it belongs to."""
    from drmgr.evidence.chain import links
    from drmgr.flows.quarter import problem

    folder, evidence = opened.evidence_directory, Evidence()
    found = links(folder) if folder.is_dir() else []
    for link in found:
        predicate, broken = read_document(opened, link.path)
        if predicate and predicate["header"].get("kind") == RunKind.DRILL.value:
            _take_drill(evidence, predicate, broken, link)
        elif period.begin <= ULID.from_str(link.id).datetime < period.end:
            _take_other(evidence, predicate or {}, broken, link, period)
    there = {link.id: link.sha256 for link in found}
    for entry in opened.catalog.evidence():
        if period.begin <= entry.sealed_at < period.end and there.get(entry.id) != entry.sha256:
            evidence.problems.append(problem(period, "", "evidence-gone", entry.sealed_at, sequence=entry.sequence))
    return evidence


def add_taken_away(opened: "Site", period: "Period", evidence: Evidence, known: Sequence[RecoveryPoint]) -> None:
    """Documents that recovery points know, and that are not there although the catalog does not miss them."""
    from drmgr.cli.watching.sealed_heads import shortened
    from drmgr.flows.quarter import problem

    told = {row["figures"].get("sequence") for row in evidence.problems}
    for gap in shortened(opened, known):
        if gap.sequence not in told:
            at = opened.clock.now()
            evidence.problems.append(problem(period, "", "evidence-gone", at, sequence=gap.sequence))


def _take_drill(evidence: Evidence, predicate: Mapping[str, Json], broken: str, link: "Link") -> None:
    for verdict in predicate["verdict"]["systems"]:
        played = _played(predicate, verdict, broken, link.path, link.sha256)
        evidence.drills.setdefault(verdict["system"], []).append(played)


def _played(
    predicate: Mapping[str, Json], verdict: Mapping[str, Json], broken: str, path: Path, sha256: str
) -> "Played":
    from drmgr.flows.quarter import Played

    metric = next(each for each in predicate["metrics"] if each["system"] == verdict["system"])
    return Played(
        at=datetime.fromisoformat(predicate["header"]["finished_at"]),
        drill=str(predicate["header"].get("name", "")),
        number=predicate["header"]["number"],
        verdict=verdict["verdict"],
        level=verdict["level"],
        rto=metric["rto"]["measured"],
        rto_target=metric["rto"]["target"],
        rpo=metric["rpo"]["measured"],
        rpo_target=metric["rpo"]["target"],
        file=path.name,
        sha256=sha256,
        broken=broken,
    )


def _take_other(evidence: Evidence, predicate: Mapping[str, Json], broken: str, link: "Link", period: "Period") -> None:
    """Into the annex; a restore in a real incident is a problem of each system that it was for, too."""
    from drmgr.flows.quarter import problem

    header = predicate.get("header", {})
    number = header.get("number", link.id)
    evidence.others.append({"number": number, "file": link.path.name, "sha256": link.sha256, "broken": broken})
    if (header.get("kind"), header.get("occasion")) == (RunKind.RESTORE.value, OccasionKind.INCIDENT.value):
        at = datetime.fromisoformat(header["finished_at"])
        evidence.problems.extend(
            problem(period, each["system"], "incident", at, number=number, verdict=each["verdict"])
            for each in predicate["verdict"]["systems"]
        )
