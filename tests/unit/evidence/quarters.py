"""A quarter of a hospital with ten systems: good ones, and every kind of trouble."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from drmgr.flows.quarter import Period, Played, Proof, Saved, SystemYear, quarter
from drmgr.model import Objectives, Run, RunKind, RunStatus, System, Text

SHANGHAI = ZoneInfo("Asia/Shanghai")
PERIOD = quarter("2026Q4", SHANGHAI)
AFTER = datetime(2027, 1, 4, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

SYSTEMS = (
    ("his", "医院信息系统 HIS", "HIS", 1, 24, 2),
    ("emr", "电子病历 EMR", "EMR", 1, 24, 2),
    ("lis", "检验系统 LIS", "LIS", 1, 24, 2),
    ("opd-emr", "门诊电子病历", "Outpatient EMR", 1, 24, 2),
    ("mi", "医保结算清单系统", "Insurance settlement", 1, 25, 3),
    ("pacs", "影像系统 PACS", "PACS", 2, 25, 4),
    ("mrm", "病案系统", "Medical records", 2, 25, 8),
    ("phr", "公共卫生上报系统", "Public health reports", 2, 25, 8),
    ("queue", "门诊叫号系统", "Queue", 3, 25, 4),
    ("nis", "医院感染实时监控系统", "Infection surveillance", 3, 25, 8),
)


def system(number: int) -> System:
    name, zh, en, tier, rpo, rto = SYSTEMS[number]
    return System(name, Text(zh, en), tier, Objectives(rpo * HOUR, rto * HOUR))


def nightly(first: int, last: int, *, proof: Proof = Proof.SEALED, minutes: int = 20) -> list[Saved]:
    """One point a night at 01:00, from one day of the quarter to another; -1 is the day before it."""
    begins = [PERIOD.begin + day * DAY + HOUR for day in range(first, last + 1)]
    return [Saved(at + timedelta(minutes=minutes), at, proof) for at in begins]


def in_doubt(saved: list[Saved]) -> list[Saved]:
    """The same, suspicious, and nobody has accepted them."""
    return [replace(each, doubted=True) for each in saved]


def played(name: str, day: float, verdict: str = "passed", hours: float | None = 0.5, broken: str = "") -> Played:
    at = PERIOD.begin + day * DAY
    number = f"DR-{at:%Y%m%d}-{abs(hash((name, day))) % 1000:06d}"
    target = {each[0]: each[5] for each in SYSTEMS}[name] * 3600.0
    measured = None if hours is None else hours * 3600
    file = f"{number[-6:]}-01M82D{at:%Y%m%d}{name.upper():.<12}.json"
    return Played(at, f"{name}-restore", number, verdict, 4, measured, target, 300.0, 86400.0, file, "a1" * 32, broken)


def run(name: str, day: int, status: RunStatus, code: str = "") -> Run:
    at = PERIOD.begin + day * DAY + HOUR
    return Run(f"R{day}", RunKind.BACKUP, name, status, at, at + HOUR / 3, {}, {"code": code} if code else None)


def ten_systems() -> list[SystemYear]:
    found = []
    for number, (name, *_rest) in enumerate(SYSTEMS):
        saved = nightly(-1, 91)
        drills = [played(name, 40 + number), played(name, number - 80), played(name, number - 170)]
        found.append(SystemYear(system(number), tuple(saved), (), tuple(drills)))
    his, emr, lis, opd, mi, pacs, mrm, phr, queue, nis = found
    lost = [run("emr", day, RunStatus.FAILED, "repository-unreachable") for day in (30, 31, 32)]
    return [
        his,
        SystemYear(emr.system, (*nightly(-1, 29), *nightly(33, 91)), tuple(lost), emr.drills),
        SystemYear(lis.system, lis.saved, (), (played("lis", 42, "failed", 2.6), played("lis", 49, hours=1.4))),
        SystemYear(opd.system, opd.saved, (), ()),
        SystemYear(mi.system, tuple(nightly(36, 91)), (), mi.drills[:1]),
        SystemYear(pacs.system, (*nightly(-1, 44, proof=Proof.EXPIRED), *nightly(45, 91)), (), pacs.drills),
        SystemYear(mrm.system, (), tuple(run("mrm", day, RunStatus.OK) for day in range(60)), (), "repository-missing"),
        SystemYear(phr.system, phr.saved, (), (played("phr", 47, "error", None),)),
        SystemYear(
            queue.system, (*nightly(-1, 59), *in_doubt(nightly(60, 68)), *nightly(69, 91)), (), queue.drills, damage=2
        ),
        SystemYear(nis.system, nis.saved, (), (played("nis", 49, broken="the signature does not match the content"),)),
    ]


def named(found: list[SystemYear], name: str) -> SystemYear:
    return next(each for each in found if each.system.id == name)


__all__ = [
    "AFTER",
    "DAY",
    "HOUR",
    "PERIOD",
    "Period",
    "in_doubt",
    "named",
    "nightly",
    "played",
    "run",
    "system",
    "ten_systems",
]
