"""Schedules, status and alarms by the real command."""

import hashlib
import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.robot import robot
from tests.support.site import Json, Site, wait_until

MINUTELY = {"backup": "* * * * *"}


def problems(site: Site, *arguments: str, code: int = 4) -> dict[str, list[str]]:
    found = site.json("status", *arguments, code=code)
    assert found["ok"] == (code == 0)
    told = {each["system"]: [problem["code"] for problem in each["problems"]] for each in found["systems"]}
    return {**told, "": [problem["code"] for problem in found["problems"]]}


def set_back(site: Site, seconds: int) -> None:
    """Makes schedules and runs that much older, as if they had been known for long and the last run missed."""
    at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(site.directory / "state/catalog.db")) as catalog:
        catalog.execute("UPDATE schedules SET since = ?", (at,))
        catalog.execute("UPDATE runs SET started_at = ?, finished_at = ?", (at, at))
        catalog.commit()


def test_what_is_due_is_run_once_by_tier_and_by_one_of_two_that_look_at_once(site: Site) -> None:
    # once within the hour that lies behind, and then tomorrow, however long a busy machine takes
    at = datetime.now(timezone(timedelta(hours=8))) - timedelta(minutes=30)
    for name in ("his", "docs"):
        site.edit(lambda job: job.update(schedule={"backup": f"{at.minute} {at.hour} * * *"}), f"jobs/{name}.yaml")
    site.edit(lambda document: document.update(schedule={"parallel": 1, "quiet": None}))
    assert site.json("backup", "--due") == {"runs": [], "waiting": []}
    # as quiet as cron wants it
    assert site.run("backup", "--due").out == ""
    set_back(site, 3600)
    before = len(site.runs())
    with site.started("backup", "--due", "--json") as one, site.started("backup", "--due", "--json") as two:
        answers = [site.ended(one), site.ended(two)]
    assert [answer.code for answer in answers] == [0, 0]
    made = [run["system"] for answer in answers for run in answer.document["runs"]]
    assert sorted(made) == ["docs", "his"]
    new = [run for run in site.runs()[before:] if run.status != "failed"]
    assert [(run.system, run.status) for run in new] == [("his", "ok"), ("docs", "ok")]
    shown = site.json("schedule", "show")
    assert [row["name"] for row in shown["schedules"]] == ["docs", "his"]
    assert all(at.endswith("+08:00") for row in shown["schedules"] for at in row["next"])


def test_no_more_than_the_allowed_number_run_at_once_and_what_is_held_up_stays_due(site: Site) -> None:
    site.edit(lambda job: job.update(schedule=MINUTELY), "jobs/docs.yaml")
    site.edit(lambda document: document.update(schedule={"parallel": 1, "quiet": None}))
    site.json("backup", "--due")
    set_back(site, 3600)
    held = site.hold("restic", at="backup")
    with site.started("backup", "his", "--json") as by_hand:
        held.wait()
        assert site.json("backup", "--due")["runs"] == []
        held.let_go()
        assert site.ended(by_hand).code == 0
    assert [run["system"] for run in site.json("backup", "--due")["runs"]] == ["docs"]


def test_status_believes_the_repositories_and_nothing_else(site: Site) -> None:
    assert problems(site, code=0) == {"his": [], "docs": [], "": []}
    away = site.directory / "away"
    (site.directory / "repositories/his").rename(away)
    found = problems(site)
    assert found == {"his": ["repository-missing"], "docs": [], "": []}
    assert next(iter(found)) == "his"
    away.rename(site.directory / "repositories/his")
    for snapshot in site.repository_files("docs", "snapshots"):
        snapshot.unlink()
    assert problems(site, "docs")["docs"] == ["point-damaged", "no-point"]
    critical = site.run("status", "--nagios")
    assert critical.code == 2
    assert critical.out.startswith("DRMGR CRITICAL - docs ")
    assert "his_age=" in critical.out
    assert site.run("status", "his", "--nagios").code == 0
    (site.directory / "jobs/his.yaml").write_text("system: [")
    told = site.run("status", "--nagios")
    assert (told.code, told.out.startswith("DRMGR UNKNOWN - ")) == (3, True)


