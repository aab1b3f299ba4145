"""How a tree is read: only what is new, by several processes, from a snapshot; and what is never believed."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from drmgr.demo.dicom import Picture, uid, write_picture
from drmgr.demo.pacs_rows import ImagingOrder
from drmgr.engines.files import FilesEngine, FileSystemSnapshot, TreeSettings, cache, crew
from drmgr.engines.hooks import Hooks
from drmgr.errors import PreflightError, SourceError
from drmgr.model import CheckStatus, Facts, Instance
from drmgr.repository.restic import ResticRepository
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner
from tests.contract.test_files import Act, repository, write
from tests.support.restic import restic_in

__all__ = ["repository"]


@pytest.fixture
def act(repository: ResticRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Act:
    made = Act(repository, tmp_path)
    for number in range(40):
        write(made.root, b"%d/%d" % (number % 4, number), b"content %d" % number)
    # files of a test are younger than any grace
    monkeypatch.setattr(cache, "SETTLED_NANOSECONDS", 0)
    time.sleep(0.02)
    return made


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose content is read from now on."""
    from drmgr.engines.files import look

    seen: list[str] = []
    real = look.opened

    def noted(folder: bytes, path: str) -> Any:
        seen.append(path)
        return real(folder, path)

    monkeypatch.setattr(look, "opened", noted)
    return seen


# --- only what is new -------------------------------------------------------------------------------------------------


