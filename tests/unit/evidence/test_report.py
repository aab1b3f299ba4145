"""The PDFs: what they say in both languages, what they leave to people, and the signature inside them."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pytest
import typst
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.reader import PdfFileReader

from drmgr.errors import EvidenceError, ToolError
from drmgr.evidence.pades import sign_pdf, verify_pdf
from drmgr.evidence.render import Language, ReportKind, render_incident, render_report, require_fonts
from drmgr.evidence.store import load_document
from drmgr.model import CheckStatus, DrillRecord, Level, OccasionKind, Verdict
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import records
from tests.unit.evidence.sealing import change, open_store

SIGNED_AT = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)


def make(folder: Path, record: DrillRecord, kind: ReportKind, lang: Language) -> tuple[Path, str, str]:
    """The PDF, its text without line breaks, and the SHA-256 of its evidence."""
    entry = open_store(folder / "evidence", FakeCatalog()).seal(record)
    pdf = render_report(Path(entry.path), kind, lang, folder / "report.pdf")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return pdf, " ".join(done.stdout.split()), entry.sha256


def pages(pdf: Path) -> int:
    done = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True)
    return next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("Pages:"))


ZH = [
    "灾备恢复演练报告", "示例精神专科医院", "■ 演练 □ 模拟 □ 真实事件", "DR-20260105-000001", "密级", "依据与目的", "概要",
    "组织与签到", "环境", "备份集", "实施步骤", "恢复指标", "数据完整性校验", "业务科室验证", "异常与回退", "问题整改", "结论",
    "沙箱清除证明", "签字盖章", "附件", "2026-01-05 14:03:22", "Asia/Shanghai (UTC+08:00)", "21.9 秒", "3 分 11 秒", "2 小时",
    "700 MiB", "20,000", "AES-256-CTR + Poly1305-AES (restic)", "T0", "T6", "□ 通过 □ 有条件通过 □ 不通过", "程序判定",
    "执行人", "复核人", "信息科长", "分管院长", "医院（盖章）", "服务单位（盖章）", "每笔费用都有就诊", "服务器故障",
    "连接", "main-db", "pacs-files", "来源版本", "15.14", "目标版本", "15.15", "pg_dump 15.14", "pg_restore 15.15",
    "drmgr 0.1.0 · restic 0.18.0",
    "逻辑全量", "DICOM 文件树", "日志，3 份，80.0 MiB，重放至 2026-01-05 14:02:22",
    "大小、介质", "对象存储（S3 协议）", "密钥版本 2", "跨系统核对",
]  # fmt: skip
EN = [
    "Disaster Recovery Drill Report", "Demo Psychiatric Hospital", "■ Drill □ Simulation □ Real incident", "Basis and purpose",
    "Organisation and sign-in", "Backup set", "Recovery metrics", "Data integrity", "Proof of scratch destruction",
    "Signatures and seals", "Program's finding", "21.9 s", "3 min 11 s", "Every charge has a visit", "server lost",
    "□ Passed □ Passed with conditions □ Not passed",
    "index-db", "Source version", "Target version", "logical, full", "object storage (S3)", "key version 2",
    "check across systems",
]  # fmt: skip


@pytest.mark.parametrize(("lang", "words"), [("zh", ZH), ("en", EN)])
def test_the_drill_report_says_everything_that_the_evidence_says(
    tmp_path: Path, lang: Language, words: list[str]
) -> None:
    pdf, text, sha256 = make(tmp_path, records.passed(), "drill", lang)

    assert [word for word in words if word not in text] == []
    assert sha256 in text
    assert records.snapshot(1) in text
    assert records.SEAL in text
    assert records.snapshot(9) in text
    assert 5 <= pages(pdf) <= 8
    assert not any(left in text for left in ("none", "null", "TODO", "{", "�", "☑", "■ 通过", "■ Passed"))


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        (
            "zh",
            [
                "1 级系统",
                "2 级系统",
                "依赖 his",
                "全部系统验证完成用时",
                "1 小时 30 分",
                "各系统自身用时之和",
                "细竖线",
                "数据恢复到 2026-01-05 13:50:00",
            ],
        ),
        (
            "en",
            [
                "Tier 1",
                "Tier 2",
                "after his",
                "All verified (since T0)",
                "1 h 30 min",
                "Sum of their own times",
                "Brought back to",
            ],
        ),
    ],
)
def test_systems_that_came_back_at_once_are_drawn_by_tier_with_their_total(
    tmp_path: Path, lang: Language, words: list[str]
) -> None:
    his, pacs = records.passed().outcomes
    pacs = replace(
        pacs, system=replace(pacs.system, depends_on=("his", "absent")), rto=replace(pacs.rto, measured=5400.0)
    )
    at = datetime(2026, 1, 5, 5, 50, tzinfo=UTC)
    his = replace(his, timeline=replace(his.timeline, brought_back=at))
    _, text, _ = make(tmp_path, replace(records.passed(), outcomes=(pacs, his)), "drill", lang)

    assert [word for word in words if word not in text] == []
    assert "absent" not in text


@pytest.mark.parametrize("kind", ["drill", "record", "incident"])
@pytest.mark.parametrize(("lang", "word"), [("zh", "未记录"), ("en", "not recorded")])
def test_older_evidence_says_that_it_does_not_hold_what_is_held_today(
    tmp_path: Path, kind: Literal["drill", "record", "incident"], lang: Language, word: str
) -> None:
    sealed = open_store(tmp_path, FakeCatalog()).seal(replace(records.passed(), phases=()))

    def of_an_older_drmgr(statement: dict[str, Any]) -> None:
        predicate = statement["predicate"]
        del predicate["environment"]["sources"]
        predicate["environment"]["tools"]["key-version"] = "1"
        for each in predicate["backup_set"]:
            del each["medium"], each["replayed"], each["point"]["sha256"], each["point"]["bytes"]
            for member in each["point"]["members"]:
                del member["method"]

    change(Path(sealed.path), of_an_older_drmgr)
    if kind == "incident":
        pdf = render_incident(load_document(Path(sealed.path)), (), lang, tmp_path / "report.pdf")
    else:
        pdf = render_report(Path(sealed.path), kind, lang, tmp_path / "report.pdf")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    assert done.stdout.count(word) >= 3
    assert "key-version" not in done.stdout


def test_a_failed_drill_lists_its_problems_and_leaves_the_conclusion_to_people(tmp_path: Path) -> None:
    _, text, _ = make(tmp_path, records.failed(), "drill", "zh")

    for word in (
        "未通过", "无法判定", "校验未通过：his · 每笔费用都有就诊", "RTO 未达标：his 2 小时 30 分 / 2 小时",
        "RPO 未达标：pacs — / 1 小时",
        "恢复未完成：pacs", "未能选定恢复点，原因见异常", "the object store did not answer", "勒索病毒", "出错", "未做",
        "□ 通过 □ 有条件通过 □ 不通过",
    ):  # fmt: skip
        assert word in text


@pytest.mark.parametrize(
    ("occasion", "title", "box"),
    [
        (OccasionKind.SIMULATION, "灾备恢复模拟演练报告", "□ 演练 ■ 模拟 □ 真实事件"),
        (OccasionKind.INCIDENT, "真实事件恢复报告", "□ 演练 □ 模拟 ■ 真实事件"),
    ],
)
def test_the_occasion_cannot_be_mistaken(tmp_path: Path, occasion: OccasionKind, title: str, box: str) -> None:
    _, text, _ = make(tmp_path, replace(records.passed(), occasion=occasion), "drill", "zh")

    assert title in text
    assert box in text


def test_the_reason_that_the_program_gives_is_in_the_papers_language(tmp_path: Path) -> None:
    record = replace(records.passed(), reason="drill quarterly-restore from the copy fire", copy="fire")
    _, text, _ = make(tmp_path, record, "drill", "zh")

    assert "按演练计划 quarterly-restore，副本 fire" in text
    assert "from the copy" not in text


@pytest.mark.parametrize("many", [1, 40])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_test_record_is_one_page_for_each_system(tmp_path: Path, lang: Language, many: int) -> None:
    record = records.failed() if many == 1 else records.passed()
    first = record.outcomes[0]
    record = replace(record, outcomes=(replace(first, checks=first.checks * many), *record.outcomes[1:]))
    pdf, text, sha256 = make(tmp_path, record, "record", lang)

    assert pages(pdf) == 2
    assert text.count(sha256) == 2
    assert ("备份恢复测试记录" if lang == "zh" else "Backup Restore Test Record") in text


@pytest.mark.parametrize("wrong", [0, 2, 29])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_as_many_checks_as_the_demo_has_are_one_page_and_what_failed_is_in_full(
    tmp_path: Path, lang: Language, wrong: int
) -> None:
    pdf, text, _ = make(tmp_path, records.of_many_checks(wrong), "record", lang)

    assert pages(pdf) == 1
    passed = {
        "zh": f"通过 {29 - wrong} 项：恢复点均可读取、",
        "en": f"pass {29 - wrong} checks: Every point can be read; ",
    }
    assert wrong or passed[lang] in text
    if wrong == 2:
        assert {"zh": "通过 27 项", "en": "pass 27 checks"}[lang] in text
        assert "1,204" in text
        assert records.HASH[:16] + "…" in text and records.HASH[:20] not in text


@pytest.mark.parametrize("kind", ["drill", "record"])
def test_a_system_that_did_not_pass_met_no_objective(tmp_path: Path, kind: ReportKind) -> None:
    _, text, _ = make(tmp_path, records.of_many_checks(2), kind, "zh")

    assert "达标" not in text
    assert text.count("在目标内，但未通过") == (4 if kind == "drill" else 2)


def test_failed_checks_stand_among_the_exceptions(tmp_path: Path) -> None:
    _, text, _ = make(tmp_path, records.of_many_checks(2), "drill", "zh")
    exceptions = text[text.index("异常与回退") : text.index("现场异常与回退情况")]

    assert [word for word in ("引擎完整性检查", "不符", "损坏 1,204", "金丝雀") if word not in exceptions] == []
    assert "程序未记录到异常" not in text


def test_what_was_missed_or_could_not_be_judged_is_an_exception_too(tmp_path: Path) -> None:
    _, text, _ = make(tmp_path, records.failed(), "drill", "zh")
    exceptions = text[text.index("异常与回退") : text.index("现场异常与回退情况")]

    assert [word for word in ("RTO 未达标：his", "库存 = 入 − 出", "未做", "出错") if word not in exceptions] == []


@pytest.mark.parametrize("kind", ["drill", "record"])
def test_the_values_of_a_check_have_words_and_not_the_names_of_the_program(tmp_path: Path, kind: ReportKind) -> None:
    _, text, _ = make(tmp_path, records.of_many_checks(2), kind, "zh")

    assert [
        word for word in ("损坏 1,204", "无效索引 0", "落后的序列 0", "已查表与索引 2,309") if word not in text
    ] == []
    assert "invalid_" not in text


@pytest.mark.parametrize("kind", ["drill", "record"])
def test_times_that_a_check_found_are_told_in_the_zone_of_the_others(tmp_path: Path, kind: ReportKind) -> None:
    found = {
        "files_from": "2026-01-05T05:33:10.007165+00:00",
        "index_until": "2026-01-05 05:33:09Z",
        "answer": "2026-02-31T05:33:08Z",
    }
    order = records.check("order", Level.FACTS, ("次序", "order"), (True, found), CheckStatus.FAIL, message="late")
    his = records.passed().outcomes[0]
    failed = replace(his, checks=(order,), verdict=Verdict.FAILED)
    _, text, _ = make(tmp_path, replace(records.passed(), outcomes=(failed,), verdict=Verdict.FAILED), kind, "zh")

    assert [word for word in ("13:33:10", "13:33:09", "05:33:08") if word not in text] == []
    assert not any(word in text for word in ("05:33:10", "05:33:09"))


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    entry = open_store(tmp_path, FakeCatalog()).seal(records.passed())
    made = [render_report(Path(entry.path), "drill", "zh", tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf")]

    assert made[0] == made[1]


def test_missing_fonts_are_named_with_their_package() -> None:
    with pytest.raises(ToolError, match="Noto Serif CJK SC") as raised:
        require_fonts(typst.Fonts(include_system_fonts=False))
    assert "fonts-noto-cjk" in raised.value.hint


def test_evidence_that_lacks_a_group_gives_no_report(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")

    with pytest.raises(EvidenceError, match=r"broken\.json"):
        render_report(broken, "drill", "zh", tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "drmgr reports")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, SIGNED_AT, SIGNED_AT + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def test_the_pdf_signature_holds_until_a_byte_changes(tmp_path: Path) -> None:
    pdf, _, _ = make(tmp_path, records.passed(), "record", "zh")
    key = ec.generate_private_key(ec.SECP256R1())
    ours, other = certificate(key), certificate(ec.generate_private_key(ec.SECP256R1()))
    assert "0 signatures" in verify_pdf(pdf, ours).reason
    sign_pdf(pdf, key, ours, SIGNED_AT)
    signed = pdf.read_bytes()

    assert verify_pdf(pdf, ours).ok
    assert b"ETSI.CAdES.detached" in signed
    assert PdfFileReader(BytesIO(signed)).embedded_signatures[0].self_reported_timestamp == SIGNED_AT
    assert "another certificate" in verify_pdf(pdf, other).reason
    with pytest.raises(EvidenceError, match="signed already"):
        sign_pdf(pdf, key, ours, SIGNED_AT)
    # the signature's own place is padded, and its padding means nothing
    _, before, after, _ = PdfFileReader(BytesIO(signed)).embedded_signatures[0].byte_range
    for position in range(100, len(signed), len(signed) // 40):
        if before <= position < after:
            continue
        pdf.write_bytes(signed[:position] + bytes([signed[position] ^ 1]) + signed[position + 1 :])
        assert not verify_pdf(pdf, ours).ok, position
    pdf.write_bytes(signed + b"\n% more\n")
    assert not verify_pdf(pdf, ours).ok
    pdf.write_bytes(b"no pdf")
    assert not verify_pdf(pdf, ours).ok
    with pytest.raises(EvidenceError, match="cannot be signed"):
        sign_pdf(pdf, key, ours, SIGNED_AT)
