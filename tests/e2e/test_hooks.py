"""Hooks, pauses and snapshots of file systems, as cron would see them."""

import os
import signal
from pathlib import Path

from tests.support.site import Site


def with_hooks(site: Site) -> Path:
    """Hooks that make a mark while the documents are held still, and take it away; where it lies."""
    hooks = {"before": [["touch", "held-still"]], "after": [["rm", "held-still"]]}
    site.edit(lambda document: document["connections"]["documents"].update(hooks=hooks))
    return site.directory / "held-still"


def test_a_signal_ends_the_hooks_and_a_kill_leaves_them_to_the_next_run(site: Site) -> None:
    mark = with_hooks(site)
    for number in (signal.SIGTERM, signal.SIGKILL):
        held = site.hold("restic", at="backup")
        with site.started("backup", "docs", "--json") as process:
            pid = held.wait()
            assert mark.exists()
            answer = site.ended(process, number)
            if number is signal.SIGKILL:
                os.kill(pid, signal.SIGKILL)
            else:
                assert answer.code == 130, answer
        held.let_go()
        assert mark.exists() is (number is signal.SIGKILL)
        (site.directory / "held/restic.pid").unlink()
        (site.directory / "held/restic.go").unlink()
    site.edit(lambda document: document["restic"].update(program="restic"))
    (line,) = [line for line in site.run("doctor", "--json").document["findings"] if line["name"] == "hooks-documents"]
    assert line["state"] == "warn"
    assert "by hand: rm held-still" in line["hint"]
    (run,) = site.json("backup", "docs")["runs"]
    assert run["status"] == "ok"
    (note,) = run["notes"]
    assert "docs/files: hooks-documents was left over from an earlier run" in note
    assert not mark.exists()
    assert site.json("backup", "docs")["runs"][0]["notes"] == []


def test_hooks_snapshot_and_pause_that_fail_make_no_point(site: Site) -> None:
    mark = with_hooks(site)
    before = site.points("docs")
    snapshot = {"create": [["mkdir", "snap"]], "path": "snap", "remove": [["rmdir", "snap"]]}
    site.edit(lambda document: document["connections"]["documents"].update(snapshot=snapshot))
    error = site.json("backup", "docs", code=20)["runs"][0]["error"]
    assert "is empty" in error["message"]
    snapshot["create"] = [["cp", "-a", "documents", "snap"]]
    snapshot["remove"] = [["rm", "-r", "snap"]]
    site.edit(lambda document: document["connections"]["documents"].update(snapshot=snapshot))
    site.edit(lambda document: document.update(pauses={"scanner": {"after": [["false"]]}}))
    site.edit(lambda job: job.update(pause="scanner"), "jobs/docs.yaml")
    error = site.json("backup", "docs", code=20)["runs"][0]["error"]
    assert "pause-scanner was not ended" in error["message"]
    assert error["hint"] == "at once, by hand: false"
    site.edit(lambda document: document.update(pauses={"scanner": {"after": [["no-such-program"]]}}))
    assert site.json("backup", "docs", code=11)["runs"][0]["error"]["code"] == "tool"
    assert site.points("docs") == before
    site.edit(lambda document: document.update(pauses={"scanner": {"after": [["true"]]}}))
    (run,) = site.json("backup", "docs")["runs"]
    (note,) = run["notes"]
    assert note.startswith("pause-scanner was left over from an earlier run: begun at ")
    assert not mark.exists()
    assert not (site.directory / "snap").exists()
    site.json("drill", "run", "docs-restore")
