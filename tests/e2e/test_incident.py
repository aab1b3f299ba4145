"""An incident as it is lived through: restored, told, noted later, reported."""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.support.site import Site

SHANGHAI = ZoneInfo("Asia/Shanghai")


def told(minutes: int) -> str:
    return (datetime.now(SHANGHAI) - timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


def test_an_incident_is_told_noted_and_reported(site: Site) -> None:
    target = site.directory / "restored/incident"
    fault, noticed = told(90), told(60)
    wrong = ("--fault-at", noticed, "--noticed-at", fault)
    assert "is before T0" in site.refused(2, "restore", "docs", "--to", f"folder:{target}", *wrong)["message"]
    clash = ("--fault-at", fault, "--occasion", "drill")
    assert "belong to an incident" in site.refused(2, "restore", "docs", "--to", f"folder:{target}", *clash)["message"]
    assert (
        "a day without a time"
        in site.refused(2, "restore", "docs", "--to", "scratch", "--fault-at", fault[:10])["message"]
    )

    done = site.json("restore", "docs", "--to", f"folder:{target}", "--fault-at", fault, "--reason", "磁盘损坏")
    assert (done["times"]["t0"] or "")[:19] == fault.replace(" ", "T")
    assert (done["times"]["t1"], done["counted_from"]) == (None, "t0")
    assert 90 * 60 <= done["rto"]["measured"] < 90 * 60 + 600
    assert done["seconds"] < 600

    site.json("incident", "note", done["run"], "--noticed-at", noticed, "--cause", "控制器缓存电池失效")
    action = ("--action", "更换电池", "--owner", "信息科", "--due", "2027-01-31")
    noted = site.json("incident", "note", done["run"], *action)
    assert (
        "telephone or identity"
        in site.refused(2, "incident", "note", done["run"], "--said", "电话 138 0013 8000")["message"]
    )
    assert "each action has an owner" in site.refused(2, "incident", "note", done["run"], *action[:4])["hint"]
    assert "note about a restore" in site.refused(2, "incident", "note", noted["run"], "--cause", "x")["message"]
    assert site.json("evidence", "verify", "--all")["ok"] is True

    # a folder without a check tells no time, and a note repeats a verdict and is no way back that could be measured
    planned = site.json("restore", "docs", "--to", "scratch", "--dry-run")
    assert (planned["expected"], planned["drilled"]["level"]) == (None, 0)
    again = site.json("restore", "docs", "--to", "scratch", "--keep", "1s", "--fault-at", fault)
    site.json("incident", "note", again["run"], "--cause", "控制器缓存电池失效")
    planned = site.json("restore", "docs", "--to", "scratch", "--dry-run")
    assert planned["expected"]["from"] == "restore-docs"
    # not since the fault, an hour and a half ago
    assert abs(planned["expected"]["seconds"] - again["seconds"]) < 0.01
    assert planned["drilled"]["level"] == again["verified"]["level"] > 0

    report = site.json("report", "incident", done["run"])
    assert len(report["notes"]) == 2
    text = subprocess.run(
        ["pdftotext", "-layout", report["report"], "-"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("真实事件恢复报告", fault, noticed, "磁盘损坏", "控制器缓存电池失效", "更换电池", "2027-01-31"):
        assert word in text
    assert Path(report["report"]).stat().st_size < 500_000
