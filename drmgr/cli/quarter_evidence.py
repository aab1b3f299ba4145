"""The quarter's evidence beside drills: restores in incidents, notes, and documents that are gone."""

from datetime import datetime
from typing import TYPE_CHECKING

from ulid import ULID

from drmgr.errors import EvidenceError
from drmgr.model import Json, OccasionKind, RunKind

if TYPE_CHECKING:
    from drmgr.cli.wire import Site
    from drmgr.evidence.chain import Link
    from drmgr.flows.quarter import Period


def other_evidence(opened: "Site", period: "Period") -> tuple[list[Json], list[Json]]:
    """The annex' entries of all documents but those of drills, and what of them belongs to the quarter's problems."""
    from drmgr.evidence.chain import links
    from drmgr.flows.quarter import problem

    folder = opened.evidence_directory
    found = links(folder) if folder.is_dir() else []
    annex, problems = [], []
    for link in found:
        if not period.begin <= ULID.from_str(link.id).datetime < period.end:
            continue
        predicate, broken = _read(opened, link)
        header = predicate["header"] if predicate else {}
        if header.get("kind") != RunKind.DRILL.value:
            number = header.get("number", link.id)
            annex.append({"number": number, "file": link.path.name, "sha256": link.sha256, "broken": broken})
            problems += _incident(period, predicate or {})
    there = {link.id: link.sha256 for link in found}
    for entry in opened.catalog.evidence():
        if period.begin <= entry.sealed_at < period.end and there.get(entry.id) != entry.sha256:
            problems.append(problem(period, "", "evidence-gone", entry.sealed_at, sequence=entry.sequence))
    return annex, problems


def _read(opened: "Site", link: "Link") -> tuple[Json | None, str]:
    from drmgr.evidence.store import load
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    verdict = verify_path(link.path, evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE))
    try:
        return load(link.path), "" if verdict.ok else verdict.reason
    except EvidenceError as error:
        return None, error.message


def _incident(period: "Period", predicate: Json) -> list[Json]:
    """A restore in a real incident, as a problem of each system that it was for."""
    from drmgr.flows.quarter import problem

    header = predicate.get("header", {})
    if (header.get("kind"), header.get("occasion")) != (RunKind.RESTORE.value, OccasionKind.INCIDENT.value):
        return []
    at = datetime.fromisoformat(header["finished_at"])
    return [
        problem(period, each["system"], "incident", at, number=header["number"], verdict=each["verdict"])
        for each in predicate["verdict"]["systems"]
    ]
