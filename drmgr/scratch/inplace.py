"""A server's own files in their own place: what was proven on scratch is stopped, laid beside, and swapped by renames.

drmgr starts and stops no service of the hospital: the server is down before, and a person starts it after.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drmgr.errors import InUseError, LoadError, PreflightError
from drmgr.interfaces import Clock, Engine
from drmgr.model import Facts, Instance, Member, Move
from drmgr.scratch.processes import processes_in, wait_until
from drmgr.system.beside import before_name, is_renamed, remove_folder, rename_folder, restored_name, told

STOP_SECONDS = 600.0


class Closing(Protocol):
    """What one maker's server needs so that its files can be another one's."""

    def refuse(self, member: Member, data: Path) -> None:
        """Raises PreflightError for files that do not all lie in the data directory."""

    def close(self, instance: Instance) -> Path:
        """Asks the scratch server to end in order, and gives its data directory. Raises LoadError."""

    def furnish(self, data: Path) -> None:
        """Once it has ended: puts production's settings back, and takes away what was scratch's. Raises LoadError."""

    def by_hand(self, data: Path, owner: str) -> str:
        """What a person types to start the server there."""


@dataclass(frozen=True)
class ServerHome:
    """The data directory, and whether the server that the connection names answers."""

    data: Path
    answers: Callable[[], bool]


class ServerFilesPlace:
    """See interfaces.Place. The files are those of the server that was proven on scratch."""

    by_scratch = True
    replays = False

    def __init__(self, engine: Engine, home: ServerHome, closing: Closing, clock: Clock) -> None:
        self.engine = engine
        self._home = home
        self._data = home.data.resolve()
        self._closing = closing
        self._clock = clock

    @property
    def by_hand(self) -> str:
        like = self._data if self._data.exists() else self._data.parent
        return self._closing.by_hand(self._data, like.owner())

    def survey(self, member: Member) -> None:
        if self._at_work():
            raise PreflightError(
                f"the server of {member.source} is up, and its files are only replaced while it is down",
                hint="stop it, and keep it from being started, then call this again; drmgr starts it not: you do",
            )
        if self._data.is_mount():
            raise PreflightError(
                f"{self._data} is a disk of its own, which has no other name it could be set aside under",
                hint="let the data directory be a folder on that disk; or restore with --to scratch and move by hand",
            )
        if not os.access(self._data.parent, os.W_OK | os.X_OK):
            raise PreflightError(
                f"nothing can be renamed in {self._data.parent}",
                hint="run drmgr as root, or as the server's own account",
            )
        self._closing.refuse(member, self._data)

    def _at_work(self) -> bool:
        return self._home.answers() or (self._data.exists() and bool(processes_in(self._data)))

    def users(self) -> int:
        """None: a server that is up is refused, whoever works in it."""
        return 0

    def programs(self) -> tuple[str, ...]:
        return ("its server, which is up",) if self._at_work() else ()

    def disk(self) -> Path | None:
        return self._data.parent

    def staging(self, run: str) -> Path | None:
        del run
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        raise PreflightError("the files of a server are not loaded into one")

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        del staged
        data = self._closing.close(loaded)
        if not wait_until(lambda: not processes_in(data), self._clock, STOP_SECONDS):
            raise LoadError("the server that was proven on scratch does not end in order")
        self._closing.furnish(data)
        beside = self._data.with_name(restored_name(self._data.name, run))
        with told(f"the proven files could not be laid at {beside}"):
            _bring(data, beside)
            self._own(beside)
            # scratch writes without care for a power cut: here all of it gets to the disk
            os.sync()

    def _own(self, beside: Path) -> None:
        like = self._data if self._data.exists() else self._data.parent
        status = like.stat()
        if os.geteuid() == 0:
            for folder, folders, names in os.walk(beside):
                for name in (".", *folders, *names):
                    os.chown(Path(folder) / name, status.st_uid, status.st_gid, follow_symlinks=False)
        beside.chmod(status.st_mode & 0o750 if self._data.exists() else 0o700)

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._data.name
        aside = Move(source, name, before_name(name, run), kept=True)
        into = Move(source, restored_name(name, run), name)
        return (aside, into) if self._data.exists() else (into,)

    def begun(self, move: Move) -> bool:
        """A rename of a folder is whole or not at all."""
        del move
        return False

    def done(self, move: Move) -> bool:
        return is_renamed(self._data.with_name(move.old), self._data.with_name(move.new), kept=move.kept)

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        del end_sessions
        old = self._data.with_name(move.old)
        if self._home.answers() or processes_in(old):
            raise InUseError("the server is up", hint="stop it first; drmgr ends no server of the hospital")
        rename_folder(old, self._data.with_name(move.new))

    def live(self, run: str) -> Instance | None:
        del run
        return self.engine.target() if self._home.answers() else None

    def lacking(self, run: str) -> tuple[str, ...]:
        del run
        return ()

    def tidy(self, run: str) -> None:
        """Nothing lies on the way."""

    def discard(self, run: str) -> None:
        remove_folder(self._data.with_name(restored_name(self._data.name, run)))


def _bring(data: Path, beside: Path) -> None:
    """Renamed where scratch is on the same disk, copied where it is not."""
    if data.stat().st_dev == beside.parent.stat().st_dev:
        data.rename(beside)
    else:
        shutil.copytree(data, beside, symlinks=True)
