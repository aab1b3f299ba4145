"""Reports as PDF: a pure rendering of one evidence document by typst. Nothing is computed here that evidence does not say."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from drmgr.errors import EvidenceError, ToolError
from drmgr.evidence.store import Document, load_document
from drmgr.evidence.times import time_in, zone_of
from drmgr.model import Json, SwapPhase
from drmgr.system.command import Command, Runner
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    import typst

ReportKind = Literal["drill", "record"]
Language = Literal["zh", "en"]

ARCHIVAL: Final = "a-2b"
"""PDF/A-2b: everything needed to show the report in thirty years is inside the file."""

FONTS: Final = ("Noto Sans CJK SC", "Noto Serif CJK SC")
"""Families that the templates set Chinese in; both come with Debian's fonts-noto-cjk."""


FONTS_HINT: Final = "install the package fonts-noto-cjk; see: drmgr doctor"

NO_FONTS: Final = 3
NOT_SET: Final = 4
"""How the typesetter's process says why it made no PDF."""


def render_report(evidence: Path, kind: ReportKind, lang: Language, out: Path, runner: Runner | None = None) -> Path:
    """Writes the drill report, or the one-page test record of each system, to ``out`` and returns it.

    The same evidence gives the same bytes. The evidence is not verified here: see verify.py. Raises EvidenceError when
    it cannot be read or set, ToolError when the Chinese fonts are missing.
    """
    document = load_document(evidence)
    return render(kind, lang, _input(document), out, name=document.path.name, runner=runner)


@dataclass(frozen=True)
class Afterwards:
    """What became of a restore in place after it was sealed. ``at`` None: nobody kept the time."""

    phase: SwapPhase
    at: datetime | None


def render_incident(
    document: Document,
    notes: Sequence[Document],
    lang: Language,
    out: Path,
    *,
    afterwards: Afterwards | None = None,
    runner: Runner | None = None,
) -> Path:
    """Writes the report of an incident: of the restore's document and of the notes about it, oldest first.

    ``afterwards`` is no evidence, and the report says so; None where all still is as it was sealed.
    """
    data = {**_input(document), "notes": [_input(note) for note in notes]}
    if afterwards is not None:
        zone = zone_of(document.predicate["header"]["timezone"])
        data["afterwards"] = {"phase": afterwards.phase.value, "at": time_in(zone, afterwards.at)}
    return render("incident", lang, data, out, name=document.path.name, runner=runner)


def render(kind: str, lang: Language, data: Json, out: Path, *, name: str, runner: Runner | None = None) -> Path:
    """Sets ``data`` by the template ``kind``; ``name`` is what messages call it. Raises as ``render_report``."""
    job = {"kind": kind, "lang": lang, "evidence": data}
    typesetter = Command((sys.executable, "-m", "drmgr.evidence.typeset"), stdin=json.dumps(job).encode())
    done = (runner or Runner()).run(typesetter)
    if done.code == NO_FONTS:
        raise ToolError(done.stderr.strip(), hint=FONTS_HINT)
    if done.code != 0:
        raise EvidenceError(
            f"the report of {name} could not be set: {done.stderr.strip()[-500:]}",
            hint="the document may come from another version of drmgr: drmgr evidence verify",
        )
    try:
        write_atomically(out, done.stdout, mode=0o644)
    except OSError as error:
        raise EvidenceError(
            f"the report cannot be written to {out}: {error.strerror}", hint="choose another folder with --out"
        ) from error
    return out


def require_fonts(fonts: "typst.Fonts") -> None:
    """Raises ToolError when a family is missing: typst would print empty boxes without a word."""
    missing = sorted(set(FONTS) - set(fonts.families()))
    if missing:
        raise ToolError(
            f"the fonts for Chinese reports are missing: {', '.join(missing)}",
            hint=FONTS_HINT,
        )


def _input(document: Document) -> dict[str, Json]:
    """What the templates read: the signed statement, times that checks found told in its own zone, and its file's name."""
    predicate = dict(document.predicate)
    if "checks" in predicate and "header" in predicate:
        zone = zone_of(predicate["header"]["timezone"])
        predicate["checks"] = [_in_zone(check, zone) for check in predicate["checks"]]
    return {
        "predicate": predicate,
        "subject": document.statement["subject"],
        "sha256": document.sha256,
        "keyid": document.keyid,
        "file": document.path.name,
    }


def _in_zone(value: Json, zone: tzinfo) -> Json:
    """The value, every instant in it with that zone's offset: the templates show no offset."""
    if isinstance(value, dict):
        return {key: _in_zone(item, zone) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_zone(item, zone) for item in value]
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return value
    try:
        return datetime.fromisoformat(value).astimezone(zone).isoformat()
    except (ValueError, OverflowError):
        # of that form, and no instant: an answer of a database may be the 31st of February
        return value


_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
