"""The tables of a quarter's report as a workbook, for people who go on working with them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drmgr.errors import EvidenceError
from drmgr.model import Json
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.evidence.render import Language

Sheet = tuple[str, list[Json], list[list[Json]]]

FORMATS: Final = {"day": "yyyy-mm-dd", "time": "yyyy-mm-dd hh:mm:ss", "share": "0.0%", "span": "[h]:mm:ss"}
"""How values are shown; they are numbers, days and times all the same. Times are in the site's zone."""


@dataclass(frozen=True)
class Share:
    """A part of a whole, of 0 to 1."""

    part: float


@dataclass(frozen=True)
class Span:
    """A length of time in seconds, which a workbook counts in days."""

    seconds: float


def write_workbook(path: Path, data: Json, labels: Json, lang: "Language") -> Path:
    """One sheet for each table of the report. Raises EvidenceError when it cannot be written."""
    import xlsxwriter

    content = io.BytesIO()
    with xlsxwriter.Workbook(
        content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        formats = {name: book.add_format({"num_format": form, "align": "left"}) for name, form in FORMATS.items()}
        head = book.add_format({"bold": True, "bg_color": "#EEF2F6", "border": 1, "text_wrap": True})
        day = book.add_format({"bold": True, "bg_color": "#EEF2F6", "border": 1, "num_format": FORMATS["day"]})
        for name, headings, rows in _sheets(data, labels, lang):
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 1)
            for column, heading in enumerate(headings):
                sheet.write(0, column, heading, day if isinstance(heading, date) else head)
            for number, row in enumerate(rows, start=1):
                for column, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(number, column, *_written(cell, formats))
            sheet.autofit()
    try:
        write_atomically(path, content.getvalue(), mode=0o644)
    except OSError as error:
        raise EvidenceError(
            f"the tables cannot be written to {path}: {error.strerror}", hint="choose another folder with --out"
        ) from error
    return path


def _written(cell: Json, formats: dict[str, Any]) -> tuple[Json, ...]:
    match cell:
        case Share(part=part):
            return part, formats["share"]
        case Span(seconds=seconds):
            return seconds / 86400, formats["span"]
        case datetime():
            return cell.replace(tzinfo=None), formats["time"]
        case _:
            return (cell,)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _span(seconds: float | None) -> Span | None:
    return None if seconds is None else Span(seconds)


def _share(part: float | None) -> Share | None:
    return None if part is None else Share(part)


def _figure(row: Json) -> Json:
    """A rule's figure as what it is: a share, a length of time, or a count."""
    if row["value"] is None:
        return None
    if row["measure"].endswith("_share"):
        return Share(row["value"])
    return Span(row["value"]) if row["measure"].startswith(("rto", "rpo")) else row["value"]


def _sheets(data: Json, labels: Json, lang: str) -> Sequence[Sheet]:
    report, columns, names = data["report"], labels["columns"], labels["sheets"]
    systems = report["systems"]
    titles = {each["system"]: each["title"][lang] for each in systems}

    def heads(*keys: str) -> list[Json]:
        return [columns[key] for key in keys]

    coverage: Sheet = (
        names["coverage"],
        [
            *heads("system", "name", "days_proven", "days_doubted", "days_elapsed"),
            *[date.fromisoformat(week["begin"]) for week in (systems[0]["weeks"] if systems else [])],
        ],
        [
            [
                each["system"],
                each["title"][lang],
                each["days"]["proven"],
                each["days"]["doubted"],
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
                _span(each["rpo"]["target"]),
                _share(each["rpo"]["share"]),
                _span(each["rpo"]["longest"]),
                _span(each["rto"]["target"]),
                _span(each["rto"]["worst"]),
            ]
            for each in systems
        ],
    )
    drills: Sheet = (
        names["drills"],
        heads("at", "system", "drill", "number", "level", "rto", "rpo", "verdict"),
        [
            [
                _time(drill["at"]),
                titles.get(each["system"], each["system"]),
                drill["drill"],
                drill["number"],
                drill["level"],
                _span(drill["rto"]["measured"]),
                _span(drill["rpo"]["measured"]),
                labels["verdicts"][drill["verdict"]],
            ]
            for each in [*systems, *report["undeclared"]]
            for drill in each["drills"]
        ],
    )
    problems: Sheet = (
        names["problems"],
        heads("at", "system", "problem", "grade", "owner", "due", "retest"),
        [
            [_time(row["at"]), titles.get(row["system"], row["system"]), row["text"], "", "", "", ""]
            for row in report["problems"]
        ],
    )
    rules: Sheet = (
        names["compliance"],
        heads("standard", "requirement", "figure", "within", "judgement"),
        [
            [row["standard"][lang], row["requirement"][lang], _figure(row), labels["within"][_word(row)], ""]
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
    doubted = f" !{week['doubted']}" if week["doubted"] else ""
    return "" if week["state"] == "future" else f"{week['proven']}/{week['days']}{doubted}{drilled}"


def _word(row: Json) -> str:
    if row["measure"] is None:
        return "people"
    return "unknown" if row["holds"] is None else "yes" if row["holds"] else "no"
