"""``drmgr drill``: what a passed drill answers, and that a bad backup fails it where a bad day does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.support.shape import Maybe, Ulid, fits
from tests.support.site import Recorded, Site, assert_clear, flip_byte, small_disk

MEASURE = {"target": float, "measured": Maybe(float), "met": bool}
DRILL = {
    "drills": [
        {
            "run": Ulid,
            "drill": str,
            "scenario": str,
            "verdict": {"passed", "failed", "error"},
            "level": int,
            "systems": [
                {
                    "system": str,
                    "point": Maybe(Ulid),
                    "rto": MEASURE,
                    "rpo": MEASURE,
                    "checks": [
                        {
                            "name": str,
                            "status": {"pass", "fail", "error", "skipped"},
                            "level": int,
                            "expected": object,
                            "actual": object,
                            "seconds": float,
                        }
                    ],
                }
            ],
            "evidence": str,
            "report": str,
        }
    ]
}


def play(site: Site, name: str, code: int, *, wrapper: tuple[str, ...] = ()) -> dict[str, object]:
    """Plays one drill that does not pass; proves that its evidence is sealed and good, and that the run is recorded."""
    document = site.json("drill", "run", name, code=code, wrapper=wrapper)
    fits(document, DRILL)
    (drill,) = document["drills"]
    assert drill["verdict"] != "passed"
    assert site.runs()[-1] == Recorded("drill", name, "failed", None)
    verified = site.json("evidence", "verify", "--all")
    assert verified["documents"][-1]["path"] == drill["evidence"]
    assert Path(drill["report"]).read_bytes().startswith(b"%PDF")
    assert isinstance(drill, dict)
    return drill


def test_passed_drill_answers_as_the_contract_says(drilled: Site) -> None:
    document = json.loads((drilled.directory / "first-drill.json").read_text())
    fits(document, DRILL)
    (drill,) = document["drills"]
    assert (drill["drill"], drill["verdict"], drill["level"], drill["scenario"]) == (
        "his-restore",
        "passed",
        4,
        "server-lost",
    )
    (system,) = drill["systems"]
    assert system["rto"]["met"]
    assert system["rpo"]["met"]
    assert {check["status"] for check in system["checks"]} == {"pass"}
    assert {check["level"] for check in system["checks"]} == {0, 1, 2, 3, 4}
    listed = drilled.json("drill", "list")["drills"]
    assert [(each["drill"], each["last_verdict"]) for each in listed] == [
        ("docs-restore", "passed"),
        ("his-restore", "passed"),
    ]
    assert {run for run in drilled.runs() if run.kind == "drill"} == {
        Recorded("drill", "his-restore", "ok", None),
        Recorded("drill", "docs-restore", "ok", None),
    }


def largest_pack(site: Site) -> list[Path]:
    return sorted(site.repository_files("docs", "data"), key=lambda path: path.stat().st_size)[-1:]


def packs_of_the_seal(site: Site) -> list[Path]:
    """Its content and its tree: the two that were written last."""
    return site.repository_files("docs", "data")[-2:]


@pytest.mark.parametrize(
    "damaged",
    [
        largest_pack,
        packs_of_the_seal,
        lambda site: site.repository_files("docs", "index")[:1],
        lambda site: site.repository_files("docs", "snapshots")[:1],
        lambda site: site.repository_files("docs", "snapshots")[-1:],
    ],
    ids=["data", "seal", "index", "snapshot", "seal-snapshot"],
)
def test_flipped_byte_fails_the_drill(site: Site, damaged: Callable[[Site], list[Path]]) -> None:
    for file in damaged(site):
        flip_byte(file)
    drill = play(site, "docs-restore", 4)
    assert drill["verdict"] == "failed"


def test_damaged_seal_is_told_by_points_when_the_catalog_is_lost(site: Site) -> None:
    for file in packs_of_the_seal(site):
        flip_byte(file)
    for file in (site.directory / "state").glob("catalog.db*"):
        file.unlink()
    document = site.json("points", "docs", code=4)
    assert document["points"] == []
    assert len(document["problems"]) == 1


def test_repo_check_finds_a_flipped_byte(site: Site) -> None:
    sound = site.json("repo", "check", "docs", "--read-data")
    assert sound["ok"] is True
    flip_byte(*largest_pack(site))
    found = site.json("repo", "check", "--read-data", code=21)
    assert (found["ok"], [row["ok"] for row in found["repositories"]]) == (False, [True, False])
    shown = site.run("repo", "check", "docs", "--read-data")
    assert shown.code == 21
    assert "HINT: " in shown.err


def test_failed_check_fails_the_drill_and_names_both_values(site: Site) -> None:
    site.edit(lambda job: job["checks"][0].update(expect={"equals": 41}), "jobs/his.yaml")
    drill = play(site, "his-restore", 4)
    assert drill["verdict"] == "failed"
    assert drill["level"] == 3
    text = json.dumps(drill)
    assert '"expected": 41, "actual": 40' in text


def test_full_scratch_is_an_error_and_no_verdict_on_the_backup(site: Site, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    drill = play(site, "docs-restore", 22, wrapper=small_disk(site.directory / "scratch", "200k", kept))
    assert drill["verdict"] == "error"
    assert not list(kept.iterdir())


def test_production_down_does_not_stop_a_drill(site: Site, database: tuple[PostgresServer, str]) -> None:
    site.edit(lambda document: document["connections"]["his-main"].update(host="secrets"))
    assert site.json("drill", "run", "his-restore")["drills"][0]["verdict"] == "passed"


def test_wrong_passphrase_is_an_error_and_no_verdict_on_the_backup(site: Site) -> None:
    (site.directory / "secrets/passphrase").write_text("another passphrase")
    (drill,) = site.json("drill", "run", "docs-restore", code=24)["drills"]
    assert (drill["verdict"], drill["error"]["code"]) == ("error", "keystore")
    fits(drill["run"], Ulid)
    assert_clear(drill["error"])
    assert site.runs()[-1] == Recorded("drill", "docs-restore", "failed", "keystore")


def test_usage_mistakes(site: Site) -> None:
    assert site.refused(2, "drill", "run")["code"] == "usage"
    unknown = site.json("drill", "run", "nothing-like-it", code=2)["error"]
    assert "nothing-like-it" in unknown["message"]
