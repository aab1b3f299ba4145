"""What every Repository owes: the fake that flow tests use, restic on a folder, restic on a real S3 server."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import (
    RepositoryAccessError,
    RepositoryDamagedError,
    RepositoryLockedError,
    RepositoryMissingError,
    SourceError,
)
from drmgr.interfaces import Repository, RepositoryFiles
from drmgr.model import Snapshot, Stream, Tree
from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock
from drmgr.repository.plainfiles import BucketFiles, FolderFiles
from drmgr.repository.restic import ResticRepository, ResticSettings
from drmgr.system.command import Command, Process, Runner
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret
from tests.support.fake_repository import FakeRepository
from tests.support.restic import restic_in, restic_that_obeys_file_modes

Maker = Callable[[str], Repository]

ASK_FOR_A_MARK = """
import json, time
from drmgr.system.orphans import mark
print(json.dumps(mark()), flush=True)
time.sleep(600)
"""


def silent(_share: float, _word: str) -> None:
    return


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("store")) as running:
        yield running


def restic(
    location: str,
    folder: Path,
    password: str = "p" * 64,
    files: RepositoryFiles | None = None,
    **more: object,
) -> ResticRepository:
    files = files or FolderFiles(Path(location))
    settings = ResticSettings(location, "site", folder / "cache", files, **more)  # type: ignore[arg-type]
    return ResticRepository(settings, lambda: Secret(password), Runner())


def on_s3(store: ObjectStore, name: str, folder: Path) -> ResticRepository:
    keys = (
        f"[default]\naws_access_key_id={store.access_key.reveal()}\naws_secret_access_key={store.secret_key.reveal()}\n"
    )
    write_atomically(folder / "credentials", keys.encode())
    lock = ObjectLock("governance", 1)
    bucket = Bucket(BucketSettings(store.endpoint, store.region, "contract", store.access_key, store.secret_key, lock))
    bucket.ensure()
    return restic(
        f"s3:{store.endpoint}/contract/{name}",
        folder,
        files=BucketFiles(bucket, name),
        env={"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_PROFILE": "default"},
        options=("-o", "s3.bucket-lookup=path", "-o", f"s3.region={store.region}"),
    )


@pytest.fixture(params=["fake", "folder", "s3"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A repository of each kind, not yet initialised."""
    if request.param == "fake":
        return FakeRepository(tmp_path / "repository")
    if request.param == "folder":
        return restic(str(tmp_path / "repository"), tmp_path)
    return on_s3(request.getfixturevalue("store"), tmp_path.name, tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised folder repository to copy: restic takes seconds to make one."""
    folder = tmp_path_factory.mktemp("template")
    restic(str(folder / "repository"), folder).init()
    return folder / "repository"


@pytest.fixture
def in_folder(template: Path, tmp_path: Path) -> ResticRepository:
    shutil.copytree(template, tmp_path / "repository")
    return restic(str(tmp_path / "repository"), tmp_path)


@pytest.fixture(scope="module")
def in_bucket(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> ResticRepository:
    repository = on_s3(store, "shared", tmp_path_factory.mktemp("s3"))
    repository.init()
    return repository


@pytest.fixture(params=["fake", "in_folder", "in_bucket"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A repository of each kind, ready. The one in the bucket is shared: tests tell their snapshots by ``mark``."""
    if request.param == "fake":
        fake = FakeRepository(tmp_path / "repository")
        fake.init()
        return fake
    ready: Repository = request.getfixturevalue(request.param)
    return ready


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"test={tmp_path.name}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "深").mkdir(parents=True)
    (root / "a.bin").write_bytes(os.urandom(100_000))
    (root / "深" / "二.txt").write_text("内容")
    (root / "junk.tmp").write_text("left out")
    return root


def stored_tree(repository: Repository, tree: Path) -> Snapshot:
    return repository.backup(Tree("files", tree, ("*.tmp",)), ("drmgr",), silent)


def test_a_repository_is_made_once_and_missing_before(made: Repository) -> None:
    with pytest.raises(RepositoryMissingError):
        made.probe()
    assert made.init() is True
    assert made.init() is False
    made.probe()


def test_a_tree_comes_back_as_it_was(repository: Repository, tree: Path, tmp_path: Path) -> None:
    snapshot = stored_tree(repository, tree)
    assert snapshot.complete
    assert (snapshot.files, snapshot.bytes) == (2, 100_006)
    repository.restore(snapshot.id, tmp_path / "back", snapshot.files, snapshot.bytes, silent)
    assert (tmp_path / "back" / "a.bin").read_bytes() == (tree / "a.bin").read_bytes()
    assert (tmp_path / "back" / "深" / "二.txt").read_text() == "内容"
    assert not (tmp_path / "back" / "junk.tmp").exists()


def test_entries_are_the_files_with_size_and_time(repository: Repository, tree: Path) -> None:
    snapshot = stored_tree(repository, tree)

    def told(name: str) -> tuple[str, int, int]:
        return (name, (tree / name).stat().st_size, (tree / name).stat().st_mtime_ns)

    # what a file's status is depends on the repository's maker, and the fake has none
    found = sorted(
        (each.path, each.size, each.modified) for each in repository.entries(snapshot.id) if each.kind == "file"
    )
    assert found == [told("a.bin"), told("深/二.txt")]


def test_a_restore_that_misses_a_file_or_a_byte_is_not_a_success(
    repository: Repository, tree: Path, tmp_path: Path
) -> None:
    snapshot = stored_tree(repository, tree)
    for number, (files, size) in enumerate([(3, snapshot.bytes), (2, snapshot.bytes + 1)]):
        with pytest.raises(RepositoryDamagedError):
            repository.restore(snapshot.id, tmp_path / f"back{number}", files, size, silent)


def test_a_stream_is_stored_whole(repository: Repository) -> None:
    argv = (sys.executable, "-c", "import os; print(os.environ['WORD'] * 3, end='')")
    snapshot = repository.backup(Stream("dump", argv, "x.dump", {"WORD": "abc"}), ("drmgr",), silent)
    assert (snapshot.files, snapshot.bytes) == (1, 9)
    assert repository.read_bytes(snapshot.id, "x.dump") == b"abcabcabc"


def test_a_stream_whose_program_fails_leaves_nothing(repository: Repository, mark: str) -> None:
    argv = (sys.executable, "-c", "print('half'); raise SystemExit(3)")
    with pytest.raises(SourceError):
        repository.backup(Stream("dump", argv, "x.dump"), (mark,), silent)
    assert repository.snapshots((mark,)).snapshots == ()


def test_a_root_that_is_not_there_is_an_error(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        repository.backup(Tree("files", tmp_path / "nowhere"), ("drmgr",), silent)


def test_snapshots_are_found_by_all_their_tags_oldest_first(repository: Repository, mark: str) -> None:
    first = repository.store_bytes("seal", b"1", (mark, "system=his"))
    repository.store_bytes("seal", b"2", (mark, "system=emr"))
    third = repository.store_bytes("seal", b"3", (mark, "system=his", "seal"))
    found = repository.snapshots((mark, "system=his")).snapshots
    assert [snapshot.id for snapshot in found] == [first.id, third.id]
    assert set(found[1].tags) == {mark, "system=his", "seal"}
    assert repository.read_bytes(third.id, "seal") == b"3"


def test_a_snapshot_that_is_not_there_is_damage(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(RepositoryDamagedError):
        repository.read_bytes("0" * 64, "seal")
    with pytest.raises(RepositoryDamagedError):
        repository.restore("0" * 64, tmp_path / "back", 1, 1, silent)


def test_a_sound_repository_checks_out(repository: Repository, tree: Path) -> None:
    stored_tree(repository, tree)
    report = repository.check(1.0)
    assert report.ok
    assert report.errors == 0


# --- restic's own ways, on a folder where a byte can be flipped ---


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("kind", ["data", "index", "keys", "config"])
def test_a_flipped_bit_is_damage_wherever_it_is(
    kind: str, in_folder: ResticRepository, tree: Path, tmp_path: Path
) -> None:
    snapshot = stored_tree(in_folder, tree)
    place = tmp_path / "repository" / kind
    flip(place if place.is_file() else largest(place))
    cold = restic(str(tmp_path / "repository"), tmp_path / "elsewhere")
    with pytest.raises(RepositoryDamagedError):
        cold.restore(snapshot.id, tmp_path / "back", snapshot.files, snapshot.bytes, silent)


def test_a_damaged_snapshot_is_named_not_passed_over(in_folder: ResticRepository, tree: Path, tmp_path: Path) -> None:
    kept, lost = stored_tree(in_folder, tree), stored_tree(in_folder, tree)
    flip(tmp_path / "repository" / "snapshots" / lost.id)
    listing = restic(str(tmp_path / "repository"), tmp_path / "elsewhere").snapshots(("drmgr",))
    assert [snapshot.id for snapshot in listing.snapshots] == [kept.id]
    assert listing.damaged == (lost.id,)


def test_damaged_data_is_found_by_a_full_check(in_folder: ResticRepository, tree: Path, tmp_path: Path) -> None:
    stored_tree(in_folder, tree)
    pack = largest(tmp_path / "repository" / "data")
    flip(pack)
    report = in_folder.check(1.0)
    assert not report.ok
    assert report.errors > 0


def test_a_wrong_password_is_said_plainly(in_folder: ResticRepository, tmp_path: Path) -> None:
    with pytest.raises(RepositoryAccessError, match="does not open with our password"):
        restic(in_folder.location, tmp_path, password="x" * 64).probe()


def endless(repository: ResticRepository) -> Command:
    """A backup that never ends, and holds its lock without a word."""
    argv = (sys.executable, "-c", "import time; print('x', flush=True); time.sleep(600)")
    arguments = ("backup", "--quiet", "--stdin-from-command", "--stdin-filename", "x", "--", *argv)
    return repository._command(arguments, {}, None, None)


@contextmanager
def at_work(command: Command, locks: Path) -> Iterator[Process]:
    with Runner().start(command) as process:
        while not any(locks.iterdir()):
            assert process.running()
        yield process


def test_a_lock_left_by_a_killed_restic_does_not_stop_the_next_run(
    in_folder: ResticRepository, tree: Path, tmp_path: Path
) -> None:
    locks = tmp_path / "repository" / "locks"
    with at_work(endless(in_folder), locks) as process:
        process._popen.kill()
        process.wait()
    assert any(locks.iterdir())
    # 'check' wants the repository for itself
    assert in_folder.check(0.0).ok


def test_a_restic_whose_drmgr_is_gone_is_ended_and_one_that_is_wanted_is_not(
    in_folder: ResticRepository, tmp_path: Path
) -> None:
    locks, command = tmp_path / "repository" / "locks", endless(in_folder)
    with at_work(command, locks) as wanted:
        with pytest.raises(RepositoryLockedError):
            in_folder.check(0.0)
        assert wanted.running()
    with Runner().start(Command((sys.executable, "-c", ASK_FOR_A_MARK))) as killed:
        env = json.loads(next(killed.lines()))
    with at_work(replace(command, env={**command.env, **env}), locks) as orphan:
        assert in_folder.check(0.0).ok
        assert not orphan.running()


def test_a_file_that_cannot_be_read_makes_the_snapshot_incomplete(
    in_folder: ResticRepository, tree: Path, tmp_path: Path
) -> None:
    (tree / "a.bin").chmod(0)
    weaker = restic(in_folder.location, tmp_path, program=str(restic_that_obeys_file_modes(tmp_path)))
    snapshot = stored_tree(weaker, tree)
    assert not snapshot.complete
    assert snapshot.files == 1
    assert [Path(item).name for item in snapshot.unreadable] == ["a.bin"]


def test_the_store_is_asked_before_restic(tmp_path: Path) -> None:
    def away() -> None:
        raise RepositoryAccessError("refused")

    settings = restic_in(tmp_path / "repository", tmp_path / "cache")
    repository = ResticRepository(settings, lambda: Secret("p"), Runner(), away)
    with pytest.raises(RepositoryAccessError, match="refused"):
        repository.probe()