def test_only_new_and_changed_files_are_read_again(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = act.folder / "state/cache.db"
    first = act.back_up(cache=memory)
    seen = reads(monkeypatch)
    assert act.back_up(cache=memory).groups == first.groups
    assert seen == []
    write(act.root, b"0/new", b"new")
    write(act.root, b"1/1", b"CONTENT 1")
    (act.root / "2/2").chmod(0o600)
    (act.root / "3/3").unlink()
    second = act.back_up(cache=memory)
    assert sorted(seen) == ["0/new", "1/1", "2/2"]
    seen.clear()
    assert act.back_up(cache=memory).groups == second.groups
    assert seen == []
    assert second.groups["files"] == {
        "count": 40,
        "hashed": 40,
        "moving": 0,
        "bytes": first.groups["files"]["bytes"] - 6,
    }
    back = act.bring_back()
    assert act.now(back, second).groups == second.groups
    # at a restore nothing is believed unread
    assert len(seen) == 40


def test_what_is_remembered_can_be_thrown_away_or_spoilt(act: Act) -> None:
    memory = act.folder / "state/cache.db"
    first = act.back_up(cache=memory)
    whole = memory.read_bytes()
    for content in (None, b"no database", whole[: len(whole) // 2]):
        memory.unlink()
        if content is not None:
            memory.write_bytes(content)
        assert act.back_up(cache=memory).groups == first.groups
    assert memory.stat().st_mode & 0o777 == 0o600


def test_what_is_remembered_wrongly_never_makes_a_false_ok(act: Act) -> None:
    """A spoilt row is not believed; one that was forged with care makes the proof fail, not pass."""
    memory = act.folder / "state/cache.db"
    first = act.back_up(cache=memory)
    with sqlite3.connect(memory) as forged:
        (line,) = forged.execute("SELECT line FROM line WHERE path = ?", (b"1/1",)).fetchone()
        other = json.dumps({**json.loads(line), "sha256": "0" * 64}, separators=(",", ":"))
        forged.execute("UPDATE line SET line = ? WHERE path = ?", (other, b"1/1"))
    forged.close()
    assert act.back_up(cache=memory).groups == first.groups
    with sqlite3.connect(memory) as forged:
        row = forged.execute("SELECT path, state FROM line WHERE path = ?", (b"1/1",)).fetchone()
        forged.execute("UPDATE line SET line = ?, sum = ? WHERE path = ?", (other, cache._sum(*row, other), b"1/1"))
    forged.close()
    facts = act.back_up(cache=memory)
    found = act.now(act.bring_back(), facts)
    assert found.groups["differences"]["changed"] == 1


def test_a_file_that_has_only_just_changed_is_not_remembered(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SETTLED_NANOSECONDS", 3_600_000_000_000)
    memory = act.folder / "state/cache.db"
    act.back_up(cache=memory)
    seen = reads(monkeypatch)
    act.back_up(cache=memory)
    assert len(seen) == 40


def test_a_content_changed_under_its_old_time_is_read_again(act: Act) -> None:
    memory = act.folder / "state/cache.db"
    act.back_up(cache=memory)
    path = act.root / "1/1"
    before = path.stat()
    path.write_bytes(b"CONTENT 1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    facts = act.back_up(cache=memory)
    assert act.now(act.bring_back(), facts).groups == facts.groups


# --- several processes ------------------------------------------------------------------------------------------------


def test_several_processes_find_what_one_finds(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = act.back_up()
    monkeypatch.setattr(crew, "FEW", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    facts = act.back_up()
    assert facts.groups == alone.groups
    back = act.bring_back()
    assert act.now(back, facts).groups == facts.groups
    (back.path / "1/1").write_bytes(b"CONTENT 1")  # type: ignore[operator]
    assert act.now(back, facts).groups["differences"]["changed"] == 1


class KillingRunner(Runner):
    """One of the processes is killed at once, as by a host without memory."""

    def start(self, command: Command, **more: Any) -> Any:
        context = super().start(command, **more)
        if "1" in command.argv[-2:-1]:
            process = context.__enter__()
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            context.__exit__(None, None, None)
            return _Dead(process)
        return context


class _Dead:
    def __init__(self, process: Any) -> None:
        self.process = process

    def __enter__(self) -> "_Dead":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def lines(self) -> Any:
        return iter(())

    def wait(self) -> int:
        return int(self.process.wait())


def test_a_process_that_is_killed_fails_the_backup_and_the_proof(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = act.back_up()
    back = act.bring_back()
    monkeypatch.setattr(crew, "FEW", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    engine = FilesEngine(TreeSettings(act.root), SystemClock(), act.folder / "runtime", KillingRunner())
    with pytest.raises(SourceError, match="ended too early"):
        engine.facts(back, facts)


# --- images -----------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def pictures(root: Path) -> list[Path]:
    """Two studies, of two series and of one, two images each."""
    made = []
    for study, series in ((1, 1), (1, 2), (2, 3)):
        for number in range(2):
            order = ImagingOrder(study, f"M{study}", "张三", "M", date(1980, 1, 1), "头颅CT", NOW)
            uids = [uid(f"study{study}"), uid(f"series{series}"), uid(f"sop{series}-{number}")]
            picture = Picture(order, "A1", "CT", uids[0], uids[1], uids[2], series, number, NOW, NOW)
            made.append(root / str(write_picture(root, picture)[0]))
    return made


def test_images_are_known_by_study_series_and_instance(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(act.root)
    act.root.mkdir()
    first, *_, last = pictures(act.root)
    (act.root / "DICOMDIR.txt").write_text("no image")
    last.write_bytes(last.read_bytes()[:200])
    time.sleep(0.02)
    facts = act.back_up(facts="dicom", cache=act.folder / "state/cache.db")
    known = dict(facts.groups["dicom"])
    assert known.pop("digest")
    assert known == {"studies": 2, "series": 3, "instances": 5, "files": 5, "others": 1, "damaged": 1}
    assert act.notes == ["images that cannot be read: 1"]
    assert act.back_up(facts="dicom", cache=act.folder / "state/cache.db").groups == facts.groups
    back = act.bring_back()
    assert act.now(back, facts).groups == facts.groups
    assert "张三" not in json.dumps(facts.groups, ensure_ascii=False)
    assert back.path is not None
    # an image in the place of another
    shutil.copy(back.path / first.relative_to(act.root), back.path / _[0].relative_to(act.root))
    found = act.now(back, facts)
    assert found.groups["dicom"]["instances"] == 4
    assert found.groups["dicom"]["digest"] != facts.groups["dicom"]["digest"]


# --- snapshots of the file system -------------------------------------------------------------------------------------


def hooks(act: Act, name: str, begin: tuple[str, ...] = (), end: tuple[str, ...] = ()) -> Hooks:
    def commands(texts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(text.split()) for text in texts)

    marks = act.folder / "marks"
    return Hooks(name, commands(begin), commands(end), 60, marks, lambda _: False, {})


def snapshot(act: Act, create: str = "cp -a {tree} {snap}", remove: str = "rm -r {snap}") -> FileSystemSnapshot:
    """What a copy is to us: a tree that nobody writes to any more."""
    place = {"tree": act.root, "snap": act.folder / "snap"}
    made = hooks(act, "snapshot-x", (create.format(**place),), (remove.format(**place),))
    return FileSystemSnapshot(made, act.folder / "snap")


def test_the_snapshot_is_what_is_read_and_the_writer_waits_only_for_it(act: Act) -> None:
    log, root = act.folder / "log", act.root
    pause = hooks(act, "hooks-x", (f"touch {log}",), (f"mv {log} {log}.done",))
    settings = TreeSettings(root, snapshot=snapshot(act), hooks=pause)
    engine = FilesEngine(settings, SystemClock(), act.folder / "runtime", Runner())
    engine.preflight()
    from tests.contract.test_files import RepositorySink

    sink = RepositorySink(act.repository)
    with engine.capture() as capture:
        assert capture.frozen
        assert Path(f"{log}.done").exists()
        shutil.rmtree(root / "1")
        write(root, b"0/0", b"changed since")
        capture.store(sink)
        facts = capture.facts()
    assert not (act.folder / "snap").exists()
    assert (facts.groups["files"]["count"], facts.groups["files"]["moving"]) == (40, 0)
    act.parts = sink.parts
    back = act.bring_back()
    assert act.now(back, facts).groups == facts.groups
    assert (back.path / "0/0").read_bytes() == b"content 0"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("create", "told"),
    [
        ("mkdir {snap}", "is empty"),
        ("ln -s {tree} {snap}", "is the live folder .* itself"),
        ("true", "cannot be read"),
        ("false", r"snapshot-x: false \(begin\) failed with 1"),
    ],
)
def test_a_snapshot_that_is_none_fails_the_source_and_is_removed(act: Act, create: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        act.back_up(snapshot=snapshot(act, create, "rm -rf {snap}"))
    assert not (act.folder / "snap").exists()
    assert len(list(act.root.rglob("*"))) == 44
    assert act.parts == []


# --- what is not backed up --------------------------------------------------------------------------------------------


def test_a_tree_that_holds_drmgrs_own_folders_is_refused(act: Act) -> None:
    def refused(**settings: Any) -> str:
        with pytest.raises(PreflightError) as caught:
            act.engine(**settings).preflight()
        return f"{caught.value.message} {caught.value.hint}"

    own = {"store": act.root / "deep/repositories", "state": act.folder / "elsewhere"}
    for folder in own.values():
        folder.mkdir(parents=True)
    told = refused(own=own)
    assert f"holds drmgr's own store {own['store']}" in told
    assert "exclude: [/deep/repositories]" in told
    assert "holds" in refused(own={"keys": act.root})
    assert "lies in drmgr's own scratch" in refused(own={"scratch": act.folder})
    (act.folder / "link").symlink_to(own["store"])
    assert "holds" in refused(own={"store": act.folder / "link"})
    assert "holds" in refused(own=own, excludes=("repositories*", "/deep/other", "/deep/rep*"))
    act.engine(own=own, excludes=("/deep",)).preflight()
    act.engine(own=own, excludes=("/deep/repositories/",)).preflight()
    # not made yet, but it will be
    assert "holds" in refused(own={"scratch": act.root / "deep/not/yet"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_one_file_system_leaves_out_what_is_mounted_below(act: Act) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, '.'); "
        "from tests.contract.test_tree_reading import within; within(Path(sys.argv[1]))"
    )
    import sys

    (act.root / "mounted").mkdir()
    wrapper = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$1/tree/mounted" && shift && exec "$@"', "sh")
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [*wrapper, str(act.folder), sys.executable, "-c", script, str(act.folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=here,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [41, 40]


def within(folder: Path) -> None:
    """In a name space where another file system is mounted below the tree: how many files are stored of it."""
    from drmgr.system.secret import Secret

    settings = restic_in(folder / "r", folder / "cache")
    made = ResticRepository(settings, lambda: Secret("p" * 64), Runner())
    made.init()
    act = Act(made, folder)
    (act.root / "mounted/file").write_text("x")
    counts = [act.back_up(one_file_system=one).groups["files"]["count"] for one in (False, True)]
    print(json.dumps(counts))


# --- points of an older drmgr -----------------------------------------------------------------------------------------


def test_a_manifest_without_metadata_is_compared_as_far_as_it_goes(act: Act) -> None:
    facts = act.back_up()
    back = act.bring_back()
    assert back.manifest is not None
    lines = [json.loads(line) for line in back.manifest.read_text().splitlines()]
    old = [{key: line[key] for key in ("path", "size", "sha256")} for line in lines if "kind" not in line]
    back.manifest.write_text("".join(json.dumps(line) + "\n" for line in old))
    groups: Mapping[str, Any] = {name: facts.groups[name] for name in ("files", "content", "differences")}
    groups = {**groups, "differences": {"missing": 0, "changed": 0, "extra": 0}}
    stored = replace(facts, groups=groups)
    assert act.now(back, stored).groups == groups
    assert act.engine().integrity(back).status is CheckStatus.PASS
    (back.path / "extra").write_text("x")  # type: ignore[operator]
    assert act.now(back, stored).groups["differences"] == {"missing": 0, "changed": 0, "extra": 1}
    with pytest.raises(PreflightError, match="does not tell when its files were written"):
        _newer(act, back, stored)


def _newer(act: Act, back: Instance, facts: Facts) -> None:
    assert back.manifest is not None
    act.engine().newer(back.manifest.parents[1], facts.taken_at, act.folder / "patterns")


def test_a_root_that_looks_unmounted_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    engine = FilesEngine(TreeSettings(root), SystemClock(), tmp_path, Runner())
    with pytest.raises(PreflightError, match="is not there"):
        engine.preflight()
    root.mkdir()
    with pytest.raises(PreflightError, match="is empty"):
        engine.preflight()
    (root / "file").write_text("x")
    engine.preflight()
