"""A key share as one page of paper. Set in this process, for its words must not pass through any file but the PDF."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.resources import as_file, files

import typst

from drmgr.errors import EvidenceError
from drmgr.evidence.render import ARCHIVAL, Language, require_fonts
from drmgr.model import Text


@dataclass(frozen=True, repr=False)
class SharePage:
    """What stands on the page of share ``number`` out of ``count``."""

    site: Text
    number: int
    count: int
    threshold: int
    set_id: str
    check: str
    words: tuple[str, ...]
    made_at: datetime


def set_share_pages(pages: Sequence[SharePage], lang: Language) -> list[bytes]:
    """One PDF of one page for each share. Raises ToolError when the Chinese fonts are missing, EvidenceError."""
    fonts = typst.Fonts(include_system_fonts=True)
    require_fonts(fonts)
    return [_set(page, lang, fonts) for page in pages]


def _set(page: SharePage, lang: Language, fonts: typst.Fonts) -> bytes:
    share = {**asdict(page), "date": page.made_at.date().isoformat()}
    del share["made_at"]
    inputs = {"lang": lang, "share": json.dumps(share, ensure_ascii=False)}
    try:
        with as_file(files("drmgr.evidence") / "templates") as templates:
            compiler = typst.Compiler(templates / "share.typ", root=templates, font_paths=fonts, sys_inputs=inputs)
            # typst takes no zone whose offset may change
            stamp = datetime.fromisoformat(page.made_at.isoformat(timespec="seconds"))
            pdf = compiler.compile(format="pdf", timestamp=stamp, pdf_standards=ARCHIVAL, pdf_tags=False)
    except typst.TypstError:
        # its message quotes what it could not set, which may be words of the share
        raise EvidenceError("the page of a key share could not be set") from None
    assert isinstance(pdf, bytes)
    return pdf
