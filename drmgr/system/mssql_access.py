"""What a program needs to reach a SQL Server and to hand files over to it: a place that both see, an access file."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from drmgr.system.mssql import Server
from drmgr.system.mssql_bucket import BucketShare
from drmgr.system.mssql_names import Device, join, literal
from drmgr.system.secret import Secret

FILE_MODE = 0o640


class Handover(Protocol):
    """A place that a server and this host both see. Every method that touches it raises OSError, with words for people.

    ``where`` names it for messages; ``hint`` says what to look at when the two do not seem to see the same place.
    """

    @property
    def where(self) -> str: ...

    @property
    def hint(self) -> str: ...

    def device(self, name: str) -> Device:
        """The file as BACKUP and RESTORE name it."""

    def size(self, name: str) -> int:
        """Its size in bytes. Raises FileNotFoundError."""

    def names(self, prefix: str) -> list[str]:
        """The files whose names begin so, sorted."""

    def halves(self, prefix: str) -> list[str]:
        """Names of files that were begun and are not there yet, where such take up room unseen."""

    def put(self, source: Path, name: str) -> None:
        """Copies a file there so that the server's account may read it."""

    def read(self, name: str, into: IO[bytes]) -> None:
        """Copies all of a file out of it."""

    def remove(self, name: str) -> None:
        """Removes one of our files, whole or half, for good; it may be gone already."""

    def described(self) -> Mapping[str, object]:
        """What ``read_access`` makes it from again; holds secrets."""


@dataclass(frozen=True)
class Share:
    """One folder by two names: as the server sees it (a drive, a UNC path, a POSIX path) and as this host does."""

    server: str
    local: Path

    @property
    def where(self) -> str:
        return f"the folder {self.local}"

    @property
    def hint(self) -> str:
        return "do backups.server and backups.local in the site file name the same folder?"

    def device(self, name: str) -> Device:
        return Device(f"DISK = {literal(self.seen(name))}", ("FORMAT", "INIT", "CHECKSUM", "STOP_ON_ERROR"))

    def seen(self, name: str) -> str:
        """The file's path as the server sees it."""
        return join(self.server, name)

    def path(self, name: str) -> Path:
        """The file's path as this host sees it."""
        return self.local / name

    def size(self, name: str) -> int:
        return self.path(name).stat().st_size

    def names(self, prefix: str) -> list[str]:
        return sorted(path.name for path in self.local.iterdir() if path.name.startswith(prefix))

    def halves(self, prefix: str) -> list[str]:
        return []

    def put(self, source: Path, name: str) -> None:
        handle, fresh = tempfile.mkstemp(prefix=".drmgr-", dir=self.local)
        try:
            with os.fdopen(handle, "wb") as target, source.open("rb") as content:
                shutil.copyfileobj(content, target)
                os.fchmod(target.fileno(), FILE_MODE)
                # the folder's group is how the server's account and ours meet
                os.fchown(target.fileno(), -1, self.local.stat().st_gid)
            Path(fresh).replace(self.path(name))
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise

    def read(self, name: str, into: IO[bytes]) -> None:
        with self.path(name).open("rb") as content:
            shutil.copyfileobj(content, into)

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def described(self) -> Mapping[str, object]:
        return {"server_folder": self.server, "local_folder": str(self.local)}


@dataclass(frozen=True)
class Access:
    """A server, and the place that it shares with this host."""

    server: Server
    share: Handover

    def write(self, path: Path) -> None:
        """Writes all of it into a new private file (0600). Raises OSError."""
        server = self.server
        content = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": None if server.password is None else server.password.reveal(),
            "tls": server.tls,
            "ca": None if server.ca is None else str(server.ca),
            "silence": server.silence,
            "share": self.share.described(),
        }
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)


def read_access(path: Path) -> Access:
    """What ``Access.write`` wrote. Raises OSError, ValueError, KeyError."""
    found = json.loads(path.read_text(encoding="utf-8"))
    password, ca = found["password"], found["ca"]
    server = Server(
        host=found["host"],
        port=found["port"],
        user=found["user"],
        password=None if password is None else Secret(password),
        tls=found["tls"],
        ca=None if ca is None else Path(ca),
        silence=found["silence"],
    )
    return Access(server, _share(found["share"]))


def _share(found: Mapping[str, str]) -> Handover:
    if "url" in found:
        return BucketShare.of(found)
    return Share(found["server_folder"], Path(found["local_folder"]))
