"""The runbook on paper: no secret in it, and its first command does what it says."""

import json
import shlex
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drmgr.flows.runbook import TIME
from tests.support.site import Site


def test_a_runbook_is_printed_and_its_scratch_restore_is_played(drilled: Site) -> None:
    answer = drilled.json("report", "runbook", "his")
    done = subprocess.run(["pdftotext", "-layout", answer["report"], "-"], capture_output=True, text=True, check=True)
    for word in (
        "系统恢复手册",
        "头五分钟",
        "勒索病毒",
        "drmgr restore his",
        "实测恢复时间",
        "DR-",
        "未配置副本",
        "值班工程师",
    ):
        assert word in done.stdout
    written = Path(answer["text"]).read_text(encoding="utf-8")
    secrets = [each.read_text() for each in (drilled.directory / "secrets").iterdir()]
    assert secrets
    assert not [secret for secret in secrets if secret in written + done.stdout + json.dumps(answer)]

    (line,) = [each for each in answer["commands"] if "--to scratch --keep 4h --occasion incident" in each]
    assert line in written
    fault = datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(minutes=30)
    played = drilled.json(*shlex.split(line.replace(TIME, f"{fault:%Y-%m-%dT%H:%M:%S}"))[1:])
    assert (played["status"], played["verified"]["level"], played["counted_from"]) == ("ok", 4, "t0")
    (workspace,) = (drilled.directory / "scratch").iterdir()
    label = json.loads((workspace / "label.json").read_text())
    (workspace / "label.json").write_text(json.dumps({**label, "keep_until": "2026-01-01T00:00:00+00:00"}))
    drilled.json("restore", "his", "--to", "scratch", "--dry-run")
