"""The typesetter as a program of its own: a report's data on standard input, the PDF on standard output.

typst with the Chinese fonts takes more memory than all the rest of drmgr; in a process of its own it gives it back.
"""

import json
import sys
from datetime import datetime
from importlib.resources import as_file, files

import typst

from drmgr.errors import DrmgrError, ToolError
from drmgr.evidence.render import ARCHIVAL, NO_FONTS, NOT_SET, require_fonts
from drmgr.model import Json


def main() -> int:
    """Exit 0 with the PDF, NO_FONTS or NOT_SET with one line on standard error."""
    job = json.load(sys.stdin)
    try:
        fonts = typst.Fonts(include_system_fonts=True)
        require_fonts(fonts)
        sys.stdout.buffer.write(_set(job, fonts))
    except ToolError as error:
        return _failed(NO_FONTS, error)
    except (typst.TypstError, KeyError, ValueError) as error:
        return _failed(NOT_SET, error)
    return 0


def _set(job: Json, fonts: typst.Fonts) -> bytes:
    newest = (job["evidence"].get("notes") or [job["evidence"]])[-1]
    finished = datetime.fromisoformat(newest["predicate"]["header"]["finished_at"])
    inputs = {"lang": job["lang"], "evidence": json.dumps(job["evidence"], ensure_ascii=False)}
    with as_file(files("drmgr.evidence") / "templates") as templates:
        compiler = typst.Compiler(templates / f"{job['kind']}.typ", root=templates, font_paths=fonts, sys_inputs=inputs)
        pdf = compiler.compile(
            format="pdf", timestamp=finished.replace(microsecond=0), pdf_standards=ARCHIVAL, pdf_tags=False
        )
    assert isinstance(pdf, bytes)
    return pdf


def _failed(code: int, error: Exception) -> int:
    print(error.message if isinstance(error, DrmgrError) else str(error), file=sys.stderr)  # noqa: T201 - its answer
    return code


if __name__ == "__main__":
    sys.exit(main())
