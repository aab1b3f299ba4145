"""The keystore file: every secret of a site, wrapped under a master key that the passphrase opens."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from drmgr.errors import KeystoreError
from drmgr.interfaces import Clock
from drmgr.keystore.wrapping import (
    KEY_BYTES,
    SALT_BYTES,
    NotOpenedError,
    ScryptCost,
    derive_key,
    from_text,
    to_text,
    unwrap,
    wrap,
)
from drmgr.model import Json
from drmgr.system.clock import SystemClock, rfc3339
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret

FILE_NAME = "keystore.json"
SCHEMA = "drmgr/keystore/1"
ENTRY_VERSION = 1
WAIT_SECONDS = 60.0
NEXT, RETIRED = "next", "retired"
"""Beside an entry that is being renewed: the value to come, and the one that was."""


@dataclass(frozen=True)
class KeyInfo:
    """What is known of a key without opening it. ``id`` is drawn at random: it tells keys apart and says nothing of them."""

    name: str
    kind: str
    created_at: datetime
    id: str
    version: int = 1


class FileKeystore:
    """The keystore in ``directory``. The passphrase is asked for once, and only when something must be opened.

    Every method raises KeystoreError: for a missing, damaged or unreadable file, a wrong passphrase, a changed entry.
    """

    def __init__(
        self,
        directory: Path,
        passphrase: Callable[[], Secret],
        *,
        clock: Clock | None = None,
        cost: ScryptCost | None = None,
    ) -> None:
        self.directory = directory
        self._path = directory / FILE_NAME
        self._passphrase = passphrase
        self._clock = clock or SystemClock()
        self._cost = cost or ScryptCost()
        self._master_key: bytes | None = None
        self._opening = threading.Lock()

    def exists(self) -> bool:
        return self._path.exists()

    def create(self) -> bool:
        """Makes an empty keystore; False when there is one already and the passphrase opens it."""
        with self._locked():
            if self._path.exists():
                self._master(self._read())
                return False
            master = secrets.token_bytes(KEY_BYTES)
            wrapped = self._wrapped_master(master, self._asked_passphrase())
            created = rfc3339(self._clock.now())
            self._write({"schema": SCHEMA, "created_at": created, **wrapped, "entries": {}})
            self._master_key = master
            return True

    def secret(self, name: str) -> bytes:
        """The value of an entry."""
        document = self._read()
        if name not in document["entries"]:
            raise KeystoreError(f"the keystore holds no key {name}", hint="make the missing keys with: drmgr keys init")
        return _open_entry(self._master(document), name, document["entries"][name])

    def add(self, name: str, kind: str, value: Callable[[], bytes]) -> bool:
        """Adds what ``value`` makes; False, and nothing made, when the entry is there already."""
        with self._locked():
            document = self._read()
            # also opened for an entry that is there: a wrong passphrase must show now, not at the next restore
            master = self._master(document)
            if name in document["entries"]:
                return False
            entry = {
                "kind": kind,
                "version": ENTRY_VERSION,
                "id": secrets.token_hex(8),
                "created_at": rfc3339(self._clock.now()),
            }
            document["entries"][name] = _entry(master, name, value(), entry)
            self._write(document)
            return True

    def add_random(self, name: str, size: int = 32) -> bool:
        """Adds ``size`` random bytes; False when the entry is there already, which is then left as it is."""
        return self.add(name, "random", lambda: secrets.token_bytes(size))

    def put(self, name: str, value: bytes, *, kind: str = "value") -> None:
        """Adds a value. Raises KeystoreError when the entry is there already: nothing is ever overwritten."""
        if not self.add(name, kind, lambda: value):
            raise KeystoreError(f"the keystore holds a key {name} already", hint="keys are never overwritten")

    def names(self) -> list[str]:
        """All entries, sorted; asks for no passphrase."""
        return sorted(self._read()["entries"])

    def status(self) -> list[KeyInfo]:
        """All entries, sorted by name; asks for no passphrase."""
        return [_info(name, entry) for name, entry in sorted(self._read()["entries"].items())]

    def verify(self) -> None:
        """Opens every entry. Raises KeystoreError naming all that do not open."""
        document = self._read()
        master = self._master(document)
        broken = []
        for name, entry in sorted(document["entries"].items()):
            try:
                _open_entry(master, name, entry)
            except KeystoreError:
                broken.append(name)
        if broken:
            raise _damaged_entry(", ".join(broken))

    def repository_password(self, system: str, copy: str = "") -> Secret:
        """The restic password of the system's repository, or of one of its copies: the entry's bytes as hexadecimal text."""
        return Secret(self.secret(repository_entry(system, copy)).hex())

    def ensure_repository_password(self, system: str, copy: str = "") -> Secret:
        """The same, made first when there is none yet."""
        self.add_random(repository_entry(system, copy), KEY_BYTES)
        return self.repository_password(system, copy)

    def begin_renewal(self, name: str) -> bytes:
        """Makes the value that is to follow this entry's, beside it; the same one when that was begun before."""
        self.secret(name)
        self.add_random(f"{name}/{NEXT}", KEY_BYTES)
        return self.secret(f"{name}/{NEXT}")

    def complete_renewal(self, name: str) -> None:
        """Puts the following value in the entry's place, and the present one aside, both in one write."""
        with self._locked():
            document = self._read()
            master, entries = self._master(document), document["entries"]
            for missing in {name, f"{name}/{NEXT}"} - set(entries):
                raise KeystoreError(f"the keystore holds no key {missing}")
            before, after = entries[name], entries[f"{name}/{NEXT}"]
            values = _open_entry(master, name, before), _open_entry(master, f"{name}/{NEXT}", after)
            version = int(before["version"]) + 1
            entries[f"{name}/{RETIRED}"] = _entry(master, f"{name}/{RETIRED}", values[0], before)
            entries[name] = _entry(master, name, values[1], {**after, "version": version})
            del entries[f"{name}/{NEXT}"]
            self._write(document)

    def retired(self, name: str) -> bytes | None:
        """The value that was put aside and is not revoked yet."""
        aside = f"{name}/{RETIRED}"
        return self.secret(aside) if aside in self._read()["entries"] else None

    def forget_retired(self, name: str) -> None:
        """Once nothing opens with it any more."""
        with self._locked():
            document = self._read()
            self._master(document)
            document["entries"].pop(f"{name}/{RETIRED}", None)
            self._write(document)

    def renew_master(self) -> None:
        """Draws another master key and puts every entry under it; shares of the old one open nothing in this file.

        The new file is proven in memory before it takes the place of the old one.
        """
        with self._locked():
            document = self._read()
            old, new = self._master(document), secrets.token_bytes(KEY_BYTES)
            entries = document["entries"]
            values = {name: _open_entry(old, name, entry) for name, entry in entries.items()}
            for name, value in values.items():
                entries[name] = _entry(new, name, value, entries[name])
            document.update(self._wrapped_master(new, self._asked_passphrase()))
            fresh = FileKeystore(self.directory, self._passphrase, clock=self._clock, cost=self._cost)
            proven = fresh._opened_master(document)
            if any(_open_entry(proven, name, entries[name]) != value for name, value in values.items()):
                raise KeystoreError("the keystore could not be put under another master key")
            self._write(document)
            self._master_key = new

    def master_key(self) -> bytes:
        """The key that wraps all others, for those who split it. It must stay in memory."""
        return self._master(self._read())

    def open_with(self, master: bytes) -> None:
        """Opens the keystore with a master key that came from elsewhere, without the passphrase.

        Raises KeystoreError when it does not open every entry.
        """
        document = self._read()
        for name, entry in sorted(document["entries"].items()):
            try:
                _open_entry(master, name, entry)
            except KeystoreError as error:
                raise KeystoreError(
                    f"the master key does not open the keystore's entry {name}",
                    hint="the shares are of another site's keystore, or were split before its master key was changed",
                ) from error
        if not document["entries"]:
            raise KeystoreError("the keystore is empty, so nothing proves the master key")
        self._master_key = master

    def rewrap(self, passphrase: Secret) -> None:
        """Puts the master key under another passphrase; the old one opens nothing any more, in this file.

        The new file is proven in memory before it takes the place of the old one.
        """
        with self._locked():
            document = self._read()
            document.update(self._wrapped_master(self._master(document), passphrase))
            fresh = FileKeystore(self.directory, lambda: passphrase, clock=self._clock, cost=self._cost)
            fresh._opened_master(document)
            self._write(document)

    def _wrapped_master(self, master: bytes, passphrase: Secret) -> dict[str, Json]:
        if not passphrase.reveal():
            raise KeystoreError("the keystore's passphrase is empty", hint="set what keys.passphrase refers to")
        salt = secrets.token_bytes(SALT_BYTES)
        kdf = {"name": "scrypt", "salt": to_text(salt), "n": self._cost.n, "r": self._cost.r, "p": self._cost.p}
        return {"kdf": kdf, "master": wrap(derive_key(passphrase, salt, self._cost), master, _master_purpose(kdf))}

    def _master(self, document: dict[str, Json]) -> bytes:
        # several threads may ask at once; the dear derivation is done by one of them
        with self._opening:
            if self._master_key is None:
                self._master_key = self._opened_master(document)
            return self._master_key

    def _opened_master(self, document: dict[str, Json]) -> bytes:
        kdf = document["kdf"]
        try:
            cost = ScryptCost(n=kdf["n"], r=kdf["r"], p=kdf["p"])
            passphrase_key = derive_key(self._asked_passphrase(), from_text(kdf["salt"]), cost)
        except (KeyError, TypeError, ValueError, MemoryError) as error:
            raise self._damaged() from error
        try:
            return unwrap(passphrase_key, document["master"], _master_purpose(kdf))
        except NotOpenedError as error:
            raise KeystoreError(
                "the passphrase does not open the keystore",
                hint="check keys.passphrase in the site file; "
                f"if it is surely the right one, {self._path} is not this site's or was changed",
            ) from error

    def _asked_passphrase(self) -> Secret:
        passphrase = self._passphrase()
        if not passphrase.reveal():
            raise KeystoreError("the keystore's passphrase is empty", hint="set what keys.passphrase refers to")
        return passphrase

    def _read(self) -> dict[str, Json]:
        try:
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError as error:
            raise KeystoreError(
                f"there is no keystore at {self._path}", hint="make one with: drmgr keys init"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error
        except ValueError as error:
            raise self._damaged() from error
        if not isinstance(document, dict) or "schema" not in document:
            raise self._damaged()
        if document["schema"] != SCHEMA:
            raise KeystoreError(
                f"the keystore is of another drmgr: {document['schema']}", hint="install the drmgr that wrote it"
            )
        if not all(isinstance(document.get(field), dict) for field in ("kdf", "master", "entries")):
            raise self._damaged()
        return document

    def _write(self, document: dict[str, Json]) -> None:
        try:
            write_atomically(self._path, json.dumps(document, indent=1, ensure_ascii=False).encode(), mode=0o600)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.directory / ".keystore.lock", timeout=WAIT_SECONDS, mode=0o600)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise KeystoreError("another process has been changing the keystore for too long") from error
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _unusable(self, error: OSError) -> KeystoreError:
        reason = (error.strerror or type(error).__name__).lower()
        return KeystoreError(
            f"the keystore cannot be used: {reason}",
            hint=f"give drmgr's account the right to read and write {self.directory}",
        )

    def _damaged(self) -> KeystoreError:
        return KeystoreError(f"the keystore {self._path} is damaged", hint="put back the last copy of keys/ you have")


