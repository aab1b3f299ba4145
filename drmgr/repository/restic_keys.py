"""The passwords of a restic repository: each opens it by a key file of its own."""

import json

from drmgr.errors import RepositoryError
from drmgr.repository import restic_errors
from drmgr.repository.restic_call import ResticCaller
from drmgr.system.command import SECOND_SECRET_FD
from drmgr.system.secret import Secret


class RepositoryPasswords:
    """Implements interfaces.RepositoryPasswords for the repository that ``caller`` calls restic for."""

    def __init__(self, caller: ResticCaller) -> None:
        self._caller = caller

    def opens(self, password: Secret) -> bool:
        done = self._with(password)._run("cat", "config", "--no-lock")
        if done.code == restic_errors.WRONG_PASSWORD:
            return False
        self._caller._expect_ok("open the repository", done)
        return bool(done.stdout.strip())

    def add(self, password: Secret, new: Secret) -> None:
        name = ("--user", "drmgr", "--host", self._caller._settings.host)
        done = self._with(password)._run(
            "key", "add", "--new-password-file", f"/dev/fd/{SECOND_SECRET_FD}", *name, new=new
        )
        self._caller._expect_ok("add a password", done)

    def ids(self, password: Secret) -> tuple[str, tuple[str, ...]]:
        done = self._with(password)._run("key", "list", "--json", "--no-lock")
        self._caller._expect_ok("list the passwords", done)
        try:
            rows = json.loads(done.stdout)
            (own,) = (row["id"] for row in rows if row["current"])
            return own, tuple(row["id"] for row in rows if not row["current"])
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError("list the passwords: restic's answer cannot be read") from error

    def remove(self, password: Secret, key: str) -> None:
        done = self._with(password)._run("key", "remove", key)
        self._caller._expect_ok("remove a password", done)

    def _with(self, password: Secret) -> ResticCaller:
        caller = self._caller
        return ResticCaller(caller._settings, lambda: password, caller._runner, caller._ask_store)
