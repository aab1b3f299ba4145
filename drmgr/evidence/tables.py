"""The tables of a quarter's report as a workbook, for people who go on working with them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drmgr.errors import EvidenceError
from drmgr.model import Json
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.evidence.render import Language

Sheet = tuple[str, list[str], list[list[Json]]]


def write_workbook(path: Path, data: Json, labels: Json, lang: "Language") -> Path:
    """One sheet for each table of the report. Raises EvidenceError when it cannot be written."""
    import xlsxwriter

    content = io.BytesIO()
    with xlsxwriter.Workbook(
        content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        head = book.add_format({"bold": True, "bg_color": "#EEF2F6", "border": 1, "text_wrap": True})
        for name, headings, rows in _sheets(data, labels, lang):
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 1)
            sheet.write_row(0, 0, headings, head)
            for number, row in enumerate(rows, start=1):
                sheet.write_row(number, 0, ["" if cell is None else cell for cell in row])
            sheet.autofit()
    try:
        write_atomically(path, content.getvalue(), mode=0o644)
    except OSError as error:
        raise EvidenceError(
            f"the tables cannot be written to {path}: {error.strerror}", hint="choose another folder with --out"
        ) from error
    return path


def _sheets(data: Json, labels: Json, lang: str) -> Sequence[Sheet]:
    report, columns, names = data["report"], labels["columns"], labels["sheets"]
    systems = report["systems"]
    titles = {each["system"]: each["title"][lang] for each in systems}

    def heads(*keys: str) -> list[str]:
        return [columns[key] for key in keys]

    coverage: Sheet = (
        names["coverage"],
        [*heads("system", "name", "days_proven", "days_elapsed"), *[week["begin"] for week in systems[0]["weeks"]]],
        [
            [
                each["system"],
                each["title"][lang],
                each["days"]["proven"],
                each["days"]["elapsed"],
                *map(_cell, each["weeks"]),
            ]
            for each in systems
        ],
    )
    attained: Sheet = (
        names["attained"],
        heads("system", "name", "rpo_target", "rpo_share", "rpo_longest", "rto_target", "rto_worst"),
        [
            [
                each["system"],
                each["title"][lang],
                each["rpo"]["target"],
                each["rpo"]["share"],
                each["rpo"]["longest"],
                each["rto"]["target"],
                each["rto"]["worst"],
            ]
            for each in systems
        ],
    )
    drills: Sheet = (
        names["drills"],
        heads("at", "system", "drill", "number", "level", "rto", "rpo", "verdict"),
        [
            [
                drill["at"],
                titles[each["system"]],
                drill["drill"],
                drill["number"],
                drill["level"],
                drill["rto"]["measured"],
                drill["rpo"]["measured"],
                labels["verdicts"][drill["verdict"]],
            ]
            for each in systems
            for drill in each["drills"]
        ],
    )
    problems: Sheet = (
        names["problems"],
        heads("at", "system", "problem", "grade", "owner", "due", "retest"),
        [[row["at"], titles[row["system"]], row["text"], "", "", "", ""] for row in report["problems"]],
    )
    rules: Sheet = (
        names["compliance"],
        heads("standard", "requirement", "figure", "within", "judgement"),
        [
            [row["standard"][lang], row["requirement"][lang], row["value"], labels["within"][_word(row["holds"])], ""]
            for row in report["compliance"]
        ],
    )
    annex: Sheet = (
        names["evidence"],
        heads("number", "file", "sha256"),
        [[each["number"], each["file"], each["sha256"]] for each in report["evidence"]],
    )
    return [coverage, attained, drills, problems, rules, annex]


def _cell(week: dict[str, Any]) -> str:
    drilled = "".join({"passed": " ▲", "failed": " ✗", "error": " ?"}[word] for word in week["drills"])
    return "" if week["state"] == "future" else f"{week['proven']}/{week['days']}{drilled}"


def _word(holds: bool | None) -> str:
    return "unknown" if holds is None else "yes" if holds else "no"
