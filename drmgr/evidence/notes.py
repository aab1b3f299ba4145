"""The notes that were added to a sealed restore, as they lie in the folder of evidence."""

from pathlib import Path

from drmgr.errors import EvidenceError, UsageError
from drmgr.evidence.chain import links
from drmgr.evidence.note import NOTE_TYPE
from drmgr.evidence.store import Document, load_document
from drmgr.model import OccasionKind, RunKind


def restore_document(path: Path) -> Document:
    """The document of a restore. Raises UsageError for that of a drill or a note, EvidenceError."""
    document = load_document(path)
    header = document.predicate["header"]
    if header.get("kind") == RunKind.DRILL.value:
        raise UsageError(f"{header['number']} is a drill, no restore", hint=f"use: drmgr report drill {header['run']}")
    if header.get("kind") != RunKind.RESTORE.value:
        about = document.predicate.get("about", {}).get("run", "")
        raise UsageError(f"{header['number']} is a note about a restore", hint=f"name the restore itself: {about}")
    return document


def incident_document(path: Path) -> Document:
    """That of a restore in a real incident. Raises UsageError for any other."""
    document = restore_document(path)
    occasion = document.predicate["header"]["occasion"]
    if occasion != OccasionKind.INCIDENT.value:
        raise UsageError(
            f"{document.predicate['header']['number']} was a {occasion}, no incident",
            hint="a restore in an incident is made with --occasion incident",
        )
    return document


def notes_about(directory: Path, document: Document) -> list[Document]:
    """The notes about that document, oldest first. Raises EvidenceError for a later document that cannot be read."""
    header, found = document.predicate["header"], []
    for link in links(directory):
        if link.sequence <= header["sequence"]:
            continue
        later = load_document(link.path)
        if later.statement.get("predicateType") == NOTE_TYPE and later.predicate["about"]["id"] == header["id"]:
            if later.predicate["about"]["sha256"] != document.sha256:
                raise EvidenceError(
                    f"{link.path.name} is about another {document.path.name} than the one that is here",
                    hint="see: drmgr evidence verify --all",
                )
            found.append(later)
    return found
