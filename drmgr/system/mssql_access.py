"""What a program needs to reach a SQL Server and to hand files over to it: names in quotes, a shared folder, an access file."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drmgr.system.mssql import Server
from drmgr.system.secret import Secret

FILE_MODE = 0o640


def bracketed(*names: str) -> str:
    """An identifier in the server's own quotes; several are joined by dots."""
    return ".".join("[" + name.replace("]", "]]") + "]" for name in names)


def literal(text: str) -> str:
    """A text as a Unicode literal."""
    return "N'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Share:
    """One folder by two names: as the server sees it (a drive, a UNC path, a POSIX path) and as this host does."""

    server: str
    local: Path

    def device(self, name: str) -> str:
        """The file as BACKUP and RESTORE name it."""
        return f"DISK = {literal(self.seen(name))}"

    def seen(self, name: str) -> str:
        """The file's path as the server sees it."""
        return join(self.server, name)

    def path(self, name: str) -> Path:
        """The file's path as this host sees it."""
        return self.local / name

    def put(self, source: Path, name: str) -> None:
        """Copies a file into the folder so that the server's account may read it. Raises OSError."""
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


def join(folder: str, name: str) -> str:
    """A file in a folder of the server's own kind of paths."""
    windows = "\\" in folder or folder[1:2] == ":"
    separator = "\\" if windows else "/"
    return folder.rstrip("\\/") + separator + name


@dataclass(frozen=True)
class Access:
    """A server, and the folder that it shares with this host."""

    server: Server
    share: Share

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
            "server_folder": self.share.server,
            "local_folder": str(self.share.local),
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
    return Access(server, Share(found["server_folder"], Path(found["local_folder"])))
