"""The keystore file: what goes in comes out, and nothing else opens or changes it."""

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drmgr.errors import KeystoreError
from drmgr.keystore.store import FileKeystore
from drmgr.keystore.wrapping import ScryptCost
from drmgr.system.secret import Secret

CHEAP = ScryptCost(n=2**4, r=8, p=1)
PASSPHRASE = "恢复演练 correct horse"


def keystore(directory: Path, passphrase: str = PASSPHRASE) -> FileKeystore:
    return FileKeystore(directory, lambda: Secret(passphrase), cost=CHEAP)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    store = keystore(tmp_path / "keys")
    store.create()
    store.put("first", b"value of the first")
    store.put("second", b"value of the second")
    return store.directory


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = directory / "keystore.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_values_come_back_in_a_new_process_and_never_lie_in_clear(made: Path) -> None:
    store = keystore(made)
    assert store.add_random("repository/his") is True
    reopened = keystore(made)
    assert reopened.secret("first") == b"value of the first"
    password = reopened.repository_password("his").reveal()
    assert password == reopened.secret("repository/his").hex()
    assert len(bytes.fromhex(password)) == 32
    for file in made.iterdir():
        content = file.read_bytes()
        for secret in (b"value of the first", password.encode(), bytes.fromhex(password), PASSPHRASE.encode()):
            assert secret not in content
    assert stat.S_IMODE((made / "keystore.json").stat().st_mode) == 0o600


def test_nothing_is_overwritten(made: Path) -> None:
    store = keystore(made)
    password = store.ensure_repository_password("his")
    before = (made / "keystore.json").read_bytes()
    assert store.create() is False
    assert store.add_random("first") is False
    assert store.ensure_repository_password("his") == password
    with pytest.raises(KeystoreError, match="first already"):
        store.put("first", b"other")
    assert (made / "keystore.json").read_bytes() == before


def test_the_list_needs_no_passphrase(made: Path) -> None:
    def refuse() -> Secret:
        raise AssertionError("asked for the passphrase")

    store = FileKeystore(made, refuse)
    assert store.names() == ["first", "second"]
    first, second = store.status()
    assert (first.name, first.kind, first.created_at.tzinfo is not None) == ("first", "value", True)
    assert first.id != second.id


def test_the_passphrase_is_asked_for_once(made: Path) -> None:
    asked: list[int] = []

    def ask() -> Secret:
        asked.append(1)
        return Secret(PASSPHRASE)

    store = FileKeystore(made, ask)
    store.secret("first")
    store.secret("second")
    store.add_random("third")
    assert len(asked) == 1


@pytest.mark.parametrize("act", ["secret", "create", "add_random", "verify"])
def test_a_wrong_passphrase_opens_nothing_and_changes_nothing(made: Path, act: str) -> None:
    before = (made / "keystore.json").read_bytes()
    store = keystore(made, "wrong")
    acts: dict[str, Callable[[], object]] = {
        "secret": lambda: store.secret("first"),
        "create": store.create,
        "add_random": lambda: store.add_random("third"),
        "verify": store.verify,
    }
    with pytest.raises(KeystoreError, match="passphrase does not open") as caught:
        acts[act]()
    assert "keys.passphrase" in caught.value.hint
    assert (made / "keystore.json").read_bytes() == before


def flip_value(entries: dict[str, Any]) -> None:
    wrapped = entries["second"]["wrapped"]
    entries["second"]["wrapped"] = ("B" if wrapped[0] == "A" else "A") + wrapped[1:]


def other_kind(entries: dict[str, Any]) -> None:
    entries["second"]["kind"] = "random"


def other_version(entries: dict[str, Any]) -> None:
    entries["second"]["version"] = 2


def swapped_in(entries: dict[str, Any]) -> None:
    entries["second"] = entries["first"]


def no_object(entries: dict[str, Any]) -> None:
    entries["second"] = "nonsense"


@pytest.mark.parametrize("tamper", [flip_value, other_kind, other_version, swapped_in, no_object])
def test_a_changed_entry_is_named_and_the_others_still_open(
    made: Path, tamper: Callable[[dict[str, Any]], None]
) -> None:
    edit(made, lambda document: tamper(document["entries"]))
    store = keystore(made)
    for act in (lambda: store.secret("second"), store.verify):
        with pytest.raises(KeystoreError, match="entry second was changed"):
            act()
    assert store.secret("first") == b"value of the first"


def test_a_sound_keystore_verifies(made: Path) -> None:
    keystore(made).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document["kdf"].update(n=2**40), "damaged"),
        (lambda document: document["kdf"].update(salt="§"), "damaged"),
        (lambda document: document.pop("entries"), "damaged"),
        (lambda document: document.update(schema="drmgr/keystore/9"), "of another drmgr"),
        (lambda document: document["kdf"].update(p=2), "does not open"),
    ],
)
def test_a_damaged_file_is_refused(made: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(made, change)
    with pytest.raises(KeystoreError, match=message):
        keystore(made).secret("first")


def test_what_is_missing_is_said(made: Path, tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="there is no keystore") as no_file:
        keystore(tmp_path / "elsewhere").names()
    assert "drmgr keys init" in no_file.value.hint
    with pytest.raises(KeystoreError, match="no key repository/lis"):
        keystore(made).repository_password("lis")
    with pytest.raises(KeystoreError, match="passphrase is empty"):
        keystore(made, "").secret("first")
    (made / "keystore.json").write_bytes(b"{")
    with pytest.raises(KeystoreError, match="damaged"):
        keystore(made).names()


def test_additions_at_the_same_time_are_all_kept(made: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda number: keystore(made).add_random(f"shared/{number % 12}"), range(24)))
    assert added.count(True) == 12
    assert len([name for name in keystore(made).names() if name.startswith("shared/")]) == 12
    keystore(made).verify()


def test_the_cost_in_production_is_what_was_decided(tmp_path: Path) -> None:
    FileKeystore(tmp_path, lambda: Secret(PASSPHRASE)).create()
    kdf = json.loads((tmp_path / "keystore.json").read_text())["kdf"]
    assert (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) == ("scrypt", 2**15, 8, 3)
