"""The rest of the command line: init, config, doctor, keys, repo, and the options that all commands share."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.shape import Instant, fits
from tests.support.site import DRMGR, Site


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom drmgr.cli.main import main\ncode = main(['--help'])\n"
        "print([n for n in ('boto3','sqlalchemy','typst','psycopg','pydantic','cryptography') if n in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "restore" in done.stdout


def test_init_makes_a_site_that_passes_its_own_check(site: Site) -> None:
    folder = site.directory / "new"
    first = site.json("init", str(folder))
    assert str(folder / "drmgr.yaml") in first["made"]
    assert first["kept"] == []
    before = (folder / "drmgr.yaml").read_bytes()
    # as the README says of what one does not have
    (folder / "drills" / "across-restore.yaml").unlink()
    again = site.json("init", str(folder), "--name-en", "Another")
    assert again["made"] == []
    assert (folder / "drmgr.yaml").read_bytes() == before
    checked = site.run("config", "check", "--json", config=folder / "drmgr.yaml")
    assert checked.document["ok"] is True
    # nothing in clear under keys/
    passphrase = (folder / "secrets/passphrase").read_text().strip()
    assert (folder / "secrets/passphrase").stat().st_mode & 0o777 == 0o600
    assert all(passphrase not in path.read_text() for path in (folder / "keys").iterdir())


def test_config_mistakes_come_all_at_once_with_file_and_line(site: Site) -> None:
    site.edit(lambda document: document.update(colour="blue"))
    site.edit(lambda job: job.update(tier=9), "jobs/docs.yaml")
    site.edit(lambda job: job["sources"][0].update(conection="his-main"), "jobs/his.yaml")
    error = site.refused(10, "config", "check")
    problems = "\n".join(error["problems"])
    for file, key in (("drmgr.yaml", "colour"), ("docs.yaml", "tier"), ("his.yaml", "conection")):
        text = next(
            (site.directory / place / file) for place in ("", "jobs") if (site.directory / place / file).exists()
        )
        line = next(n for n, words in enumerate(text.read_text().splitlines(), 1) if key in words)
        assert f"{file}:{line}" in problems, problems
    # every other command refuses too, before it does anything
    assert site.json("backup", "docs", code=10)["error"]["code"] == "config"


def test_config_show_and_schema(site: Site) -> None:
    shown = site.json("config", "show", "his")
    text = json.dumps(shown)
    assert "his-main" in text
    assert "docs" not in text
    assert json.loads(site.run("config", "show", "his").out) == shown
    schema = site.json("config", "schema")
    # for people it is JSON too, whatever the width of a terminal that is not there
    assert json.loads(site.run("config", "schema").out) == schema
    assert "his-main" not in json.dumps(schema)
    assert site.refused(2, "config", "show", "nothing")["code"] == "usage"


def test_doctor_tells_what_is_wrong_and_how_to_mend_it(site: Site) -> None:
    fine = site.json("doctor")
    fits(fine, {"ok": bool, "findings": [{"name": str, "state": {"ok", "warn"}, "detail": str, "hint": str}]})
    targets = {each["name"]: each for each in fine["findings"] if each["name"].startswith("target ")}
    assert {name.partition("/")[0]: each["detail"] for name, each in targets.items() if "folder" not in name} == {
        "target connection:his-alias": "it is the place of his/main, which is backed up",
        "target connection:his-main": "it is the place of his/main, which is backed up",
        "target connection:standby": "answers, and is empty",
    }
    (folder,) = (each for name, each in targets.items() if "folder" in name)
    assert folder["state"] == "ok" and "made when it is needed" in folder["detail"]
    assert all(each["hint"] for each in targets.values() if each["state"] != "ok")
    (site.directory / "restored").write_text("in the way")
    site.edit(lambda document: document["connections"]["standby"].update(host=str(site.directory / "nowhere")))
    (site.directory / "secrets/his").unlink()
    (site.directory / "documents").rename(site.directory / "away")
    found = site.json("doctor", code=11)
    failed = {each["name"]: each for each in found["findings"] if each["state"] == "fail"}
    # the site file was changed since the kit was made
    assert set(failed) == {"his: main", "docs: files", folder["name"], "recovery kit"}
    (standby,) = (each for each in found["findings"] if each["name"] == "target connection:standby")
    assert standby["state"] == "warn" and standby["hint"]
    assert all(each["hint"] for each in failed.values())


def test_keys_status_and_wrong_passphrase(site: Site) -> None:
    status = site.json("keys", "status")
    fits(status, {"keys": [{"name": str, "kind": str, "created_at": Instant}]})
    assert {key["name"] for key in status["keys"]} >= {"evidence-signing", "repository/his", "repository/docs"}
    assert site.json("keys", "init")["made"] == []
    (site.directory / "secrets/passphrase").write_text("some other words")
    assert site.refused(24, "keys", "status", "--verify")["code"] == "keystore"
    # a reference to nothing, and a secret that others can read
    (site.directory / "secrets/passphrase").chmod(0o644)
    assert "chmod 600" in site.json("points", "docs", code=10)["error"]["hint"]


def test_global_options_may_stand_anywhere(site: Site) -> None:
    places = (
        ["--config", str(site.config), "--json", "keys", "status"],
        ["keys", "--json", "status", f"--config={site.config}"],
        ["keys", "status", "--config", str(site.config), "--json"],
    )
    answers = {
        subprocess.run([DRMGR, *words], capture_output=True, text=True, check=True, env=site.environment()).stdout
        for words in places
    }
    environment = {**site.environment(), "DRMGR_CONFIG": str(site.config)}
    answers.add(
        subprocess.run(
            [DRMGR, "keys", "status", "--json"], capture_output=True, text=True, check=True, env=environment
        ).stdout
    )
    assert len(answers) == 1
    assert json.loads(answers.pop())["keys"]


@pytest.mark.parametrize(
    "words", [["backup"], ["backup", "--all", "his"], ["backup", "--nonsense"], ["nonsense"], ["drill"], ["points"], []]
)
def test_usage_mistakes_are_told_as_json_too(site: Site, words: list[str]) -> None:
    error = site.run(*words, "--json").error
    assert error["exit_code"] == 2
    assert error["code"] == "usage"
    assert error["message"]
    shown = site.run(*words)
    assert shown.code == 2
    assert shown.err or shown.out


def test_unknown_system_is_the_same_mistake_everywhere(site: Site) -> None:
    for words in (
        ["backup", "ris"],
        ["points", "ris"],
        ["restore", "ris", "--to", "scratch"],
        ["repo", "check", "ris"],
    ):
        assert "ris" in site.json(*words, code=2)["error"]["message"]


def test_a_missing_site_file(site: Site) -> None:
    site.config.rename(site.directory / "elsewhere.yaml")
    assert site.refused(10, "points", "docs")["code"] == "config"


def test_a_reader_that_goes_away_is_no_bug(site: Site) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [DRMGR, "--config", str(site.config), "config", "schema"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env=site.environment(),
            check=False,
        )
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""
