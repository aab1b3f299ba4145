"""SQLite in its own place: the file is renamed, and what belongs to it goes along."""

import os
import shutil
from pathlib import Path

from drmgr.engines.sqlite import SqliteEngine
from drmgr.errors import InUseError, PreflightError, SourceError
from drmgr.model import Facts, Instance, Member, Move
from drmgr.system.beside import (
    STOP_PROGRAMS,
    before_name,
    holders,
    is_renamed,
    program_names,
    restored_name,
    told,
)
from drmgr.system.files import sync_directory

COMPANIONS = ("-wal", "-shm", "-journal")
"""What a program that was killed leaves beside its database; it is part of its content."""


class SqlitePlace:
    """See interfaces.Place."""

    by_scratch = False
    replays = False
    by_hand = ""

    def __init__(self, engine: SqliteEngine) -> None:
        self.engine = engine
        instance = engine.target()
        assert instance.path is not None
        # a link would be renamed instead of what it leads to
        self._path = (instance.path / instance.database).resolve()

    def survey(self, member: Member) -> None:
        del member
        folder = self._path.parent
        if not folder.is_dir():
            raise PreflightError(f"the folder {folder} is not there", hint="is its disk mounted?")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PreflightError(
                f"nothing can be renamed in {folder}", hint="give drmgr's account rights on the folder"
            )
        if self._path.is_mount():
            raise PreflightError(f"{self._path} is mounted there by itself and cannot be renamed")

    def users(self) -> int:
        return len(self._holders(self._path))

    def programs(self) -> tuple[str, ...]:
        return program_names(self._holders(self._path))

    def disk(self) -> Path | None:
        return self._path.parent

    def staging(self, run: str) -> Path | None:
        del run
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        del facts
        return Instance(engine=self.engine.name, path=self._path.parent, database=restored_name(self._path.name, run))

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        """The owner and the mode of what is there; those of the folder's owner when nothing is."""
        del staged, loaded
        restored = self._path.with_name(restored_name(self._path.name, run))
        with told("the restored database could not get its owner"):
            like = self._path.stat() if self._path.exists() else self._path.parent.stat()
            if os.geteuid() == 0:
                os.chown(restored, like.st_uid, like.st_gid)
            if self._path.exists():
                shutil.copymode(self._path, restored)
            with restored.open("rb") as file:
                os.fsync(file.fileno())

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._path.name
        aside = Move(source, name, before_name(name, run), kept=True)
        into = Move(source, restored_name(name, run), name)
        return (aside, into) if self._path.exists() else (into,)

    def begun(self, move: Move) -> bool:
        old, new = self._path.with_name(move.old), self._path.with_name(move.new)
        return self._same_companions(old, new) != []

    def done(self, move: Move) -> bool:
        old, new = self._path.with_name(move.old), self._path.with_name(move.new)
        return is_renamed(old, new, kept=move.kept) and not self.begun(move)

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        del end_sessions
        old, new = self._path.with_name(move.old), self._path.with_name(move.new)
        with told(f"{old} could not be renamed"):
            if old.exists() and not self.begun(move):
                self._refuse(old, new)
            # a second name first: whatever a program that comes in between does, the content is kept
            for companion in self._companions(old) if old.exists() else ():
                twin = self._twin(companion, old, new)
                if not twin.exists():
                    os.link(companion, twin)
            if old.exists():
                old.rename(new)
            for companion in self._same_companions(old, new):
                companion.unlink()
            sync_directory(self._path.parent)

    def _refuse(self, old: Path, new: Path) -> None:
        if programs := program_names(self._holders(old)):
            raise InUseError(f"programs have {old} open: {', '.join(programs)}", hint=STOP_PROGRAMS)
        taken = [path for path in self._with_companions(new) if path.exists()]
        if taken:
            raise SourceError(f"{taken[0]} is there already, and nothing is written over")

    def _holders(self, path: Path) -> set[int]:
        return set().union(*(holders(each) for each in self._with_companions(path)))

    def _same_companions(self, old: Path, new: Path) -> list[Path]:
        """Those of ``old`` that have their second name beside ``new`` already."""
        found = []
        for companion in self._companions(old):
            twin = self._twin(companion, old, new)
            if twin.exists() and twin.samefile(companion):
                found.append(companion)
        return found

    def _companions(self, path: Path) -> list[Path]:
        return [each for each in self._with_companions(path)[1:] if each.exists()]

    @staticmethod
    def _with_companions(path: Path) -> list[Path]:
        return [path, *(path.with_name(f"{path.name}{ending}") for ending in COMPANIONS)]

    @staticmethod
    def _twin(companion: Path, old: Path, new: Path) -> Path:
        return new.with_name(f"{new.name}{companion.name.removeprefix(old.name)}")

    def live(self, run: str) -> Instance | None:
        del run
        return Instance(engine=self.engine.name, path=self._path.parent, database=self._path.name)

    def lacking(self, run: str) -> tuple[str, ...]:
        del run
        return ()

    def tidy(self, run: str) -> None:
        """Nothing lies on the way."""

    def discard(self, run: str) -> None:
        restored = self._path.with_name(restored_name(self._path.name, run))
        with told(f"{restored} could not be removed"):
            for path in self._with_companions(restored):
                path.unlink(missing_ok=True)
