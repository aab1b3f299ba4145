"""Copies with a key of their own: made, asked, restored and drilled from."""

import shutil

from tests.support.site import Site


def with_copy(site: Site, name: str = "fire") -> None:
    site.edit(lambda document: document.update(copies={name: {"kind": "folder", "path": name, "rpo": "6h"}}))


def test_a_copy_is_made_shown_and_brought_back_from(site: Site) -> None:
    with_copy(site)
    assert site.json("points", "docs")["copies"][0]["state"] == "behind"
    (row,) = site.json("repo", "copy", "docs")["copies"]
    (point,) = site.json("points", "docs")["points"]
    assert (row["copied"], row["points"], row["rpo_met"], row["made"]) == ([point["id"]], 1, True, True)
    assert point["copies"] == ["fire"]
    (again,) = site.json("repo", "copy", "docs")["copies"]
    assert (again["copied"], again["problems"]) == ([], [])
    # a key of its own: the store's does not open it
    names = {key["name"] for key in site.json("keys", "status")["keys"]}
    assert {"repository/docs", "copy/fire/docs"} <= names

    shutil.rmtree(site.directory / "repositories/docs")
    (held,) = site.json("points", "docs", "--from-copy", "fire")["points"]
    assert held["id"] == point["id"]
    played = site.json("drill", "run", "docs-restore", "--from-copy", "fire")["drills"][0]
    assert (played["verdict"], played["systems"][0]["point"]) == ("passed", point["id"])
    target = site.directory / "restored/night"
    site.json("restore", "docs", "--from-copy", "fire", "--to", f"folder:{target}")
    assert (target / "files/files/scan.bin").read_bytes() == (site.directory / "documents/scan.bin").read_bytes()


def test_a_copy_that_cannot_be_asked_is_unknown_and_one_that_went_is_not_begun_anew(site: Site) -> None:
    with_copy(site)
    site.json("repo", "copy", "docs")
    (site.directory / "fire").rename(site.directory / "unmounted")
    shown = site.run("points", "docs")
    assert (shown.code, "cannot be asked" in shown.out) == (0, True)
    assert site.json("points", "docs")["copies"][0]["state"] == "unknown"
    (row,) = site.json("repo", "copy", "docs", code=21)["copies"]
    assert row["error"]["code"] == "repository-missing"
    assert not (site.directory / "fire").exists()
    assert site.json("repo", "copy", "docs", "--anew")["copies"][0]["made"]


def test_a_repository_that_is_gone_is_not_made_anew_over_what_is_remembered(site: Site) -> None:
    with_copy(site)
    site.json("repo", "copy", "docs")
    gone = site.directory / "repositories/docs"
    shutil.rmtree(gone)
    refused = site.refused(21, "repo", "init")
    assert (refused["code"], "1 recovery points of it are remembered" in refused["message"]) == (
        "repository-missing",
        True,
    )
    assert not gone.exists()
    asked = site.refused(21, "points", "docs")
    for hint in (refused["hint"], asked["hint"]):
        assert all(way in hint for way in ("repo rewind", "--from-copy fire", "repo init docs --anew")), hint
    assert len(site.json("points", "docs", "--from-copy", "fire")["points"]) == 1

    site.json("repo", "init", "docs", "--anew")
    assert site.points("docs") == []
    lines = [line for line in site.json("audit", "show")["lines"] if line["act"] == "repo.init"]
    assert (lines[-1]["result"], lines[-1]["detail"]["forgotten"]) == ("ok", {"docs": 1})
    # one that is there is left as it is
    site.json("backup", "docs")
    site.json("repo", "init", "docs", "--anew")
    assert len(site.points("docs")) == 1


def test_mistakes_with_copies_are_told(site: Site) -> None:
    site.refused(2, "repo", "copy")
    with_copy(site)
    site.refused(2, "repo", "copy", "--to", "nosuch")
    site.refused(2, "restore", "docs", "--from-copy", "nosuch", "--to", "scratch")
    site.edit(lambda drill: drill.update(from_copy="fier"), "drills/docs-restore.yaml")
    problems = site.run("config", "check", "--json").error["problems"]
    assert "did you mean fire?" in problems[0]
