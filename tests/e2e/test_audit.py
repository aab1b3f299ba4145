"""``drmgr audit``: every act is in the log, and whatever is done to the log is found, also when all of the state is put back."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.shape import Instant, fits
from tests.support.site import Json, Site

LINE = {
    "sequence": int,
    "at": Instant,
    "who": {"operator": str, "uid": int, "host": str, "pid": int},
    "act": str,
    "system": str,
    "why": str,
    "result": {"started", "ok", "incomplete", "failed", "interrupted"},
    "signature": str,
}
VERIFIED = {
    "ok": bool,
    "lines": int,
    "compared": {"catalog": bool, "anchors": int},
    "faults": int,
    "findings": [{"reason": str}],
    "notes": [str],
}


def log_of(site: Site) -> Path:
    return site.directory / "state/audit/audit.jsonl"


def acts(site: Site, last: int = 100) -> list[tuple[str, str, str]]:
    lines = site.json("audit", "show", "--last", str(last))["lines"]
    return [(line["act"], line["system"], line["result"]) for line in lines]


def verified(site: Site, code: int = 0) -> Json:
    document = site.json("audit", "verify", code=code)
    fits(document, VERIFIED)
    assert document["ok"] is (code == 0)
    return document


def test_acts_are_written_with_their_result(site: Site) -> None:
    began = [("keys.init", "", "ok"), ("repo.init", "", "started"), ("repo.init", "", "ok")]
    assert acts(site)[:3] == began
    site.json("restore", "docs", "--to", f"folder:{site.directory}/restored/docs", "--reason", "文书丢失")
    site.json("restore", "docs", "--to", f"folder:{site.directory}/elsewhere", code=13)
    lines = site.json("audit", "show", "--last", "4")["lines"]
    fits(lines, [LINE])
    assert [(line["act"], line["result"], line["error"], line["why"]) for line in lines] == [
        ("restore", "started", None, "文书丢失"),
        ("restore", "ok", None, "文书丢失"),
        ("restore", "started", None, ""),
        ("restore", "failed", "not-allowed", ""),
    ]
    assert lines[0]["run"] == lines[1]["run"] != lines[2]["run"]
    assert lines[1]["detail"]["evidence"]
    document = verified(site)
    assert document["compared"] == {"catalog": True, "anchors": 0}
    assert document["lines"] == len(acts(site))
    assert "文书丢失" in site.run("audit", "show").out


def test_looking_through_the_repositories_is_an_act_too(site: Site) -> None:
    site.json("repo", "check", "docs")
    assert acts(site, 2) == [("repo-check", "docs", "started"), ("repo-check", "docs", "ok")]


def edited(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4].replace(b'"docs"', b'"dogs"').replace(b'"his"', b'"hers"'), *lines[5:]]


def cut_off(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


@pytest.mark.parametrize(("change", "reason"), [(edited, "line 5 is not sound"), (cut_off, "the log was cut off")])
def test_a_changed_log_is_named(site: Site, change: Callable[[list[bytes]], list[bytes]], reason: str) -> None:
    lines = log_of(site).read_bytes().splitlines(keepends=True)
    assert site.json("status")["ok"]
    log_of(site).write_bytes(b"".join(change(lines)))
    for _ in range(2):
        assert [each["code"] for each in site.json("status", code=4)["problems"]] == ["audit-broken"]
    document = verified(site, code=23)
    assert reason in document["findings"][0]["reason"]
    told = site.run("audit", "verify")
    assert told.code == 23
    assert reason in told.out
    # whoever breaks the log does not stop the backups, and the break does not heal
    site.json("backup", "docs")
    verified(site, code=23)
    assert [each["code"] for each in site.json("status", code=4)["problems"]] == ["audit-broken"]
    assert site.json("status", code=4)["problems"] == site.json("status", code=4)["problems"]
    # somebody looked into it: it stays broken, and is no trouble until something else is done to it
    assert site.refused(2, "audit", "accept")["code"] == "usage"
    assert site.json("audit", "accept", "--reason", "a bad block on the disk")["accepted"] > 0
    assert site.json("status")["ok"]
    assert acts(site, 1) == [("audit.accept", "", "ok")]
    # nor is anything else in its way: what is kept beside the repositories begins anew
    site.json("backup", "docs")
    verified(site, code=23)
    log_of(site).write_bytes(log_of(site).read_bytes().replace(b'"audit.accept"', b'"audit.accepd"'))
    assert [each["code"] for each in site.json("status", code=4)["problems"]] == ["audit-broken"]


def test_an_auditor_needs_a_copy_and_the_public_key_only(site: Site, tmp_path: Path) -> None:
    shutil.copy(log_of(site), tmp_path / "copy.jsonl")
    shutil.copy(site.directory / "keys/audit.pub", tmp_path)
    (site.directory / "secrets/passphrase").rename(tmp_path / "passphrase")
    verified(site)
    command = ("audit", "verify", str(tmp_path / "copy.jsonl"), "--key", str(tmp_path / "audit.pub"))
    assert site.run(*command, "--json", config=tmp_path / "no-site.yaml").code == 0
    wrong = site.run(*command[:-1], str(site.directory / "keys/evidence.pub"), "--json")
    assert wrong.code == 23
    assert "signed by another key" in wrong.document["findings"][0]["reason"]
    assert site.run(*command[:-2], "--json").error["code"] == "usage"
    (tmp_path / "passphrase").rename(site.directory / "secrets/passphrase")


def test_what_cannot_be_written_down_is_not_done(site: Site) -> None:
    before = site.points("docs")
    log_of(site).rename(log_of(site).with_name("away"))
    log_of(site).mkdir()
    failed = site.json("backup", "docs", code=23)["runs"][0]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "evidence")
    assert "audit log cannot be written" in failed["error"]["message"]
    assert site.refused(23, "keys", "init")["code"] == "evidence"
    assert site.points("docs") == before
    log_of(site).rmdir()
    log_of(site).with_name("away").rename(log_of(site))
    site.json("backup", "docs")
    verified(site)


def test_state_put_back_as_a_whole_shows_by_the_anchor(seeded_site: Site) -> None:
    site = seeded_site
    copy = site.directory / "older-state"
    shutil.copytree(site.directory / "state", copy, ignore=shutil.ignore_patterns("runtime", "restic-cache"))
    ended = [site.json("backup", "docs")["runs"][0]["finished_at"] for _ in range(2)]
    # two backups on one day of the site make one anchor
    days = {datetime.fromisoformat(at).astimezone(ZoneInfo("Asia/Shanghai")).date() for at in ended}
    assert verified(site)["compared"] == {"catalog": True, "anchors": len(days)}
    anchored = [line for line in acts(site) if line[0] == "backup"]
    for name in ("audit", "catalog.db", "catalog.db-wal", "catalog.db-shm"):
        place = site.directory / "state" / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        if (copy / name).is_dir():
            shutil.copytree(copy / name, place)
        elif (copy / name).exists():
            shutil.copy(copy / name, place)
    assert len(acts(site)) < len(anchored) + 6
    assert site.json("audit", "verify", "--offline")["ok"] is True
    document = verified(site, code=23)
    assert "put back to an older one" in document["findings"][0]["reason"]
    assert "the anchor of 20" in document["findings"][0]["reason"]
    # going on from there does not hide it: the anchored line is another one now
    assert site.run("backup", "docs").code == 23
    assert "is not the one that the anchor of" in verified(site, code=23)["findings"][0]["reason"]
    shutil.rmtree(copy)


def test_a_line_is_json_that_others_can_read(site: Site) -> None:
    for line in log_of(site).read_text(encoding="utf-8").splitlines():
        fits(json.loads(line), LINE)
