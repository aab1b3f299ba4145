"""What a runbook's page is set from: a system with everything, among ten."""

from drmgr.flows.runbook import commands, decisions
from drmgr.model import Json
from tests.unit.evidence.quarters import SYSTEMS
from tests.unit.flows.test_runbook import FULL


def system_json(number: int) -> Json:
    name, zh, en, tier, rpo, rto = SYSTEMS[number]
    needed = {"his": [], "emr": ["his"], "lis": ["his"], "mi": ["his"], "pacs": ["his", "emr"]}.get(name, [])
    title = {"zh": zh, "en": en}
    return {"system": name, "title": title, "tier": tier, "depends_on": needed, "rpo": rpo * 3600, "rto": rto * 3600}


def data() -> Json:
    found = commands(FULL)
    header = {
        "number": "RB-his-20270104",
        "site": {"zh": "示例精神专科医院", "en": "Demo Psychiatric Hospital"},
        "timezone": "Asia/Shanghai",
        "host": "backup-01",
        "finished_at": "2027-01-04T10:00:00+08:00",
        **{"occasion": "", "scenario": "", "form": ""},
    }
    measured = [
        {
            "at": f"2026-1{month}-05T03:20:11+08:00",
            "number": f"DR-20261{month}05-00000{month}",
            "occasion": "drill",
            "target": "scratch",
            "level": 4,
            "verdict": "passed",
            "rto": 812.4 + 100 * month,
            "counted_from": "t0",
        }
        for month in (2, 1, 0)
    ]
    checks = [
        {"name": "charges-have-visit", "zh": "每笔费用都有就诊", "en": "Every charge has a visit"},
        {"name": "refunds", "zh": "退费不超过原费用", "en": "A refund is at most its original"},
        {"name": "sums", "zh": "每日明细、结算与支付三方相等", "en": "Detail, settlement and payment agree per day"},
        {"name": "stock", "zh": "药房库存等于入库减出库", "en": "Stock is in minus out"},
    ]
    book = {
        "system": system_json(0),
        "sources": [
            {"name": "main", "engine": "postgresql-physical", "connection": "his-main", "logged": True},
            {"name": "scans", "engine": "files", "connection": "his-scans", "logged": False},
        ],
        "commands": [{"key": key, "line": line} for key, line in found.items()],
        "decisions": decisions(found),
        "measured": measured,
        "checks": checks,
        "order": [system_json(number) for number in range(len(SYSTEMS))],
        "copies": ["offsite", "tape"],
        "place": "s3:https://s3.example.org/drmgr/his",
    }
    predicate = {"header": header, "backup_set": [], "environment": {"target": ""}}
    return {"predicate": predicate, "runbook": book}
