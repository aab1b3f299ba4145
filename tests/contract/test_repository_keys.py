"""The key files of real repositories: light ones in the place of restic's own, which cost half a second in every call."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from drmgr.errors import RepositoryAccessError, RepositoryError
from drmgr.interfaces import RepositoryFiles
from drmgr.model import Json
from drmgr.repository.plainfiles import FolderFiles
from drmgr.repository.restic import ResticRepository
from drmgr.repository.restic_keyfile import COST, key_file
from drmgr.repository.restic_keys import RepositoryPasswords
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.contract.test_repository import on_s3
from tests.support.objectstore import object_store
from tests.support.restic import restic_in

__all__ = ["object_store"]

OLD, NEW = Secret("p" * 64), Secret("n" * 64)


def by_hand(repository: Path, *arguments: str, password: Secret = OLD) -> "subprocess.CompletedProcess[str]":
    """What a person does who has the password and nothing of drmgr."""
    env = {"PATH": os.environ["PATH"], "HOME": str(repository.parent), "RESTIC_PASSWORD": password.reveal()}
    argv = ["restic", "--repo", str(repository), "--no-cache", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that restic itself has made, with a snapshot; to be copied."""
    folder = tmp_path_factory.mktemp("dear")
    assert by_hand(folder / "r", "init").returncode == 0
    (folder / "word").write_text("word")
    assert by_hand(folder / "r", "backup", str(folder / "word")).returncode == 0
    return folder / "r"


@pytest.fixture
def place(dear: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dear, tmp_path / "r"))


def repository(place: Path, files: RepositoryFiles | None = None) -> ResticRepository:
    settings = restic_in(place, place.parent / "cache")
    return ResticRepository(replace(settings, files=files or settings.files), lambda: OLD, Runner())


def keys(place: Path) -> dict[str, Json]:
    found = {path.name: path.read_bytes() for path in (place / "keys").iterdir()}
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in found.items())
    return {name: json.loads(content) for name, content in found.items()}


def test_a_new_repository_has_one_light_key_that_plain_restic_opens(tmp_path: Path) -> None:
    assert repository(tmp_path / "r").init()
    (key,) = keys(tmp_path / "r").values()
    assert {name: key[name] for name in COST} == COST
    assert (key["username"], key["hostname"]) == ("drmgr", "site")
    assert by_hand(tmp_path / "r", "cat", "config").returncode == 0
    assert by_hand(tmp_path / "r", "cat", "config", password=NEW).returncode == 12
    assert by_hand(tmp_path / "r", "check").returncode == 0


def test_a_dear_key_is_replaced_when_init_is_repeated_and_a_light_one_is_left_alone(place: Path) -> None:
    (before,) = keys(place)
    assert not repository(place).init()
    (after,) = keys(place)
    assert after != before
    assert len(repository(place).snapshots().snapshots) == 1
    assert by_hand(place, "check", "--read-data").returncode == 0
    assert not repository(place).init()
    assert list(keys(place)) == [after]


class Failing(FolderFiles):
    """Does not store what it is given, or stores something else."""

    garbage = b""

    def put(self, name: str, content: bytes) -> None:
        if not self.garbage:
            raise RepositoryError("the disk is full")
        super().put(name, self.garbage)


@pytest.mark.parametrize("garbage", [b"", b"{}"])
def test_a_light_key_that_was_not_stored_well_leaves_the_dear_one(place: Path, garbage: bytes) -> None:
    (before,) = (place / "keys").iterdir()
    files = Failing(place)
    files.garbage = garbage
    with pytest.raises(RepositoryError):
        repository(place, files).init()
    assert list((place / "keys").iterdir()) == [before]
    assert by_hand(place, "cat", "config").returncode == 0


class Replacing(FolderFiles):
    """Stores a key file of another password."""

    def put(self, name: str, content: bytes) -> None:
        master = by_hand(self._repository, "cat", "masterkey").stdout.encode()
        other, content = key_file(master, NEW, "site", datetime.now(UTC))
        super().put(f"keys/{other}", content)


def test_a_key_that_does_not_open_is_told_and_the_dear_one_kept(place: Path) -> None:
    (before,) = keys(place)
    with pytest.raises(RepositoryAccessError, match="old one is kept"):
        repository(place, Replacing(place)).init()
    assert before in keys(place)


def test_another_password_is_added_by_a_light_key_and_the_first_one_removed(place: Path) -> None:
    passwords = RepositoryPasswords(repository(place))
    first, _ = passwords.ids(OLD)
    added = passwords.add(OLD, NEW)
    assert passwords.ids(NEW) == (added, (first,))
    passwords.remove(NEW, first)
    assert (passwords.opens(OLD), passwords.opens(NEW)) == (False, True)
    assert by_hand(place, "check", "--read-data", password=NEW).returncode == 0


def test_the_same_in_a_locked_bucket(object_store: ObjectStore, tmp_path: Path) -> None:
    in_bucket = on_s3(object_store, tmp_path.name, tmp_path)
    assert in_bucket.init()
    passwords = RepositoryPasswords(in_bucket)
    own, others = passwords.ids(OLD)
    assert (passwords._cost(OLD, own), others) == (COST, ())
    assert not in_bucket.init()
    assert passwords.ids(OLD) == (own, ())