def test_status_believes_evidence_only_while_it_holds(drilled: Site) -> None:
    found = drilled.json("status")
    his = next(each for each in found["systems"] if each["system"] == "his")
    assert his["last_drill"]["verdict"] == "passed"
    assert his["last_rto"] > 0
    assert his["rto_met"] is True
    (first, second) = sorted((drilled.directory / "evidence").glob("*.json"))
    text = first.read_text()
    first.write_text(text.replace("Ag", "Ah", 1) if "Ag" in text else text + " ")
    assert "evidence-broken" in problems(drilled)["his"]
    second.unlink()
    assert problems(drilled)[""] == ["evidence-broken"]


def test_each_problem_is_told_once_and_a_refusal_is_trouble_that_is_tried_again(site: Site) -> None:
    with robot() as (port, heard, refuses):
        secret = site.directory / "secrets/duty"
        secret.write_text(f"json://127.0.0.1:{port}/not-to-be-shown")
        secret.chmod(0o600)
        site.edit(lambda document: document.update(notify={"to": [{"name": "duty", "url": "file:secrets/duty"}]}))
        for name in ("jobs/his", "drills/his-restore"):
            (site.directory / f"{name}.yaml").unlink()
        assert problems(site)[""] == ["undeclared"]
        site.edit(lambda document: document.update(retired=["his"]))
        assert site.json("notify", "test")["recipients"] == [{"name": "duty", "ok": True, "error": None}]
        (site.directory / "repositories/docs").rename(site.directory / "away")
        refuses.append(45009)
        failed = site.json("notify", "check", code=25)
        assert failed["failed"] == {"duty": "the message did not reach duty: it answered errcode 45009"}
        assert problems(site)[""] == ["notify-failed"]
        refuses.append(0)
        before = len(heard)
        # both what was not told and that it was not
        assert site.json("notify", "check")["told"] == 2
        assert len(heard) == before + 1
        (site.directory / "away").rename(site.directory / "repositories/docs")
        assert "repository-missing" in [each["code"] for each in site.json("notify", "check")["recovered"]]
    text = b"".join(heard).decode()
    assert str(site.directory) not in text
    assert "文书" in text or "\\u6587\\u4e66" in text


def test_metrics_are_openmetrics_and_written_in_one_piece(drilled: Site) -> None:
    target = drilled.directory / "metrics" / "drmgr.prom"
    drilled.json("metrics", "--textfile", str(target))
    families = parsed(target.read_text())
    met = {sample.labels["system"]: sample.value for sample in families["drmgr_rpo_met"].samples}
    assert met == {"his": 1.0, "docs": 1.0}
    assert families["drmgr_up"].samples[0].value == 1
    assert all(sample.value > 0 for sample in families["drmgr_drill_rto_seconds"].samples)
    assert target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["drmgr.prom"]
    (drilled.directory / "repositories/his").rename(drilled.directory / "away")
    families = parsed(drilled.run("metrics").out)
    up = {sample.labels["system"]: sample.value for sample in families["drmgr_repository_up"].samples}
    assert up == {"his": 0.0, "docs": 1.0}
    assert {sample.labels["system"] for sample in families["drmgr_point_age_seconds"].samples} == {"docs"}


