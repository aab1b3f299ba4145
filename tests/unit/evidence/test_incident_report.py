"""The incident's report: what people told, what was measured, and what nobody knows."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.errors import EvidenceError, UsageError
from drmgr.evidence.notes import incident_document, notes_about, restore_document
from drmgr.evidence.render import Afterwards, Language, render_incident
from drmgr.evidence.store import load_document
from drmgr.evidence.verify import verify_all, verify_path
from drmgr.model import LaidAs, OccasionKind, SwapPhase
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import incidents, records
from tests.unit.evidence.sealing import KEY, change, open_store


def text_of(pdf: Path) -> str:
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


ZH = [
    "真实事件恢复报告", "□ 演练 □ 模拟 ■ 真实事件", "HIS 数据库服务器断电后无法启动", "UPS 电池老化",
    "2026-01-05 13:13:22", "2026-01-05 13:23:22", "事后补充：IN-20260106-000002", "恢复时由人说明", "程序实测",
    "T0 故障 → T6", "1 小时 06 分 22", "封存恢复证据时的数值", "1 小时 01 分 22", "连接 his-new",
    "没有覆盖任何已有数据", "更换 UPS 电池组", "信息科 王工", "2026-02-28", "□ 通过 □ 有条件通过 □ 不通过",
    "医院（盖章）", "值班护士", "与备份时刻事实一致", "DR-20260105-000001", "恢复到的时刻晚于故障时刻",
]  # fmt: skip
EN = [
    "Incident Recovery Report",
    "■ Real incident",
    "told later: IN-20260106-000002",
    "measured by the program",
    "T0 fault",
    "1 h 06 min",
]


@pytest.mark.parametrize(("lang", "words"), [("zh", ZH), ("en", EN)])
def test_the_report_tells_who_says_what(tmp_path: Path, lang: Language, words: list[str]) -> None:
    document, notes = incidents.sealed(tmp_path / "evidence")
    pdf = render_incident(document, notes, lang, tmp_path / "report.pdf")

    text = text_of(pdf)
    assert [word for word in words if word not in text] == []
    assert all(each.sha256 in text for each in (document, *notes))
    assert not any(left in text for left in ("null", "�", "☑", "■ 通过", "■ Passed", "不是真实事件"))


def test_what_nobody_told_is_unknown_and_the_count_says_from_where(tmp_path: Path) -> None:
    document, _ = incidents.sealed(tmp_path / "evidence", incidents.NOBODY, noted=False)
    text = text_of(render_incident(document, [], "zh", tmp_path / "report.pdf"))

    assert document.predicate["metrics"][0]["t0"] is None
    assert document.predicate["metrics"][0]["counted_from"] == "begun"
    assert text.count("无人说明") == 4 + text.count("无人说明的时刻")
    assert "不能判为达标" in text
    assert document.predicate["metrics"][0]["rto"]["met"] is None
    assert "达标" not in text.replace("不能判为达标", "").replace("未达标", "")
    assert "恢复命令开始 → T6" in text
    assert "T0 故障 → T6" not in text


def test_a_simulation_is_never_taken_for_an_incident(tmp_path: Path) -> None:
    document, _ = incidents.sealed(tmp_path / "e", occasion=OccasionKind.SIMULATION, noted=False)
    text = text_of(render_incident(document, [], "zh", tmp_path / "report.pdf"))

    assert "模拟恢复记录" in text
    assert "本文件不是真实事件的记录" in text
    assert "□ 演练 ■ 模拟 □ 真实事件" in text
    assert "真实事件恢复报告" not in text
    with pytest.raises(UsageError, match="simulation, no incident"):
        incident_document(document.path)


def test_a_drill_and_a_note_have_no_incident_report(tmp_path: Path) -> None:
    store = open_store(tmp_path, FakeCatalog())
    drill = store.seal(records.passed())
    with pytest.raises(UsageError, match="is a drill"):
        restore_document(Path(drill.path))
    _, (note,) = incidents.sealed(tmp_path / "other")
    with pytest.raises(UsageError, match="is a note about a restore"):
        restore_document(note.path)


def test_a_note_stands_in_the_chain_and_changes_nothing_before_it(tmp_path: Path) -> None:
    document, (note,) = incidents.sealed(tmp_path)
    before = document.path.read_bytes()

    verified = verify_all(tmp_path, KEY.public_key(), None)
    assert verified.ok, verified.to_json()
    assert verified.chain.length == 2
    assert note.predicate["header"]["previous"] == document.sha256
    assert note.predicate["metrics"][0]["rto"]["measured"] == 3981.9
    # it tells of a fault before the instant that was brought back
    assert note.predicate["metrics"][0]["after_fault"] is True
    assert (note.predicate["metrics"][0]["rpo"]["measured"], note.predicate["metrics"][0]["rpo"]["met"]) == (None, None)
    assert document.path.read_bytes() == before
    assert [each.path for each in notes_about(tmp_path, document)] == [note.path]


def test_a_note_that_was_tampered_with_shows_by_its_group(tmp_path: Path) -> None:
    _, (note,) = incidents.sealed(tmp_path)
    change(note.path, lambda statement: statement["predicate"]["words"].update(cause="nothing"))

    verdict = verify_path(note.path, KEY.public_key())
    assert not verdict.ok
    assert "field group tampered with: words" in verdict.reason


def test_a_note_about_another_document_is_not_believed(tmp_path: Path) -> None:
    document, (note,) = incidents.sealed(tmp_path)
    change(note.path, lambda statement: statement["predicate"]["about"].update(sha256="0" * 64))

    with pytest.raises(EvidenceError, match="is about another"):
        notes_about(tmp_path, load_document(document.path))


def test_a_restore_in_place_tells_what_got_another_name_and_how_to_undo_it(tmp_path: Path) -> None:
    entry = open_store(tmp_path, FakeCatalog()).seal(incidents.restored(swap=incidents.IN_PLACE))
    text = text_of(render_incident(load_document(Path(entry.path)), [], "zh", tmp_path / "report.pdf"))

    for word in (
        "原有数据，保留",
        "恢复的数据，启用",
        "原有数据改名保留",
        "drmgr restore his --undo 01JGT8A0000000000000000RUN",
    ):
        assert word in text


VISIT = LaidAs("main", "public.visit", "public.visit__drmgr_20260105_1400")


@pytest.mark.parametrize(
    ("lang", "words", "wrong"),
    [
        ("zh", ["没有更名，没有替换，也没有写入", "放置为"], ["可撤销", "改名保留", "空数据库", "更名 "]),
        (
            "en",
            ["nothing was renamed, replaced or written to", "Laid as"],
            ["can be undone", "empty database", "Renamed"],
        ),
    ],
)
@pytest.mark.parametrize("target", ["original", "connection:his-alias"])
def test_of_tables_it_tells_that_they_lie_beside_and_under_which_names(
    tmp_path: Path, lang: Language, words: list[str], wrong: list[str], target: str
) -> None:
    record = replace(incidents.laid(VISIT), target=target)
    entry = open_store(tmp_path, FakeCatalog()).seal(record)
    text = text_of(render_incident(load_document(Path(entry.path)), [], lang, tmp_path / "report.pdf"))

    assert [word for word in words if word not in text] == []
    assert [word for word in wrong if word in text] == []
    assert VISIT.laid_as in text.replace("\u200b", "")


def test_where_no_table_was_laid_it_says_so(tmp_path: Path) -> None:
    entry = open_store(tmp_path, FakeCatalog()).seal(incidents.laid())
    text = text_of(render_incident(load_document(Path(entry.path)), [], "zh", tmp_path / "report.pdf"))

    assert "没有放置任何表" in text
    assert "放置为" not in text


def test_of_tables_in_a_document_from_before_it_told_their_names_nothing_false_is_said(tmp_path: Path) -> None:
    record = replace(incidents.laid(VISIT), laid=None)
    outcome = record.outcomes[0]
    step = replace(outcome.phases[0], name="lay-table", source="main")
    record = replace(record, outcomes=(replace(outcome, phases=(*outcome.phases, step)),))
    entry = open_store(tmp_path, FakeCatalog()).seal(record)
    text = text_of(render_incident(load_document(Path(entry.path)), [], "zh", tmp_path / "report.pdf"))

    assert "可撤销" not in text
    assert "没有更名，没有替换，也没有写入" in text


def text_afterwards(folder: Path, lang: Language, sealed_as: SwapPhase, afterwards: Afterwards) -> str:
    swap = replace(incidents.IN_PLACE, phase=sealed_as)
    entry = open_store(folder, FakeCatalog()).seal(incidents.restored(swap=swap))
    document = load_document(Path(entry.path))
    return text_of(render_incident(document, [], lang, folder / "report.pdf", afterwards=afterwards))


@pytest.mark.parametrize(
    ("lang", "words", "wrong"),
    [
        (
            "zh",
            ["已于 2026-01-05 15:03:22 撤销", "原有数据，恢复使用", "恢复的数据，停用并保留"],
            ["恢复的数据，启用", "可撤销", "--undo"],
        ),
        (
            "en",
            ["Undone at 2026-01-05 15:03:22", "what was there, in use again", "what was restored, set aside"],
            ["what was restored, in use", "can be undone", "--undo"],
        ),
    ],
)
def test_one_that_was_undone_is_not_said_to_be_in_use(
    tmp_path: Path, lang: Language, words: list[str], wrong: list[str]
) -> None:
    undone = Afterwards(SwapPhase.UNDONE, records.at(3600))
    text = text_afterwards(tmp_path, lang, SwapPhase.SWAPPED, undone)
    assert [word for word in words if word not in text] == []
    assert [word for word in wrong if word in text] == []


def test_of_an_undoing_whose_time_nobody_kept_it_is_unknown(tmp_path: Path) -> None:
    text = text_afterwards(tmp_path, "zh", SwapPhase.SWAPPED, Afterwards(SwapPhase.UNDONE, None))
    assert "已撤销（时间不详）" in text
    assert "恢复的数据，启用" not in text


def test_an_undoing_that_was_broken_off_is_to_be_gone_on_with(tmp_path: Path) -> None:
    text = text_afterwards(tmp_path, "zh", SwapPhase.SWAPPED, Afterwards(SwapPhase.UNDOING, None))
    assert "撤销中断" in text
    assert "drmgr restore his --undo" in text
    assert "可撤销" not in text


def test_what_was_proven_and_then_given_up_is_gone(tmp_path: Path) -> None:
    given_up = Afterwards(SwapPhase.DROPPED, records.at(3600))
    text = text_afterwards(tmp_path, "zh", SwapPhase.PROVEN, given_up)
    assert "已于 2026-01-05 15:03:22 放弃" in text
    assert "尚未启用" not in text
    assert "--undo" not in text
