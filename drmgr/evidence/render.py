"""Reports as PDF: a pure rendering of one evidence document by typst. Nothing is computed here that evidence does not say."""

import json
from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from drmgr.errors import EvidenceError, ToolError
from drmgr.evidence.store import Document, load_document
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    import typst

ReportKind = Literal["drill", "record"]
Language = Literal["zh", "en"]

ARCHIVAL: Final = "a-2b"
"""PDF/A-2b: everything needed to show the report in thirty years is inside the file."""

FONTS: Final = ("Noto Sans CJK SC", "Noto Serif CJK SC")
"""Families that the templates set Chinese in; both come with Debian's fonts-noto-cjk."""


def render_report(evidence: Path, kind: ReportKind, lang: Language, out: Path) -> Path:
    """Writes the drill report, or the one-page test record of each system, to ``out`` and returns it.

    The same evidence gives the same bytes. The evidence is not verified here: see verify.py. Raises EvidenceError when
    it cannot be read or set, ToolError when the Chinese fonts are missing.
    """
    import typst

    document = load_document(evidence)
    fonts = typst.Fonts(include_system_fonts=True)
    require_fonts(fonts)
    pdf = _compile(document, kind, lang, fonts)
    try:
        write_atomically(out, pdf, mode=0o644)
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
            hint="install the package fonts-noto-cjk; see: drmgr doctor",
        )


def _compile(document: Document, kind: ReportKind, lang: Language, fonts: "typst.Fonts") -> bytes:
    import typst

    inputs = {"lang": lang, "evidence": _input(document)}
    try:
        finished = datetime.fromisoformat(document.predicate["header"]["finished_at"])
        with as_file(files("drmgr.evidence") / "templates") as templates:
            compiler = typst.Compiler(templates / f"{kind}.typ", root=templates, font_paths=fonts, sys_inputs=inputs)
            pdf = compiler.compile(
                format="pdf", timestamp=finished.replace(microsecond=0), pdf_standards=ARCHIVAL, pdf_tags=False
            )
    except (typst.TypstError, KeyError, ValueError) as error:
        raise EvidenceError(
            f"the report of {document.path.name} could not be set: {error}",
            hint="the document may come from another version of drmgr: drmgr evidence verify",
        ) from error
    assert isinstance(pdf, bytes)
    return pdf


def _input(document: Document) -> str:
    """What the templates read: the signed statement as it stands, and what names its file."""
    return json.dumps(
        {
            "predicate": document.predicate,
            "subject": document.statement["subject"],
            "sha256": document.sha256,
            "keyid": document.keyid,
            "file": document.path.name,
        },
        ensure_ascii=False,
    )
