"""The quarter's report as it is printed, its tables, and the rules that it is read against."""

import hashlib
import re
import subprocess
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drmgr.cli.reports.quarter import document_of, figures_bytes, quarter_labels, report_of
from drmgr.errors import ConfigError
from drmgr.evidence.compliance import PACKAGED, compliance
from drmgr.evidence.render import Language, render
from drmgr.evidence.tables import write_workbook
from drmgr.flows.quarter import SystemYear, Undeclared, measures
from drmgr.model import Json, Text
from tests.unit.evidence.quarters import AFTER, PERIOD, played, ten_systems


def data_of(lang: Language, undeclared: Sequence[Undeclared] = (), systems: Sequence[SystemYear] | None = None) -> Json:
    found = ten_systems() if systems is None else list(systems)
    report = report_of(PERIOD, found, AFTER, quarter_labels(lang), undeclared)
    figures = measures(report["systems"], copies=1, lock_days=30, retention_years=30, undeclared=len(undeclared))
    report["compliance"] = compliance(PACKAGED, figures)
    return document_of(PERIOD, report, AFTER, Text("示例医院", "Demo Hospital"), "backup-01")


def text_of(pdf: Path) -> str:
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        (
            "zh",
            [
                "灾备季度报告",
                "未做演练",
                "未测得",
                "未证实",
                "数据未达要求",
                "□ 不符合",
                "分管院长",
                "服务单位（盖章）",
                "仅有可疑恢复点",
                "9 个恢复点可疑",
                "演练实测恢复用时 2 小时 36 分，承诺 2 小时",
                "由人工判定",
                "30 年",
            ],
        ),
        (
            "en",
            [
                "Quarterly disaster recovery report",
                "not drilled",
                "not measured",
                "not proven",
                "outside the rule",
                "suspicious points only",
                "9 recovery points are suspicious",
                "RTO missed: a drill took 2 h 36",
                "for people to judge",
                "30 years",
            ],
        ),
    ],
)
def test_what_is_missing_is_printed_as_missing_and_the_conclusion_is_left_open(
    tmp_path: Path, lang: Language, words: list[str]
) -> None:
    data = data_of(lang)
    text = text_of(render("quarter", lang, data, tmp_path / "q.pdf", name="2026Q4"))
    assert [word for word in words if word not in text] == []
    assert data["sha256"] in text.replace(" ", "")
    for each in data["report"]["evidence"]:
        assert each["number"] in text
    conclusion = quarter_labels(lang)["conclusion"]
    assert all(choice in text for choice in conclusion)
    assert "■" not in text
    assert "☑" not in text


def sections_of(text: str) -> list[tuple[str, int]]:
    """Each heading of a page with how many lines of text stand below it, the page's foot left out."""
    found = []
    for page in text.split("\f"):
        lines = [line for line in page.splitlines() if line.strip()][:-1]
        found += [
            (line, len(lines) - place - 1)
            for place, line in enumerate(lines)
            if re.match(r"[一二三四五六七八九]、", line)
        ]
    return found


@pytest.mark.parametrize("more", range(0, 24, 8))
def test_no_heading_stands_alone_at_the_foot_of_a_page_and_no_row_is_broken(tmp_path: Path, more: int) -> None:
    data = data_of("zh")
    problems = data["report"]["problems"]
    data["report"]["problems"] = [*problems, *problems][: len(problems) + more]
    pdf = render("quarter", "zh", data, tmp_path / "quarter.pdf", name="quarter")
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    below = sections_of(text)
    assert len(below) == 9
    # the head of its table, and some rows of it
    assert [heading for heading, lines in below if lines < 6 and "结论" not in heading] == []
    # a judgement has two lines
    pages = [page.count("□ 符合") == page.count("□ 不符合") for page in text.split("\f")]
    assert all(pages)


@pytest.mark.parametrize(
    ("lang", "words"),
    [("zh", "2026-10-01 — 2026-12-31（截至 2026-11-27 10:00:00）"), ("en", "(to date: 2026-11-27 10:00:00)")],
)
def test_a_quarter_that_is_not_over_says_so_on_its_cover(tmp_path: Path, lang: Language, words: str) -> None:
    now = datetime(2026, 11, 27, 2, tzinfo=UTC)
    report = report_of(PERIOD, ten_systems(), now, quarter_labels(lang))
    report["compliance"] = []
    data = document_of(PERIOD, report, now, Text("示例医院", "Demo Hospital"), "backup-01")
    pdf = render("quarter", lang, data, tmp_path / "quarter.pdf", name="quarter")
    assert words in text_of(pdf)
    over = render("quarter", lang, data_of(lang), tmp_path / "over.pdf", name="quarter")
    assert words.split(" ")[-3] not in text_of(over)