def repository_entry(system: str, copy: str = "") -> str:
    """The name of the entry that holds the password of the system's repository, or of one of its copies."""
    return f"copy/{copy}/{system}" if copy else f"repository/{system}"


def _master_purpose(kdf: dict[str, Json]) -> bytes:
    return json.dumps([SCHEMA, "master", kdf], sort_keys=True).encode()


def _entry_purpose(name: str, entry: dict[str, Json]) -> bytes:
    bound = [entry.get(field) for field in ("kind", "version", "id", "created_at")]
    return json.dumps([SCHEMA, "entry", name, *bound]).encode()


def _entry(master: bytes, name: str, value: bytes, like: Json) -> dict[str, Json]:
    """The value wrapped under that name; what is known of it is taken from ``like``."""
    about = {field: like[field] for field in ("kind", "version", "id", "created_at")}
    return {**about, **wrap(master, value, _entry_purpose(name, about))}


def _open_entry(master: bytes, name: str, entry: Json) -> bytes:
    try:
        return unwrap(master, entry, _entry_purpose(name, entry))
    except (NotOpenedError, AttributeError) as error:
        raise _damaged_entry(name) from error


def _damaged_entry(names: str) -> KeystoreError:
    return KeystoreError(
        f"the keystore's entry {names} was changed or belongs to another keystore",
        hint="put back the last copy of keys/ you have, and find out who changed it",
    )


def _info(name: str, entry: Json) -> KeyInfo:
    try:
        return KeyInfo(
            name,
            str(entry["kind"]),
            datetime.fromisoformat(entry["created_at"]),
            str(entry["id"]),
            int(entry["version"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged_entry(name) from error
