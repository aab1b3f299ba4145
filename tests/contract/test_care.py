"""What every CaredRepository owes: the fake that flow tests use, and restic on a folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.errors import RepositoryDamagedError
from drmgr.interfaces import CaredRepository
from drmgr.model import Snapshot, Tree
from drmgr.repository.restic_care import CaredRepository as ResticCared
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.fake_repository import FakeRepository
from tests.support.restic import restic_in


def silent(_share: float, _word: str) -> None:
    return


def restic(folder: Path, name: str) -> ResticCared:
    settings = restic_in(folder / name, folder / "cache")
    return ResticCared(settings, lambda: Secret(name * 16), Runner())


@pytest.fixture(params=["fake", "restic"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[CaredRepository, CaredRepository]:
    """Two repositories, the first of them ready."""
    if request.param == "fake":
        home: CaredRepository = FakeRepository(tmp_path / "home")
        there: CaredRepository = FakeRepository(tmp_path / "copy")
    else:
        home, there = restic(tmp_path, "home"), restic(tmp_path, "copy")
    home.init()
    return home, there


def stored(repository: CaredRepository, folder: Path, word: str) -> Snapshot:
    folder.mkdir()
    (folder / "a.bin").write_bytes(os.urandom(200_000))
    (folder / "b.txt").write_text(word)
    return repository.backup(Tree("files", folder), ("drmgr", word), silent)


def test_snapshots_are_taken_with_their_ids_trees_and_tags(
    pair: tuple[CaredRepository, CaredRepository], tmp_path: Path
) -> None:
    home, there = pair
    first, second = stored(home, tmp_path / "one", "one"), stored(home, tmp_path / "two", "two")
    assert (there.init_like(home), there.init_like(home)) == (True, False)
    there.take(home, [first.id], silent)
    there.take(home, [first.id, second.id], silent)
    here = {each.id: (each.tree, each.tags) for each in home.snapshots().snapshots}
    assert {each.id: (each.tree, each.tags) for each in there.snapshots().snapshots} == here
    assert len(here) == 2
    there.restore(first.id, tmp_path / "back", first.files, first.bytes, silent)
    assert (tmp_path / "back/a.bin").read_bytes() == (tmp_path / "one/a.bin").read_bytes()

    home.forget([first.id])
    home.prune()
    assert [each.id for each in home.snapshots().snapshots] == [second.id]
    assert home.check(1.0).ok
    with pytest.raises(RepositoryDamagedError):
        home.restore(first.id, tmp_path / "gone", first.files, first.bytes, silent)
    # and by way of the copy it comes back under the id that its seal names
    home.take(there, [first.id], silent)
    home.snapshots()
    home.restore(first.id, tmp_path / "again", first.files, first.bytes, silent)


def test_damage_is_found_in_exactly_one_group_and_the_snapshots_it_touches_are_named(tmp_path: Path) -> None:
    home = restic(tmp_path, "home")
    home.init()
    first, second = stored(home, tmp_path / "one", "one"), stored(home, tmp_path / "two", "two")
    packs = sorted((tmp_path / "home/data").rglob("?" * 64), key=lambda path: path.stat().st_mtime_ns)
    largest = max(packs[: len(packs) // 2], key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[100] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(content)
    reports = [home.check_group(number, 3) for number in (1, 2, 3)]
    assert [report.ok for report in reports].count(False) == 1
    (broken,) = {pack for report in reports for pack in report.broken_packs}
    assert broken == largest.name
    assert home.touched_by([broken]) == {first.id}
    # a pack that has gone is named as well, and one with folders touches what lies in them
    shutil.copytree(tmp_path / "home", tmp_path / "kept")
    touched = set()
    for pack in packs:
        pack.unlink()
        assert home.check(0.0).broken_packs == (pack.name,)
        touched |= {(pack.name, snapshot) for snapshot in home.touched_by([pack.name])}
        shutil.copy(tmp_path / "kept/data" / pack.name[:2] / pack.name, pack)
    assert {snapshot for _, snapshot in touched} == {first.id, second.id}
    assert {pack for pack, _ in touched} == {pack.name for pack in packs}


def test_forgetting_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    home = restic(tmp_path, "home")
    home.init()
    first = home.store_bytes("seal", b"1", ("drmgr",))
    path = tmp_path / "home/snapshots" / first.id
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    assert home.snapshots().damaged == (first.id,)
    shutil.rmtree(tmp_path / "cache")
    acts: tuple[Callable[[], None], ...] = (lambda: home.forget([first.id]), home.prune)
    for act in acts:
        with pytest.raises(RepositoryDamagedError):
            act()
