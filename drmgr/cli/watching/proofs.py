"""What the signed evidence in the folder says of each system's drills."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulid import ULID

from drmgr.errors import EvidenceError
from drmgr.flows.watched import DrillProof
from drmgr.model import Measure, RunKind

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.evidence.chain import Link


@dataclass(frozen=True)
class Proofs:
    """Of one system: the newest evidence of each drill from each place, and when a drill passed last."""

    newest: tuple[DrillProof, ...] = ()
    passed: datetime | None = None


def newest_proofs(opened: "Site") -> dict[str, Proofs]:
    """What is proven of each system.

    The newest of declared drills is looked for as far back as there is any; of others, of other places, and the one that
    passed last, as far back as ``schedule.drill_within``. Raises EvidenceError when the folder cannot be read.
    """
    wanted = {(system, name) for name, drill in opened.loaded.drills.items() for system in drill.systems}
    since = opened.clock.now() - opened.config.schedule.drill_within
    found: dict[tuple[str, str, str], DrillProof] = {}
    passed: dict[str, datetime] = {}
    for link in _links(opened):
        if not wanted and ULID.from_str(link.id).datetime < since:
            break
        name, predicate, broken = read_drill(opened, link.path)
        drill = name or _remembered_name(opened, link)
        for system in _systems(predicate) if predicate else _remembered_systems(opened, link):
            proof = _proof(opened, link, drill, system, predicate, broken)
            found.setdefault((system, drill, proof.place), proof)
            if proof.passed:
                passed[system] = max(proof.at, passed.get(system, proof.at))
            wanted.discard((system, drill))
    proofs: dict[str, list[DrillProof]] = {}
    for (system, _, _), proof in found.items():
        proofs.setdefault(system, []).append(proof)
    return {system: Proofs(tuple(newest), passed.get(system)) for system, newest in proofs.items()}


def missing_evidence(opened: "Site") -> list[str]:
    """Documents that the catalog remembers, and that are not in the folder as they were sealed."""
    there = {link.id: link.sha256 for link in _links(opened)}
    return [
        f"document {entry.sequence} is {'not the one that was sealed' if entry.id in there else 'gone'}"
        for entry in opened.catalog.evidence()
        if there.get(entry.id) != entry.sha256
    ]


def read_drill(opened: "Site", path: Path) -> tuple[str, Mapping[str, Any] | None, str]:
    """Name and content of a drill's evidence, and why it cannot be believed; no content for other kinds."""
    predicate, broken = read_document(opened, path)
    if predicate is None:
        return "", None, broken
    header = predicate["header"]
    if header.get("kind") != RunKind.DRILL.value:
        return "", None, ""
    return str(header.get("name", "")), predicate, broken


def read_document(opened: "Site", path: Path) -> tuple[Mapping[str, Any] | None, str]:
    """The content of any evidence, None when it cannot be read; and why it cannot be believed, empty if it can."""
    from drmgr.evidence.store import load
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    verdict = verify_path(path, evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE))
    try:
        return load(path), "" if verdict.ok else verdict.reason
    except EvidenceError as error:
        return None, error.message


def _links(opened: "Site") -> "list[Link]":
    """Newest first; none when no evidence was ever sealed."""
    from drmgr.evidence.chain import links

    folder = opened.evidence_directory
    return list(reversed(links(folder))) if folder.is_dir() else []


def _systems(predicate: Mapping[str, Any]) -> Iterator[str]:
    for each in predicate["verdict"]["systems"]:
        yield each["system"]


def _remembered_name(opened: "Site", link: "Link") -> str:
    return next((entry.name for entry in opened.catalog.evidence() if entry.id == link.id), "")


def _remembered_systems(opened: "Site", link: "Link") -> tuple[str, ...]:
    """Of a document that cannot be read: those of the drill whose name the catalog remembers."""
    drill = opened.loaded.drills.get(_remembered_name(opened, link))
    return drill.systems if drill else ()


def _proof(
    opened: "Site", link: "Link", drill: str, system: str, predicate: Mapping[str, Any] | None, broken: str
) -> DrillProof:
    if predicate is None or broken:
        return DrillProof(drill, opened.clock.now(), "error", broken=broken or "it cannot be read")
    told = next(each for each in predicate["verdict"]["systems"] if each["system"] == system)
    rto = next((each["rto"] for each in predicate["metrics"] if each["system"] == system), None)
    header = predicate["header"]
    return DrillProof(
        drill,
        datetime.fromisoformat(header["finished_at"]),
        told["verdict"],
        None if rto is None else Measure(rto["target"], rto["measured"]),
        place=header.get("copy", ""),
        level=told["level"],
    )
