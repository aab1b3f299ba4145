"""Restore into a folder: under a name of its own until all of it is there; on wish the newest files before the rest.

The rest may come later, by another process; what it needs to know is in interfaces.RestBook.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from drmgr.errors import PreflightError, RepositoryDamagedError, ScratchError, UsageError
from drmgr.flows.bench import Bench, WiredSystem
from drmgr.flows.bringback import Phases, fetch
from drmgr.interfaces import RestBook, TreeEngine
from drmgr.model import Member, Part, Rest
from drmgr.system.beside import told
from drmgr.system.files import count_files, free_bytes

PARTIAL = ".partial"
OLDER = ".older.partial"
HEADROOM_SHARE = 20
"""One part in so many more than what is restored must be free."""


@dataclass(frozen=True)
class NewestFirst:
    """Files written (images: examined) since ``since`` come before all others; ``tell`` hears what can be used by then.

    ``book`` remembers what is still to come. ``background``: leave it at that, for another run to go on. ``left`` is what an
    earlier run left: then the newest files are there.
    """

    since: datetime
    tell: Callable[[str], None]
    book: RestBook
    background: bool = False
    left: Rest | None = None


@dataclass(frozen=True)
class FolderTarget:
    """Where to, and in which order. The folder's name stands only for what has come back whole."""

    path: Path
    newest: NewestFirst | None = None

    @property
    def partial(self) -> Path:
        """A folder beside it; inside it, where a disk is mounted there and no other name can be had."""
        return self.path / PARTIAL if self.path.is_mount() else self.path.with_name(f"{self.path.name}{PARTIAL}")

    @property
    def older(self) -> Path:
        return self.path / OLDER if self.path.is_mount() else self.path.with_name(f"{self.path.name}{OLDER}")


def refuse_folder(target: FolderTarget, chosen: tuple[Member, ...], wired: WiredSystem) -> None:
    """Raises PreflightError for leftovers and for a disk that is too small, UsageError when nothing can come first."""
    if target.newest is not None and target.newest.left is not None:
        # what lies there is ours, and the room was asked for before
        return
    for left in (target.partial, target.older):
        if left.exists() or left.is_symlink():
            raise PreflightError(
                f"{left} is left over from a restore that did not end",
                hint="look what is in it, remove it, and restore again; or restore to another folder",
            )
    size = sum(member.bytes for member in chosen)
    needed, free = size + size // HEADROOM_SHARE, free_bytes(target.path)
    if free < needed:
        raise PreflightError(
            f"the restore needs {needed} bytes, and the disk of {target.path} has {free} bytes free",
            hint="restore to a larger disk, or one source after the other with --source",
        )
    if target.newest is not None and not any(wired.source(member.source).tree for member in chosen):
        raise UsageError("--newer-than orders files, and none are restored", hint="leave it out")


