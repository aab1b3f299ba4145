"""Records of drills as the flows make them: one that passed with two systems, one that failed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from drmgr.model import (
    CheckResult,
    CheckStatus,
    Destruction,
    DrillRecord,
    Facts,
    Json,
    Level,
    Measure,
    Member,
    Objectives,
    OccasionKind,
    Origin,
    Outcome,
    Part,
    Phase,
    PointStatus,
    RecoveryPoint,
    RecoveryTarget,
    Replayed,
    RunKind,
    System,
    Text,
    Timeline,
    Verdict,
)

START = datetime(2026, 1, 5, 6, 3, 22, 123456, tzinfo=UTC)
HIS = System(
    "his", Text("医院信息系统", "Hospital Information System"), 1, Objectives(timedelta(minutes=5), timedelta(hours=2))
)
PACS = System("pacs", Text("影像系统", "Picture Archive"), 2, Objectives(timedelta(hours=1), timedelta(hours=4)))
HASH = "9f2c4a77b1d0e35586f0c2b9a4d1e8f73b6a5c4d3e2f1a0b9c8d7e6f5a4b3c2d"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def snapshot(number: int) -> str:
    return f"{number:02x}" + HASH[2:]


def tables(count: int) -> Facts:
    items = {f"public.t{n}": {"rows": 1000 + n, "fingerprint": 2**60 + n} for n in range(count)}
    return Facts("postgresql", at(-1800), {"tables": items, "sequences": {"public.s": 2**62}}, 1.25)


def database(source: str, first: int) -> Member:
    parts = (Part("dump", snapshot(first), 1, 734_003_200, 52_000_000), Part("globals", snapshot(first + 1), 1, 2048))
    versions = {"server": "15.14", "pg_dump": "15.14"}
    return Member(
        source, "postgresql", at(-1800), parts, tables(12), seconds=8.4, connection=f"{source}-db", versions=versions
    )


def images() -> Member:
    facts = Facts(
        "files",
        at(-1795),
        {"files": {"count": 20_000, "bytes": 1_572_864_000}, "content": {"digest": HASH}, "dicom": {"studies": 600}},
        3.5,
    )
    parts = (Part("files", snapshot(8), 20_000, 1_572_864_000, 4096), Part("manifest", snapshot(9), 1, 2_400_000))
    versions = {"pydicom": "3.0.1"}
    return Member("images", "files", at(-1795), parts, facts, seconds=21.0, connection="pacs-files", versions=versions)


def point(system: str, *members: Member) -> RecoveryPoint:
    return RecoveryPoint(
        "01JGT7Z3V6" + system.upper().rjust(16, "0"),
        system,
        "01JGT7Z0000000000000000RUN",
        at(-1700),
        at(-1800),
        PointStatus.COMPLETE,
        members,
        {"restic": "0.18.0", "pg_dump": "15.14"},
        "backup-01",
    )


def check(
    name: str,
    level: Level,
    title: tuple[str, str],
    values: tuple[Json, Json] = (0, 0),
    status: CheckStatus = CheckStatus.PASS,
    **more: Any,
) -> CheckResult:
    return CheckResult(name, status, level, *values, 0.42, title=Text(*title), **more)


def phases(system: str, offset: float, *sources: str) -> tuple[Phase, ...]:
    steps: list[Phase] = []
    clock = offset
    for name, source, seconds in [(n, s, t) for s in sources for n, t in (("restore", 6.5), ("load", 9.25))] + [
        ("verify", "", 4.1)
    ]:
        steps.append(Phase(name, at(clock), at(clock + seconds), seconds, system, source))
        clock += seconds
    return tuple(steps)


SEAL = "5ea1" + HASH[4:]
LOGS = Replayed(RecoveryTarget("time", at(-60).isoformat()), 3, 5, 83_886_080)


def origin(*databases: str) -> Origin:
    into = {source: {"server": "15.15", "pg_restore": "15.15"} for source in databases}
    return Origin("s3", "2", SEAL, into=into)


def his() -> Outcome:
    checks = (
        check("integrity", Level.INTEGRITY, ("数据库结构完整性", "Engine integrity"), (0, 0), source="main"),
        check(
            "facts",
            Level.FACTS,
            ("与备份时刻事实一致", "Facts equal those at backup"),
            ({"tables": 12, "differences": 0}, {"tables": 12, "differences": 0}),
            source="main",
        ),
        check("charges-have-visit", Level.BUSINESS, ("每笔费用都有就诊", "Every charge has a visit")),
        check(
            "newest-charge",
            Level.BUSINESS,
            ("最新费用的时间", "Newest charge is fresh"),
            ("2026-01-05T13:28:22+08:00", "2026-01-05T13:33:10+08:00"),
        ),
        check(
            "daily-sums",
            Level.BUSINESS,
            ("每日明细、结算与支付三方相等", "Detail, settlement and payment agree per day"),
            (HASH, HASH),
        ),
    )
    line = Timeline(at(0), at(0), at(0), at(0), at(2), at(17.8), at(21.9))
    return Outcome(
        HIS,
        Verdict.PASSED,
        Level.BUSINESS,
        line,
        Measure(7200, 21.9),
        Measure(300, 212.4),
        point("his", database("main", 1)),
        checks,
        phases("his", 2, "main"),
        origin=origin("main"),
    )


def pacs() -> Outcome:
    checks = (
        check("integrity", Level.INTEGRITY, ("数据库结构完整性", "Engine integrity"), source="index"),
        check(
            "files",
            Level.FACTS,
            ("文件数量与内容哈希一致", "File count and content hashes agree"),
            ({"files": 20000, "changed": 0, "missing": 0}, {"files": 20000, "changed": 0, "missing": 0}),
            source="images",
        ),
        check(
            "images-match-index",
            Level.BUSINESS,
            ("影像与索引一致，头可解析，像素可解码", "Images match the index, headers parse, pixels decode"),
            (0, 0),
            source="images",
        ),
    )
    line = Timeline(at(30), at(30), at(30), at(30), at(31), at(62), at(220.5))
    return Outcome(
        PACS,
        Verdict.PASSED,
        Level.BUSINESS,
        line,
        Measure(14400, 190.5),
        Measure(3600, 1830),
        point("pacs", database("index", 3), images()),
        checks,
        phases("pacs", 31, "index", "images"),
        origin=replace(origin("index"), replayed={"index": LOGS}),
    )


def passed() -> DrillRecord:
    return DrillRecord(
        run="01JGT8A0000000000000000RUN",
        kind=RunKind.DRILL,
        occasion=OccasionKind.DRILL,
        name="quarterly-restore",
        title=Text("季度恢复演练：HIS 与 PACS", "Quarterly restore drill: HIS and PACS"),
        scenario="server-lost",
        form="hands-on",
        site=Text("示例精神专科医院", "Demo Psychiatric Hospital"),
        started_at=at(0),
        finished_at=at(225),
        verdict=Verdict.PASSED,
        level=Level.BUSINESS,
        outcomes=(his(), pacs()),
        destruction=(Destruction("scratch/01JGT8A0000000000000000RUN", 21_345, 3_221_225_472, 2, True, at(224)),),
        target="scratch",
        host="backup-01",
        operator="engineer-1",
        reason="季度例行演练",
        tools={"drmgr": "0.1.0", "restic": "0.18.0"},
        timezone="Asia/Shanghai",
        phases=(Phase("verify-across", at(221), at(223.5), 2.5),),
    )


def failed() -> DrillRecord:
    """HIS lost rows on the way; PACS could not be restored at all."""
    bad = replace(
        his(),
        verdict=Verdict.FAILED,
        level=Level.INTEGRITY,
        rto=Measure(7200, 9000.0),
        checks=(
            his().checks[0],
            check(
                "facts",
                Level.FACTS,
                ("与备份时刻事实一致", "Facts equal those at backup"),
                ({"tables": 12, "differences": 0}, {"tables": 12, "differences": 2, "first": "public.charge"}),
                CheckStatus.FAIL,
                source="main",
                message="2 of 12 tables differ from the facts taken at the backup",
            ),
            check(
                "charges-have-visit",
                Level.BUSINESS,
                ("每笔费用都有就诊", "Every charge has a visit"),
                (0, 17),
                CheckStatus.FAIL,
            ),
            check(
                "daily-sums",
                Level.BUSINESS,
                ("每日三方相等", "Sums agree per day"),
                (0, None),
                CheckStatus.ERROR,
                message="the query was ended after 30 s",
            ),
            check("stock", Level.BUSINESS, ("库存 = 入 − 出", "Stock is in minus out"), (0, None), CheckStatus.SKIPPED),
        ),
    )
    lost = Outcome(
        PACS,
        Verdict.ERROR,
        Level.STRUCTURE,
        Timeline(at(30), at(30), at(30), at(30), at(31)),
        Measure(14400, None),
        Measure(3600, None),
        None,
        (),
        (Phase("restore", at(31), at(40), 9.0, "pacs", "images", ok=False),),
        {
            "code": "repository-unreachable",
            "message": "the object store did not answer",
            "hint": "is the object store up?",
        },
    )
    return replace(
        passed(), verdict=Verdict.FAILED, level=Level.STRUCTURE, outcomes=(bad, lost), scenario="ransomware", phases=()
    )


def _many_checks() -> list[CheckResult]:
    """As many as the largest system of the demo has, of the same kinds, with values as long."""
    facts = {"extensions": 1, "globals": 1, "large_objects": 1, "newest": 2, "roles": 8, "sequences": 5, "tables": 19}
    sound = {"corruptions": 0, "invalid_indexes": 0, "sequences_behind": 0}
    images = dict.fromkeys(("images", "missing", "orphans", "pixels", "sha256", "size", "uid", "unreadable"), 0)
    span = {"from": "2026-01-04T13:33:22+08:00", "to": "2026-01-05T13:33:22+08:00"}
    across = {"known": 0, "later": 5, "missing": 0, "rows": 261}
    kinds: list[tuple[Level, tuple[str, str], tuple[Json, Json]]] = [
        (Level.STRUCTURE, ("恢复点均可读取", "Every point can be read"), (0, 0)),
        (Level.FACTS, ("与备份时刻的事实一致", "Facts equal those of the backup's instant"), (facts, facts)),
        (Level.INTEGRITY, ("引擎完整性检查", "Engine integrity"), (sound, {**sound, "relations_checked": 2309})),
        (Level.BUSINESS, ("影像与索引一致，可解析", "Images match the index and open"), (images, images)),
        (
            Level.BUSINESS,
            ("最新收费时间在允许范围内", "The newest charge is fresh"),
            (span, "2026-01-05T13:33:10+08:00"),
        ),
        (Level.BUSINESS, ("金丝雀数据逐字节一致", "The canary is what was planted, byte for byte"), (HASH, HASH)),
        (
            Level.ACROSS,
            ("检验医嘱在 LIS 均有申请", "Every order has its request"),
            ({"known": 0, "missing": 0}, across),
        ),
    ]
    more = (Level.BUSINESS, "有费用、退费或收款的日期都有日结", "Days with charges, refunds or payments are settled")
    kinds += [(more[0], (f"{more[1]}之{n}", f"{more[2]} ({n})"), ({"known": 0, "new": 0},) * 2) for n in range(22)]
    return [check(f"check-{n}", level, title, values) for n, (level, title, values) in enumerate(kinds)]


def of_many_checks(wrong: int) -> DrillRecord:
    """One system with 29 checks, of which so many failed, the longest values first."""
    checks = _many_checks()
    failing = [checks[5], checks[2], *checks[:2], *checks[3:5], *checks[6:]][:wrong]
    bad = {each.name: replace(each, status=CheckStatus.FAIL) for each in failing}
    if "check-2" in bad:
        found: Json = {"corruptions": 1204, "invalid_indexes": 0, "sequences_behind": 0, "relations_checked": 2309}
        bad["check-2"] = replace(bad["check-2"], actual=found)
    verdict = Verdict.FAILED if bad else Verdict.PASSED
    outcome = replace(his(), verdict=verdict, checks=tuple(bad.get(each.name, each) for each in checks))
    return replace(passed(), verdict=verdict, outcomes=(outcome,))