def parsed(text: str) -> Json:
    """By the parser of Prometheus' own people, which is strict."""
    return {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("how", ["--cron", "--systemd"])
def test_install_shows_what_changes_does_it_once_and_takes_away_what_is_not_needed(site: Site, how: str) -> None:
    into = site.directory / "into"
    arguments = ("schedule", "install", how, "--into", str(into))
    assert site.json(*arguments)["changes"] == []
    site.edit(lambda job: job.update(schedule=MINUTELY), "jobs/docs.yaml")
    site.edit(lambda drill: drill.update(schedule="0 3 1 * *"), "drills/docs-restore.yaml")
    assert site.json(*arguments, "--dry-run")["changed"] is False
    assert not into.exists()
    first = site.run(*arguments)
    assert "+" in first.out
    written = texts(into)
    assert any("drill run --due" in text for text in written.values())
    assert all(str(site.config) in text or name.endswith(".timer") for name, text in written.items())
    again: Json = site.json(*arguments)
    assert (again["changed"], again["changes"]) == (False, [])
    other = "--systemd" if how == "--cron" else "--cron"
    site.json("schedule", "install", other, "--into", str(into))
    assert set(texts(into)).isdisjoint(written)
    site.json(*arguments)
    site.edit(lambda drill: drill.pop("schedule"), "drills/docs-restore.yaml")
    site.json(*arguments)
    assert not any("drill run --due" in text for text in texts(into).values())
    site.json("schedule", "install", "--remove", "--into", str(into))
    assert texts(into) == {}


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_install_refuses_what_would_fail_every_night_or_belongs_to_another_site(site: Site) -> None:
    site.edit(lambda job: job.update(schedule=MINUTELY), "jobs/docs.yaml")
    into = site.directory / "into"
    into.mkdir()
    (into / "drmgr-test-hospital").write_text("# BEGIN drmgr test-hospital (/elsewhere/drmgr.yaml)\n")
    arguments = ("schedule", "install", "--cron", "--into", str(into))
    assert site.refused(13, *arguments)["code"] == "not-allowed"
    (into / "drmgr-test-hospital").unlink()
    site.edit(lambda document: document["keys"].update(passphrase="env:DRMGR_PASSPHRASE"))
    assert "DRMGR_PASSPHRASE" in site.refused(10, *arguments)["message"]
    assert site.refused(2, "schedule", "install")["code"] == "usage"


def test_the_loop_starts_what_is_due_survives_a_run_that_fails_and_ends_cleanly_on_sigterm(site: Site) -> None:
    site.edit(lambda job: job.update(schedule=MINUTELY), "jobs/docs.yaml")
    site.edit(lambda document: document.update(schedule={"quiet": None}))
    site.json("backup", "--due")
    set_back(site, 3600)
    (site.directory / "documents").rename(site.directory / "away")
    before = len(site.runs())
    with site.started("schedule", "run") as loop:
        wait_until(lambda: len(site.runs()) > before and site.runs()[-1].status == "failed", "the run that fails")
        wait_until(lambda: alarms(site) == ["run-failed"], "the alarm, without waiting ten minutes")
        assert loop.poll() is None
        (site.directory / "away").rename(site.directory / "documents")
        answer = site.ended(loop, signal.SIGTERM)
    assert answer.code == 0
    assert "schedule: stops" in answer.err
    assert site.runs()[before].status == "failed"
    findings = {each["name"]: each["state"] for each in site.run("doctor", "--json").document["findings"]}
    assert (findings["schedule"], findings["schedule: backup"], findings["alarms"]) == ("ok", "ok", "warn")


def alarms(site: Site) -> list[str]:
    with closing(sqlite3.connect(site.directory / "state/catalog.db")) as catalog:
        return [code for (code,) in catalog.execute("SELECT code FROM alarms WHERE recovered_at IS NULL")]


def test_the_quarter_is_reported_with_what_is_missing_and_signed(drilled: Site) -> None:
    # that of the drills, which may have been played before a quarter's last midnight
    (drill,) = json.loads((drilled.directory / "first-drill.json").read_text())["drills"]
    played = datetime.fromisoformat(drill["systems"][0]["t0"]).astimezone(timezone(timedelta(hours=8)))
    name = f"{played.year}Q{(played.month + 2) // 3}"
    (drilled.directory / "repositories/docs").rename(drilled.directory / "away")
    answer = drilled.json("report", "quarter", name, "--lang", "en", "--out", str(drilled.directory / "papers"))
    figures = Path(answer["figures"]).read_bytes()
    assert hashlib.sha256(figures).hexdigest() == answer["sha256"]
    his, docs = (each for each in json.loads(figures)["systems"])
    assert (his["days"]["proven"], his["passed_in_quarter"], his["unasked"]) == (1, True, "")
    assert (docs["days"]["proven"], docs["passed_in_quarter"], docs["unasked"]) == (0, True, "repository-missing")
    pdf = Path(answer["report"])
    text = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    assert "not proven" in text
    signed = subprocess.run(["pdfsig", str(pdf)], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in signed
    assert Path(answer["tables"]).stat().st_size > 5000
    for wrong in ("2026Q5", f"{played.year + 1}Q4"):
        assert drilled.refused(2, "report", "quarter", wrong)["code"] == "usage"
    # without its job the system is not forgotten
    for file in ("jobs/docs.yaml", "drills/docs-restore.yaml"):
        (drilled.directory / file).unlink()
    report = json.loads(Path(drilled.json("report", "quarter", name)["figures"]).read_bytes())
    assert [each["system"] for each in report["systems"]] == ["his"]
    assert [(each["system"], each["points"], len(each["drills"])) for each in report["undeclared"]] == [("docs", 1, 1)]
    (row,) = [row for row in report["problems"] if row["code"] == "undeclared"]
    assert row["system"] == "docs"
    shares = {row["measure"]: (row["value"], row["holds"]) for row in report["compliance"] if row["measure"]}
    assert shares["systems_drilled_this_quarter_share"] == (0.5, False)


def test_the_quarter_tells_of_incidents_of_evidence_that_is_gone_and_of_copies_that_hold_nothing(site: Site) -> None:
    site.json("backup", "--all")
    fault = datetime.now(UTC).isoformat()
    site.json(
        "restore", "docs", "--to", f"folder:{site.directory}/restored/now", "--reason", "lost", "--fault-at", fault
    )
    site.run("drill", "run", "his-restore")
    site.edit(lambda document: document.update(copies={"fire": {"kind": "folder", "path": "fire", "rpo": "6h"}}))
    documents = sorted((site.directory / "evidence").glob("0*.json"))
    site.json("backup", "docs")
    documents[-1].unlink()
    with closing(sqlite3.connect(site.directory / "state/catalog.db")) as catalog, catalog:
        # nobody but the recovery point knows of the document, and the catalog tells a point of his to be another one
        catalog.execute("DELETE FROM evidence WHERE sequence = (SELECT max(sequence) FROM evidence)")
        catalog.execute(
            """UPDATE points SET document = replace(document, '"host": "', '"host": "x') WHERE system = 'his'"""
        )
    here = datetime.now(timezone(timedelta(hours=8)))
    answer = site.json("report", "quarter", f"{here.year}Q{(here.month + 2) // 3}")
    report = json.loads(Path(answer["figures"]).read_bytes())
    codes = {(row["system"], row["code"]) for row in report["problems"]}
    assert {("docs", "incident"), ("", "evidence-gone"), ("his", "copy-behind"), ("docs", "copy-behind")} <= codes
    assert ("his", "damaged") in codes
    assert [each["file"] for each in report["evidence"]] == [path.name for path in documents[:-1]]
    copies = {(row["value"], row["holds"]) for row in report["compliance"] if row["measure"] == "copies"}
    assert copies == {(0, False)}


def test_a_recovery_kit_that_is_gone_is_trouble_of_the_site(site: Site) -> None:
    site.json("backup", "docs")
    assert problems(site, "docs", code=0)[""] == []
    kept = site.directory / "repositories/drmgr-recovery"
    kept.rename(site.directory / "away")
    assert problems(site, "docs")[""] == ["kit-missing"]