class FolderRestore:
    """One restore into a folder, each member below its source's name. Raises RepositoryError, ScratchError."""

    def __init__(self, bench: Bench, wired: WiredSystem, target: FolderTarget, phases: Phases) -> None:
        self.newest_files = 0
        """How many files came first, of sources whose others are still to come."""
        self._bench = bench
        self._wired = wired
        self._target = target
        self._phases = phases

    def first(self, chosen: tuple[Member, ...]) -> tuple[str, ...]:
        """All of it below another name, or what is to come first; gives the sources whose rest is to follow."""
        later = []
        newest, partial = self._target.newest, self._target.partial
        trees = {member.source: self._wired.source(member.source).tree for member in chosen}
        # an index is of use before its files are; files are of none before their index is there
        for member in sorted(chosen, key=lambda member: newest is not None and trees[member.source] is not None):
            tree = trees[member.source]
            if newest is None or tree is None:
                with self._phases.step("restore", member.source):
                    fetch(self._bench, self._wired, member, partial / member.source)
            else:
                with self._phases.step("restore-newest", member.source):
                    later += [member.source] if self._newest(member, tree, newest) else []
        return tuple(later)

    def take_name(self) -> None:
        """From here on what came can be used. Does nothing when the folder has its name."""
        partial = self._target.partial
        if partial.exists():
            with told(f"{partial} could not get its name {self._target.path}", ScratchError):
                _take_name(partial, self._target.path)

    def rest(self, chosen: tuple[Member, ...], left: Rest, book: RestBook) -> None:
        """What did not come first. Goes on where an earlier one was killed."""
        for member in chosen:
            if member.source in left.later:
                with self._phases.step("restore-older", member.source):
                    left = self._older(member, left, book)
        with told(f"{self._target.older} could not be removed", ScratchError), suppress(FileNotFoundError):
            self._target.older.rmdir()

    def _newest(self, member: Member, tree: TreeEngine, newest: NewestFirst) -> bool:
        """Whether older ones are still to come."""
        into = self._target.partial / member.source
        main, *others = member.parts
        for part in others:
            self._wired.repository.restore(part.snapshot, into / part.name, part.files, part.bytes, self._shown(member))
        patterns = into / PATTERNS
        selected = tree.newer(into, newest.since, patterns)
        where = into / main.name
        if selected.all:
            patterns.unlink()
            self._wired.repository.restore(main.snapshot, where, main.files, main.bytes, self._shown(member))
            return False
        if selected.files:
            self._wired.repository.restore_some(main.snapshot, where, patterns, only=True, progress=self._shown(member))
        else:
            where.mkdir()
        lacking = tree.lacking(into, newest.since)
        if lacking:
            raise RepositoryDamagedError(
                f"{lacking} of the {selected.files} newest files of {member.source} did not come"
            )
        self.newest_files += selected.files
        return True

    def _older(self, member: Member, left: Rest, book: RestBook) -> Rest:
        main, source = member.parts[0], self._target.path / member.source
        where, rest, patterns = source / main.name, self._target.older / member.source, source / PATTERNS
        if member.source not in left.moving:
            with told(f"the folder {rest.parent} cannot be made", ScratchError):
                rest.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._wired.repository.restore_some(main.snapshot, rest, patterns, only=False, progress=self._shown(member))
            # from here on some lie here and some there, and none may be brought once more
            left = replace(left, moving=(*left.moving, member.source))
            book.note(left)
        with told(f"the older files of {member.source} could not be put beside the newest ones", ScratchError):
            if rest.exists():
                merge(rest, where)
            patterns.unlink(missing_ok=True)
        _proven(main, where)
        return left

    def _shown(self, member: Member) -> Callable[[float, str], None]:
        return self._bench.progress(f"{self._wired.system.id}/{member.source}")


def can_be_used(target: Path, since: datetime, chosen: tuple[Member, ...], later: tuple[str, ...]) -> str:
    """What people hear as soon as there is something to work with."""
    ready = [member.source for member in chosen if member.source not in later]
    partly = [f"the files of {source} since {since:%Y-%m-%d}" for source in later]
    rest = "; the rest is on its way" if later else ""
    return f"can be used now, below {target}: {', '.join([*ready, *partly])}{rest}"


PATTERNS = "newest.partial"
"""Lists what came first until the rest is there."""


def merge(source: Path, target: Path) -> None:
    """Moves everything below ``source`` into ``target``; folders that both have get the metadata of ``source``'s.

    Raises OSError, also for a file that both have.
    """
    status = source.stat()
    for item in sorted(os.scandir(source), key=lambda item: item.name):
        there = target / item.name
        if item.is_dir(follow_symlinks=False) and there.is_dir() and not there.is_symlink():
            merge(Path(item.path), there)
        elif there.exists() or there.is_symlink():
            raise FileExistsError(17, "a file came twice", str(there))
        else:
            Path(item.path).rename(there)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)
    # its own time went when its files did
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    source.rmdir()


def _take_name(partial: Path, path: Path) -> None:
    if partial.parent != path:
        partial.rename(path)
        return
    for item in partial.iterdir():
        item.rename(path / item.name)
    partial.rmdir()


def _proven(part: Part, where: Path) -> None:
    found = count_files(where)
    if found != (part.files, part.bytes):
        raise RepositoryDamagedError(
            f"{found[0]} files with {found[1]} bytes came back, {part.files} with {part.bytes} were stored"
        )
