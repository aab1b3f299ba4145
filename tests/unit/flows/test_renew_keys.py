from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drmgr.errors import KeystoreError, RepositoryAccessError
from drmgr.flows.renew_keys import Lock, Renewed, renew_keys
from drmgr.keystore.renewal import PasswordRenewal
from drmgr.keystore.store import FileKeystore
from drmgr.keystore.wrapping import ScryptCost
from drmgr.system.secret import Secret
from tests.unit.flows.conftest import Site


class Killed(BaseException):
    """The end of the process, at a moment of the test's choosing."""


@dataclass
class Door:
    """The passwords of a repository; the process is killed before or after a change: at the moment ``kill_at``."""

    keys: dict[str, str]
    kill_at: int = 10**6
    moment: int = 0
    deaf: bool = False
    sticky: bool = False

    def _pass(self) -> None:
        self.moment += 1
        if self.moment == self.kill_at:
            raise Killed

    def opens(self, password: Secret) -> bool:
        return password.reveal() in self.keys.values()

    def add(self, password: Secret, new: Secret) -> str:
        assert self.opens(password)
        self._pass()
        name = f"key-{self.moment}"
        if not self.deaf:
            self.keys[name] = new.reveal()
        self._pass()
        return name

    def ids(self, password: Secret) -> tuple[str, tuple[str, ...]]:
        own = [key for key, value in self.keys.items() if value == password.reveal()]
        return own[0], tuple(key for key in self.keys if key not in own)

    def remove(self, password: Secret, key: str) -> None:
        assert self.opens(password)
        assert self.keys[key] != password.reveal()
        self._pass()
        if not self.sticky:
            del self.keys[key]
        self._pass()


def keystore(folder: Path) -> FileKeystore:
    return FileKeystore(folder, lambda: Secret("words"), cost=ScryptCost(2, 1, 1))


@pytest.fixture
def store(tmp_path: Path) -> FileKeystore:
    made = keystore(tmp_path / "keys")
    made.create()
    made.ensure_repository_password("his")
    return made


def renew(site: Site, store: FileKeystore, door: Door, keep: Callable[[], None] = lambda: None) -> Renewed:
    return renew_keys(site.bench, Lock("his", "", PasswordRenewal(store, "repository/his"), door), keep)


def test_the_new_password_opens_and_the_old_one_does_not_any_more(site: Site, store: FileKeystore) -> None:
    old = store.repository_password("his")
    door = Door({"first": old.reveal(), "stranger": "who"})
    done = renew(site, store, door)
    new = store.repository_password("his")
    assert (door.opens(new), door.opens(old), done.others) == (True, False, ("stranger",))
    assert store.names() == ["repository/his"]
    assert store.status()[0].version == 2
    store.verify()


def test_every_key_that_the_old_password_opens_is_removed(site: Site, store: FileKeystore) -> None:
    old = store.repository_password("his")
    door = Door({"dear": old.reveal(), "light": old.reveal(), "stranger": "who"})
    done = renew(site, store, door)
    assert (door.opens(old), len(door.keys), done.others) == (False, 2, ("stranger",))


def test_a_key_that_cannot_be_removed_is_told(site: Site, store: FileKeystore) -> None:
    door = Door({"first": store.repository_password("his").reveal()}, sticky=True)
    with pytest.raises(RepositoryAccessError, match="still opens"):
        renew(site, store, door)


@pytest.mark.parametrize("moment", range(1, 5))
def test_killed_at_any_moment_it_opens_and_the_next_call_finishes(site: Site, store: FileKeystore, moment: int) -> None:
    old = store.repository_password("his")
    door = Door({"first": old.reveal()}, kill_at=moment)
    with pytest.raises(Killed):
        renew(site, store, door)
    site.locks.held.clear()
    again = keystore(store.directory)
    assert door.opens(again.repository_password("his"))
    renew(site, again, door)
    new = again.repository_password("his")
    assert (door.opens(new), door.opens(old), len(door.keys)) == (True, False, 1)
    assert again.names() == ["repository/his"]


def test_until_the_kit_is_kept_the_old_password_stays(site: Site, store: FileKeystore) -> None:
    old = store.repository_password("his")
    door = Door({"first": old.reveal()})

    def refuses() -> None:
        raise KeystoreError("the kit cannot be stored")

    for _ in range(2):
        with pytest.raises(KeystoreError, match="kit"):
            renew(site, store, door, refuses)
        # a kit from before opens it, and so does the keystore of now
        assert door.opens(old)
        assert door.opens(store.repository_password("his"))
    renew(site, store, door)
    assert not door.opens(old)


def test_a_password_that_does_not_open_after_all_changes_nothing(site: Site, store: FileKeystore) -> None:
    old = store.repository_password("his")
    door = Door({"first": old.reveal()}, deaf=True)
    with pytest.raises(RepositoryAccessError, match="old one is kept"):
        renew(site, store, door)
    assert store.repository_password("his").reveal() == old.reveal()
    door.deaf = False
    renew(site, store, door)
    assert not door.opens(old)


def test_a_new_master_key_wraps_all_and_the_old_one_opens_nothing(store: FileKeystore) -> None:
    before, password = store.master_key(), store.repository_password("his").reveal()
    store.renew_master()
    assert store.master_key() != before
    fresh = keystore(store.directory)
    fresh.verify()
    assert fresh.repository_password("his").reveal() == password
    with pytest.raises(KeystoreError):
        keystore(store.directory).open_with(before)
