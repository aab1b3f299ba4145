"""The passwords of a restic repository: each opens it by a key file of its own."""

import json

from drmgr.errors import RepositoryAccessError, RepositoryError
from drmgr.model import Json
from drmgr.repository import restic_errors
from drmgr.repository.restic_call import ResticCaller
from drmgr.repository.restic_keyfile import COST, key_file
from drmgr.system.clock import SystemClock
from drmgr.system.secret import Secret


class RepositoryPasswords:
    """Implements interfaces.RepositoryPasswords for the repository that ``caller`` calls restic for.

    The key files that it makes cost next to nothing to open, see ADR 0038; restic's own cost half a second in every call.
    """

    def __init__(self, caller: ResticCaller) -> None:
        self._caller = caller

    def opens(self, password: Secret) -> bool:
        done = self._with(password)._run("cat", "config", "--no-lock")
        if done.code == restic_errors.WRONG_PASSWORD:
            return False
        self._caller._expect_ok("open the repository", done)
        return bool(done.stdout.strip())

    def add(self, password: Secret, new: Secret) -> str:
        done = self._with(password)._run("cat", "masterkey", "--no-lock")
        self._caller._expect_ok("add a password", done)
        settings = self._caller._settings
        name, content = key_file(done.stdout.strip(), new, settings.host, SystemClock().now())
        settings.files.put(f"keys/{name}", content)
        try:
            self._insist(new, name)
        except BaseException:
            # one key file that restic cannot read keeps it from trying the others
            settings.files.remove(f"keys/{name}")
            raise
        return name

    def _insist(self, password: Secret, key: str) -> None:
        own, _ = self.ids(password, first=key)
        if own != key:
            raise RepositoryAccessError("the repository does not open with its new key file; the old one is kept")

    def ids(self, password: Secret, *, first: str = "") -> tuple[str, tuple[str, ...]]:
        """As the interface says; the key ``first`` is tried before the others."""
        done = self._with(password)._run("key", "list", "--json", "--no-lock", *_hint(first))
        self._caller._expect_ok("list the passwords", done)
        try:
            rows = json.loads(done.stdout)
            (own,) = (row["id"] for row in rows if row["current"])
            return own, tuple(row["id"] for row in rows if not row["current"])
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError("list the passwords: restic's answer cannot be read") from error

    def remove(self, password: Secret, key: str, *, first: str = "") -> None:
        """As the interface says; the key ``first`` is tried before the others."""
        done = self._with(password)._run("key", "remove", key, *_hint(first))
        self._caller._expect_ok("remove a password", done)

    def lighten(self, password: Secret) -> None:
        """Puts a light key file in the place of a dear one that the password opens. Raises RepositoryError.

        The dear one is taken away only after restic itself has opened the repository by the light one.
        """
        dear, _ = self.ids(password)
        if self._cost(password, dear) == COST:
            return
        light = self.add(password, password)
        self.remove(password, dear, first=light)

    def lighten_new(self, password: Secret) -> None:
        """The same for a repository that restic has just made: its one key is dear, and to look at it is so too."""
        light = self.add(password, password)
        _, others = self.ids(password, first=light)
        for dear in others:
            self.remove(password, dear, first=light)

    def _cost(self, password: Secret, key: str) -> dict[str, Json]:
        done = self._with(password)._run("cat", "key", key, "--no-lock")
        self._caller._expect_ok("look at the password's key", done)
        try:
            found = json.loads(done.stdout)
            return {name: found[name] for name in COST}
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError("look at the password's key: restic's answer cannot be read") from error

    def _with(self, password: Secret) -> ResticCaller:
        caller = self._caller
        return ResticCaller(caller._settings, lambda: password, caller._runner, caller._ask_store)


def _hint(first: str) -> tuple[str, ...]:
    return ("--key-hint", first) if first else ()
