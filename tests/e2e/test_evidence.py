"""``drmgr evidence`` and ``drmgr report``: proven, and every way of tampering named."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.support.shape import Instant, Ulid, fits
from tests.support.site import Site

VERIFIED = {
    "ok": bool,
    "documents": [{"path": str, "ok": bool, "reason": str}],
    "chain": {"ok": bool, "length": int, "gaps": [{"sequence": int, "reason": str}]},
}


def documents(site: Site) -> list[Path]:
    return sorted((site.directory / "evidence").glob("*.json"))


def test_list_show_and_verify(drilled: Site) -> None:
    listed = drilled.json("evidence", "list")["evidence"]
    fits(listed, [{"id": Ulid, "run": Ulid, "name": str, "verdict": {"passed"}, "sealed_at": Instant, "path": str}])
    assert [entry["name"] for entry in listed] == ["his-restore", "docs-restore"]
    for wanted in (listed[0]["id"], listed[0]["run"]):
        shown = drilled.json("evidence", "show", wanted)
        assert shown["predicate"]["header"]["id"] == listed[0]["id"]
        assert json.loads(drilled.run("evidence", "show", wanted, wrapper=("env", "COLUMNS=40")).out) == shown
    verified = drilled.json("evidence", "verify", "--all")
    fits(verified, VERIFIED)
    assert (verified["ok"], verified["chain"]["length"], verified["chain"]["gaps"]) == (True, 2, [])
    assert drilled.json("evidence", "verify", str(documents(drilled)[1]))["ok"] is True


def test_changed_content_is_named_with_its_group(drilled: Site) -> None:
    target = documents(drilled)[0]
    envelope = json.loads(target.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["environment"]["target"] = "somewhere else"
    content = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    envelope["payload"] = base64.b64encode(content.encode()).decode()
    target.chmod(0o644)
    target.write_text(json.dumps(envelope))
    verified = drilled.json("evidence", "verify", "--all", code=23)
    fits(verified, VERIFIED)
    assert [each["ok"] for each in verified["documents"]] == [False, True]
    assert "environment" in verified["documents"][0]["reason"]
    assert drilled.json("evidence", "verify", str(target), code=23)["ok"] is False
    # neither shown nor rendered as if it were good, nor built upon
    assert drilled.json("evidence", "show", target.stem.split("-")[1], code=23)["error"]["code"] == "evidence"
    assert drilled.json("report", "drill", target.stem.split("-")[1], code=23)["error"]["code"] == "evidence"
    (drill,) = drilled.json("drill", "run", "docs-restore", code=23)["drills"]
    assert (drill["verdict"], drill["error"]["code"]) == ("error", "evidence")


@pytest.mark.parametrize("number", [0, 1])
def test_removed_document_is_a_gap(drilled: Site, number: int) -> None:
    documents(drilled)[number].unlink()
    verified = drilled.json("evidence", "verify", "--all", code=23)
    fits(verified, VERIFIED)
    assert verified["chain"]["ok"] is False
    assert number + 1 in [gap["sequence"] for gap in verified["chain"]["gaps"]]


@pytest.mark.parametrize(("language", "words"), [("zh", "演练"), ("en", "drill")])
def test_report_in_both_languages(drilled: Site, language: str, words: str) -> None:
    entry = drilled.json("evidence", "list")["evidence"][0]
    out = drilled.directory / "papers"
    document = drilled.json("report", "drill", entry["run"], "--lang", language, "--out", str(out))
    report = Path(document["report"])
    assert report.parent == out
    text = subprocess.run(["pdftotext", str(report), "-"], capture_output=True, text=True, check=True).stdout
    assert words in text.lower()
    assert entry["id"] in text.replace("\n", "")


def test_unknown_id(drilled: Site) -> None:
    assert "01NOTTHERE" in drilled.refused(2, "evidence", "show", "01NOTTHERE")["message"]
    assert drilled.json("evidence", "verify", code=2)["error"]["code"] == "usage"


def test_evidence_that_was_removed_with_the_catalog_shows_by_the_recovery_points(drilled: Site) -> None:
    drilled.json("backup", "docs")
    assert drilled.json("evidence", "verify", "--all")["compared"] == {
        "catalog": True,
        "anchors": 0,
        "sealed": 1,
        "not_asked": [],
    }
    assert not [each for each in drilled.run("status", "--json").document["problems"] if "broken" in each["code"]]
    for path in (*drilled.directory.glob("state/catalog.db*"), documents(drilled)[-1]):
        path.unlink()
    assert drilled.json("evidence", "verify", "--all", "--offline")["ok"] is True
    gone = drilled.json("evidence", "verify", "--all", code=23)["chain"]["gaps"][0]["reason"]
    assert "taken away: the recovery point " in gone
    told = [each["message"] for each in drilled.json("status", code=4)["problems"] if each["code"] == "evidence-broken"]
    assert told == [f"evidence: {gone}"]


def test_evidence_that_was_removed_with_the_catalog_shows_by_its_anchor(seeded_site: Site) -> None:
    site = seeded_site
    site.json("backup", "docs")
    for name in ("first", "second"):
        site.json("restore", "docs", "--to", f"folder:{site.directory}/restored/{name}")
    sound = site.json("evidence", "verify", "--all")
    assert (sound["ok"], sound["compared"]["anchors"]) == (True, 2)
    for path in (*site.directory.glob("state/catalog.db*"), max((site.directory / "evidence").glob("0*.json"))):
        path.unlink()
    assert site.json("evidence", "verify", "--all", "--offline")["ok"] is True
    document = site.json("evidence", "verify", "--all", code=23)
    assert "taken away: the anchor of 20" in document["chain"]["gaps"][0]["reason"]