def test_the_workbook_holds_every_table(tmp_path: Path) -> None:
    data, labels = data_of("zh"), quarter_labels("zh")
    # text that a program would take for a formula stays text
    data["report"]["problems"][0]["text"] = "=1+1"
    book = write_workbook(tmp_path / "q.xlsx", data, labels, "zh")
    with zipfile.ZipFile(book) as parts:
        names = parts.read("xl/workbook.xml").decode()
        cells = "".join(parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/"))
    assert all(sheet in names for sheet in labels["sheets"].values())
    assert "<f>" not in cells
    assert "7/7 ▲" in cells
    assert "0/7 !7" in cells
    assert labels["columns"]["days_doubted"] in cells
    # days, times, shares and lengths of time are numbers that a workbook can reckon with
    assert not re.findall(r"2026-1\d-\d\d", cells)
    for form in ("yyyy-mm-dd hh:mm:ss", "0.0%", "[h]:mm:ss"):
        assert form in cells
    assert "<v>0.986" in cells


@pytest.mark.parametrize(("lang", "words"), [("zh", "没有作业文件"), ("en", "no job file is there any more")])
def test_a_system_without_a_job_is_named_and_counted(tmp_path: Path, lang: Language, words: str) -> None:
    data, labels = data_of(lang, (Undeclared("lab", 90, (played("his", 30, "failed", 0.7),)),)), quarter_labels(lang)
    report, without = data["report"], data_of(lang)["report"]
    assert report["totals"]["systems"] == 11
    assert report["totals"]["elapsed"] - without["totals"]["elapsed"] == 92
    assert report["totals"]["proven"] == without["totals"]["proven"]
    assert [each["totals"]["verdicts"][1] for each in (without, report)] == [1, 2]
    assert report["trend"][-1]["failed"] == 2
    assert len(report["evidence"]) == len(without["evidence"]) + 1
    text = text_of(render("quarter", lang, data, tmp_path / "q.pdf", name="2026Q4"))
    assert words in text
    assert "6 / 11" in text
    assert report["undeclared"][0]["drills"][0]["number"] in text
    book = write_workbook(tmp_path / "q.xlsx", data, labels, lang)
    with zipfile.ZipFile(book) as parts:
        assert words in parts.read("xl/sharedStrings.xml").decode()


def test_all_jobs_may_have_vanished(tmp_path: Path) -> None:
    nothing = data_of("en", (Undeclared("lab", 90),), ())
    write_workbook(tmp_path / "none.xlsx", nothing, quarter_labels("en"), "en")
    text = text_of(render("quarter", "en", nothing, tmp_path / "none.pdf", name="2026Q4"))
    assert "0 / 92" in text


def test_the_hash_on_the_cover_is_of_the_figures_beside_it() -> None:
    data = data_of("zh")
    assert hashlib.sha256(figures_bytes(data["report"])).hexdigest() == data["sha256"]


def test_the_packaged_rules_use_figures_that_there_are_and_no_figure_meets_no_rule() -> None:
    none = dict.fromkeys(measures([], copies=0, lock_days=0))
    rows = compliance(PACKAGED, none)
    assert len(rows) > 10
    assert {row["holds"] for row in rows} == {None}
    held = compliance(PACKAGED, {**none, "retention_years": 29})
    assert [row["holds"] for row in held if row["measure"] == "retention_years"] == [False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {standard: {zh: a, en: a}, requirement: {zh: a, en: a}, measure: nosuch}", "names the figure nosuch"),
        ("- {standard: {zh: a, en: a}, requirement: {zh: a, en: a}}", "measure"),
        ("- {standard: {zh: a, en: a}, requirement: {zh: a, en: a}, measure: null, verdict: met}", "verdict"),
        ("a: [", "no YAML"),
        ("rules", "list"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "compliance.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        compliance(path, {"copies": 1.0})
    with pytest.raises(ConfigError, match="cannot be read"):
        compliance(tmp_path / "nosuch", {})
