"""A restore in a real incident, and what became known of it later."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from drmgr.evidence.store import Document, load_document
from drmgr.flows.incident import Addition, Known, merged
from drmgr.model import (
    NOTHING_TOLD,
    About,
    CorrectiveAction,
    DrillRecord,
    IncidentNote,
    LaidAs,
    Measure,
    Move,
    OccasionKind,
    RunKind,
    Swap,
    SwapPhase,
    Text,
    Timeline,
    Told,
)
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import records
from tests.unit.evidence.records import at
from tests.unit.evidence.sealing import open_store

IN_PLACE = Swap(
    run="01JGT8A0000000000000000RUN",
    system="his",
    phase=SwapPhase.SWAPPED,
    point="01JGT7Z3V60000000000000HIS",
    reason="storage failed",
    begun_at=at(0),
    sources=("main",),
    moves=(
        Move("main", "his", "his_before_01JGT8A0000000000000000RUN", kept=True),
        Move("main", "his_restored_01JGT8A0000000000000000RUN", "his"),
    ),
)
TOLD = Told(at(-2700), at(-2400), at(-1980), at(-300))
LATER = Addition(
    Told(fault=at(-3000)),
    "机房 UPS 电池老化，切换时断电；存储控制器未能写回缓存。",
    "值班护士发现医嘱界面报错后电话通知信息科；停机期间改用手工医嘱单，已于当日补录。",
    (
        CorrectiveAction("更换 UPS 电池组并每半年做一次带载放电测试", "信息科 王工", date(2026, 2, 28)),
        CorrectiveAction("存储控制器缓存电池列入月度巡检", "服务单位 李工", date(2026, 1, 31)),
    ),
)


def restored(
    told: Told = TOLD, occasion: OccasionKind = OccasionKind.INCIDENT, swap: Swap | None = None
) -> DrillRecord:
    """HIS brought back into a spare connection, or in place when something got another name."""
    his = records.his()
    t0 = told.fault
    measured = Timeline(None, t4=at(2), t5=at(917.8), t6=at(981.9), begun=at(0), brought_back=at(-2940))
    line = merged(measured, (told,))
    took = (line.t6 - (t0 or at(0))).total_seconds() if line.t6 else None
    outcome = replace(his, timeline=line, rto=Measure(7200, took), rpo=Measure(300, line.seconds_lost()))
    return replace(
        records.passed(),
        kind=RunKind.RESTORE,
        occasion=occasion,
        name="restore-his",
        title=Text("医院信息系统 HIS 恢复", "Restore of HIS"),
        scenario="restore",
        outcomes=(outcome,),
        finished_at=at(990),
        target="original" if swap else "connection:his-new",
        reason="HIS 数据库服务器断电后无法启动",
        destruction=(),
        phases=(),
        swap=swap,
    )


def note(document: Document, added: Addition = LATER) -> IncidentNote:
    header, metrics = document.predicate["header"], document.predicate["metrics"][0]
    about = About(
        header["id"],
        header["number"],
        header["sequence"],
        document.sha256,
        header["run"],
        header["name"],
        Text(**header["title"]),
        metrics["system"],
        document.predicate["verdict"],
    )
    line = restored().outcomes[0].timeline
    known = Known(about, line, 7200, 300)
    return IncidentNote(
        run="01JGT8B0000000000000000RUN",
        about=about,
        told=added.told,
        timeline=merged(known.timeline, (added.told,)),
        rto_target=7200,
        rpo_target=300,
        cause=added.cause,
        words=added.words,
        actions=added.actions,
        site=Text("示例精神专科医院", "Demo Psychiatric Hospital"),
        timezone="Asia/Shanghai",
        host="backup-01",
        operator="engineer-1",
        at=at(0) + timedelta(days=1),
    )


def sealed(
    folder: Path, told: Told = TOLD, occasion: OccasionKind = OccasionKind.INCIDENT, *, noted: bool = True
) -> tuple[Document, list[Document]]:
    """The document of the restore, and those of the notes about it."""
    store = open_store(folder, FakeCatalog())
    document = load_document(Path(store.seal(restored(told, occasion)).path))
    notes = [load_document(Path(store.add(note(document)).path))] if noted else []
    return document, notes


def laid(*tables: LaidAs) -> DrillRecord:
    """Single tables laid beside the live ones, or meant to be."""
    return replace(restored(), target="original", laid=tables)


NOBODY = NOTHING_TOLD
