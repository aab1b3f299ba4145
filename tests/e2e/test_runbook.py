"""The runbook on paper: no secret in it, and its first command does what it says."""

import json
import shlex
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drmgr.cli.reports.runbook import gather
from drmgr.cli.wiring.wire import open_site
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
    # what a drill can be held against, and beside it what people waited
    with open_site(drilled.config) as opened:
        newest = gather(opened, opened.loaded.job("his"), drilled.config)["runbook"]["measured"][0]
    assert abs(newest["rto"] - played["seconds"]) < 0.01
    assert abs(newest["since_fault"] - played["rto"]["measured"]) < 0.01 and newest["since_fault"] > 30 * 60
    (workspace,) = (drilled.directory / "scratch").iterdir()
    label = json.loads((workspace / "label.json").read_text())
    (workspace / "label.json").write_text(json.dumps({**label, "keep_until": "2026-01-01T00:00:00+00:00"}))
    drilled.json("restore", "his", "--to", "scratch", "--dry-run")


def test_the_order_of_the_hospital_is_that_of_its_drill(drilled: Site) -> None:
    drilled.edit(lambda job: job.update(tier=1, depends_on=["his"]), "jobs/docs.yaml")
    with open_site(drilled.config) as opened:
        told = gather(opened, opened.loaded.job("his"), drilled.config)["runbook"]
    # by tier and name docs would come before what it cannot work without
    assert [row["system"] for row in told["order"]] == ["his", "docs"]
    lines = {row["key"]: row["line"] for row in told["commands"]}
    assert lines["combine"] == "drmgr keys combine --new-passphrase file:secrets/passphrase"
    assert "newest" not in lines
    drilled.json("report", "runbook", "his", "--lang", "en")
