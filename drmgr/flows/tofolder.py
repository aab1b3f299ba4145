"""Restore into a folder: under a name of its own until all of it is there; on wish the newest files before the rest."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drmgr.errors import PreflightError, RepositoryDamagedError, ScratchError, UsageError
from drmgr.flows.bench import Bench, WiredSystem
from drmgr.flows.bringback import Phases, fetch
from drmgr.interfaces import TreeEngine
from drmgr.model import Member, Part
from drmgr.system.files import count_files, free_bytes

PARTIAL = ".partial"
OLDER = ".older.partial"
HEADROOM_SHARE = 20
"""One part in so many more than what is restored must be free."""


@dataclass(frozen=True)
class NewestFirst:
    """Files written (images: examined) since ``since`` come before all others; ``tell`` hears what can be used by then."""

    since: datetime
    tell: Callable[[str], None]


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
    """One restore into a folder. ``usable`` is called as soon as there is something to work with."""

    def __init__(
        self, bench: Bench, wired: WiredSystem, target: FolderTarget, phases: Phases, usable: Callable[[], None]
    ) -> None:
        self._bench = bench
        self._wired = wired
        self._target = target
        self._phases = phases
        self._usable = usable
        self._later: list[tuple[Member, TreeEngine, Path]] = []

    def perform(self, chosen: tuple[Member, ...]) -> None:
        """Writes the members below the folder, each below its source's name. Raises RepositoryError, ScratchError."""
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
                    self._newest(member, tree, newest)
        with _told(f"{partial} could not get its name {self._target.path}"):
            _take_name(partial, self._target.path)
        self._usable()
        if newest is not None:
            newest.tell(self._can_be_used(newest, chosen))
        for member, tree, patterns in self._later:
            with self._phases.step("restore-older", member.source):
                self._older(member, tree, self._target.path / patterns)
        if self._later:
            self._remove_rest()

    def _newest(self, member: Member, tree: TreeEngine, newest: NewestFirst) -> None:
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
            return
        if selected.files:
            self._wired.repository.restore_some(main.snapshot, where, patterns, only=True, progress=self._shown(member))
        else:
            where.mkdir()
        lacking = tree.lacking(into, newest.since)
        if lacking:
            raise RepositoryDamagedError(
                f"{lacking} of the {selected.files} newest files of {member.source} did not come"
            )
        self._later.append((member, tree, patterns.relative_to(self._target.partial)))

    def _older(self, member: Member, tree: TreeEngine, patterns: Path) -> None:
        main = member.parts[0]
        where, rest = self._target.path / member.source / main.name, self._target.older / member.source
        with _told(f"the folder {rest.parent} cannot be made"):
            rest.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._wired.repository.restore_some(main.snapshot, rest, patterns, only=False, progress=self._shown(member))
        with _told(f"the older files of {member.source} could not be put beside the newest ones"):
            merge(rest, where)
            patterns.unlink()
        _proven(main, where)

    def _can_be_used(self, newest: NewestFirst, chosen: tuple[Member, ...]) -> str:
        ready = [member.source for member in chosen if member not in [later for later, _, _ in self._later]]
        partly = [f"the files of {member.source} since {newest.since:%Y-%m-%d}" for member, _, _ in self._later]
        return f"can be used now, below {self._target.path}: {', '.join([*ready, *partly])}; the rest is on its way"

    def _remove_rest(self) -> None:
        with _told(f"{self._target.older} could not be removed"):
            self._target.older.rmdir()

    def _shown(self, member: Member) -> Callable[[float, str], None]:
        return self._bench.progress(f"{self._wired.system.id}/{member.source}")


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


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScratchError(f"{what}: {error.strerror}") from error
