"""``drmgr restore --to folder:PATH``: nothing half under its name, and the newest first on wish."""

import base64
import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.site import Site, flip_byte, wait_until

OLD = 1_700_000_000


def aged(site: Site) -> Path:
    """The site's documents, grown: old ones and new ones, in folders of their own and mixed, some with odd names."""
    root = site.directory / "documents"
    for name in ("2023/a.dcm", "2023/b.dcm", "mixed/old $HOME.dcm", "2026/old.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"old {name}")
        os.utime(root / name, (OLD, OLD))
    for new in (b"mixed/#new*.dcm", "mixed/检查.dcm".encode("gbk"), b"mixed/line\nfeed"):
        (root / os.fsdecode(new)).write_bytes(b"new")
    (root / "mixed").chmod(0o750)
    os.utime(root / "mixed", (OLD, OLD))
    return root


def same_tree(one: Path, other: Path) -> bool:
    done = subprocess.run(["diff", "-r", "--no-dereference", one, other], capture_output=True, check=False)
    return done.returncode == 0


def test_the_newest_files_come_first_and_the_rest_after_them(site: Site) -> None:
    root, back = aged(site), site.directory / "restored/now"
    site.json("backup", "docs")
    held = site.hold("restic", at="--exclude-file")
    with site.started("restore", "docs", "--to", f"folder:{back}", "--newer-than", "2024-01-01", "--json") as process:
        held.wait()
        # the rest is still to come: what is there already is whole, and under its own name
        there = {path.relative_to(back / "files/files") for path in (back / "files/files").rglob("*") if path.is_file()}
        assert there >= {Path("scan.bin"), Path("2026/1.txt"), Path(os.fsdecode("mixed/检查.dcm".encode("gbk")))}
        assert not there & {Path("2023/a.dcm"), Path("2023/b.dcm")}
        held.let_go()
        answer = site.ended(process)
    assert answer.code == 0, answer
    assert "can be used now" in answer.err
    steps = [phase["name"] for phase in answer.document["phases"]]
    assert steps == ["restore-newest", "restore-older"]
    assert same_tree(root, back / "files/files")
    assert (back / "files/files/mixed").stat().st_mtime == OLD
    assert (back / "files/files/mixed").stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in (site.directory / "restored").iterdir()) == ["now"]
    assert sorted(path.name for path in (back / "files").iterdir()) == ["files", "manifest"]


def test_what_was_ended_between_newest_and_rest_is_told_and_gone_on_with_by_the_same_command(site: Site) -> None:
    root = aged(site)
    site.json("backup", "docs")
    back = site.directory / "restored/now"
    held = site.hold("restic", at="--exclude-file")
    words = ("restore", "docs", "--to", f"folder:{back}", "--newer-than", "2024-01-01")
    with site.started(*words, "--json") as process:
        held.wait()
        assert site.ended(process, signal.SIGTERM).code == 130
    held.let_go()
    (told,) = site.json("points", "docs")["restores"]
    assert (told["state"], told["target"]) == ("interrupted", f"folder:{back}")
    assert "asks for another one" in site.json(*words, "--source", "files", code=2)["error"]["message"]
    done = site.json(*words)
    assert (done["status"], [phase["name"] for phase in done["phases"]]) == ("ok", ["restore-older"])
    assert same_tree(root, back / "files/files")
    assert site.json("points", "docs")["restores"] == []
    # it is whole now, and nothing is written over
    assert site.json(*words, code=13)["error"]["code"] == "not-allowed"
    assert site.json("restore", "docs", "--to", "scratch", "--newer-than", "1y", code=2)["error"]["code"] == "usage"


def test_the_rest_comes_by_a_process_of_its_own_that_may_be_killed(site: Site) -> None:
    root, back = aged(site), site.directory / "restored/now"
    site.json("backup", "docs")
    held = site.hold("restic", at="--exclude-file")
    words = ("restore", "docs", "--to", f"folder:{back}", "--newer-than", "2024-01-01", "--background")
    fault = (datetime.now(UTC) - timedelta(minutes=50)).isoformat(timespec="seconds")
    first = site.json(*words, "--fault-at", fault)
    # the command has ended, the newest files are there, and somebody is at work on the rest
    assert (first["status"], first["rest"]["state"], first["seconds"]) == ("ok", "running", None)
    assert first["usable_at"] == first["rest"]["usable_at"]
    assert (back / "files/files/2026/1.txt").exists()
    assert not (back / "files/files/2023/a.dcm").exists()
    restic = held.wait()
    assert restores(site) == ["running"]
    holder = json.loads((site.directory / "state/locks/restore-docs.holder.json").read_text())
    os.kill(holder["pid"], signal.SIGKILL)
    os.killpg(restic, signal.SIGKILL)
    wait_until(lambda: restores(site) == ["interrupted"], "the kill to be noticed")
    (problem,) = site.json("status", "docs", code=4)["systems"][0]["problems"]
    assert problem["code"] == "restore-unfinished"
    held.let_go()
    assert site.json(*words)["rest"]["run"] == first["run"]
    wait_until(lambda: restores(site) == [], "the rest to come")
    # the run is closed after the rest is struck off, by a process that nobody waits for
    wait_until(lambda: "running" not in {run.status for run in site.runs()}, "the run to be closed")
    assert same_tree(root, back / "files/files")
    statuses = [run.status for run in site.runs() if run.kind == "restore"]
    assert sorted(statuses) == ["interrupted", "ok", "ok"]
    assert site.json("evidence", "verify", "--all")["chain"]["length"] == 2
    # what people told of the fault was told to the first of the three commands, and counts for the last
    newest = max((site.directory / "evidence").glob("*.json"))
    predicate = json.loads(base64.b64decode(json.loads(newest.read_text())["payload"]))["predicate"]
    assert predicate["header"]["occasion"] == "incident"
    assert datetime.fromisoformat(predicate["metrics"][0]["t0"]) == datetime.fromisoformat(fault)
    assert predicate["metrics"][0]["rto"]["measured"] >= 50 * 60


def restores(site: Site) -> list[str]:
    return [rest["state"] for rest in site.json("points", "docs")["restores"]]


def test_damage_leaves_no_folder_of_the_wanted_name(site: Site) -> None:
    pack = max(site.repository_files("docs", "data"), key=lambda path: path.stat().st_size)
    flip_byte(pack)
    answer = site.run("restore", "docs", "--to", f"folder:{site.directory}/restored/now", "--json")
    assert answer.code == 21, answer
    assert [path.name for path in (site.directory / "restored").iterdir()] == ["now.partial"]
