"""A file tree in its own place: the folder is renamed, on its own file system, and nothing is copied."""

import os
import re
import shutil
from pathlib import Path

from drmgr.engines.files.engine import FilesEngine
from drmgr.engines.files.settings import FILES_PART, MANIFEST_NAME, MANIFEST_PART
from drmgr.errors import InUseError, PreflightError
from drmgr.model import Facts, Instance, Member, Move
from drmgr.system.beside import (
    STOP_PROGRAMS,
    before_name,
    holders,
    is_renamed,
    program_names,
    remove_folder,
    rename_folder,
    restored_name,
    told,
)

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


class FilesPlace:
    """See interfaces.Place. ``root`` is the folder that is backed up."""

    by_scratch = False
    replays = False
    by_hand = ""

    def __init__(self, engine: FilesEngine, root: Path) -> None:
        self.engine = engine
        # a link would be renamed instead of what it leads to
        self._root = root.resolve()

    def survey(self, member: Member) -> None:
        del member
        parent = self._root.parent
        if not parent.is_dir():
            raise PreflightError(f"the folder {parent} is not there", hint="is its disk mounted?")
        if self._root.is_mount():
            raise PreflightError(
                f"{self._root} is a disk of its own, which has no other name it could be set aside under",
                hint="back up and restore a folder below it; or restore with --to folder:PATH on that disk and move by hand",
            )
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PreflightError(
                f"nothing can be renamed in {parent}", hint="give drmgr's account rights on the folder"
            )
        inside = [mount for mount in mounts_in(MOUNTS.read_bytes()) if self._root in mount.parents]
        if inside:
            raise PreflightError(
                f"{inside[0]} is mounted below {self._root} and cannot go along", hint="unmount it for the restore"
            )

    def users(self) -> int:
        return len(holders(self._root))

    def programs(self) -> tuple[str, ...]:
        return program_names(holders(self._root))

    def disk(self) -> Path | None:
        return self._root.parent

    def staging(self, run: str) -> Path | None:
        """On the same file system: hundreds of gigabytes are renamed, not copied."""
        return self._root.with_name(f".{restored_name(self._root.name, run)}")

    def make(self, run: str, facts: Facts) -> Instance:
        del facts
        restored = self._restored(run)
        with told(f"{restored} could not be made"):
            restored.mkdir(mode=0o700)
        return Instance(engine=self.engine.name, path=restored)

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        del loaded
        restored, stored = self._restored(run), staged / FILES_PART
        with told("the restored folder could not get its owner"):
            like = self._root if self._root.is_dir() else stored if stored.is_dir() else self._root.parent
            status = like.stat()
            if os.geteuid() == 0:
                os.chown(restored, status.st_uid, status.st_gid)
            shutil.copystat(like, restored)
            # thousands of new files: one call for all of the disk
            os.sync()

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        name = self._root.name
        aside = Move(source, name, before_name(name, run), kept=True)
        into = Move(source, restored_name(name, run), name)
        return (aside, into) if self._root.exists() else (into,)

    def begun(self, move: Move) -> bool:
        """A rename of a folder is whole or not at all."""
        del move
        return False

    def done(self, move: Move) -> bool:
        return is_renamed(self._root.with_name(move.old), self._root.with_name(move.new), kept=move.kept)

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        del end_sessions
        old = self._root.with_name(move.old)
        if programs := program_names(holders(old)):
            raise InUseError(f"programs have files in {old} open: {', '.join(programs)}", hint=STOP_PROGRAMS)
        rename_folder(old, self._root.with_name(move.new))

    def live(self, run: str) -> Instance | None:
        staged = self.staging(run)
        assert staged is not None
        manifest = staged / MANIFEST_PART / MANIFEST_NAME
        if not self._root.is_dir():
            return None
        # once it was proven in place the manifest is tidied away: people have worked in the folder since
        return Instance(engine=self.engine.name, path=self._root, manifest=manifest if manifest.is_file() else None)

    def lacking(self, run: str) -> tuple[str, ...]:
        del run
        return ()

    def tidy(self, run: str) -> None:
        staged = self.staging(run)
        assert staged is not None
        remove_folder(staged)

    def discard(self, run: str) -> None:
        self.tidy(run)
        remove_folder(self._restored(run))

    def _restored(self, run: str) -> Path:
        return self._root.with_name(restored_name(self._root.name, run))


def mounts_in(table: bytes) -> list[Path]:
    """Where file systems are mounted, of the kernel's table: blanks stand there as octal numbers, all else as it is."""
    places = (line.split()[4] for line in table.splitlines())
    return [Path(os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), place))) for place in places]
