"""From nothing but the store and the master key: the site's files, its evidence and its audit log, in a new folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drmgr.errors import KeystoreError, PreflightError, UsageError
from drmgr.flows.kit import Kit, kit_from_bytes
from drmgr.flows.safekeeping import AUDIT, EVIDENCE, KITS, span
from drmgr.interfaces import Sealer, Shelf
from drmgr.system.files import private_directory, sync_directory, write_atomically

WHOLE: Final = "whole"


@dataclass(frozen=True)
class Opened:
    """The newest kit that opens. ``problems`` name newer ones that do not: somebody may have put them there."""

    name: str
    kit: Kit
    problems: tuple[str, ...]


def newest_kit(shelf: Shelf, sealer: Sealer) -> Opened:
    """Raises KeystoreError when no kit opens, RepositoryError when the store does not answer."""
    problems: list[str] = []
    for name, sealed in shelf.newest_first(KITS):
        try:
            return Opened(name, kit_from_bytes(sealer.open(name, sealed)), tuple(problems))
        except KeystoreError as error:
            problems.append(error.message)
    if problems:
        raise KeystoreError(
            f"none of the {len(problems)} recovery kits in the {shelf.where} opens with this master key",
            hint="were the shares made by this site, and after its master key was last changed?",
        )
    raise PreflightError(
        f"the {shelf.where} holds no recovery kit",
        hint="is this the place that the site's store names, with its prefix? drmgr backup renews the kit there",
    )


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A private folder that takes the name ``target`` when the block ends well, and is gone otherwise.

    Under its name everybody may pass through it, as through that of ``drmgr init``: scratch servers of other accounts do.

    Raises UsageError when something is there already: nothing is ever overwritten.
    """
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} is there already", hint="name a new folder with --into")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UsageError(f"{target} cannot be made: {(error.strerror or '').lower()}") from error
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(target)
        sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_files(kit: Kit, folder: Path) -> None:
    """Writes the kit's files: those of the site file's folder below ``folder``, others where they were.

    Raises UsageError when one of the latter is there already with another content: nothing is ever overwritten.
    """
    places = [(place(folder, file.path), file) for file in kit.files]
    for path, file in places:
        if path.exists() and path.read_bytes() != file.content:
            raise UsageError(f"{path} is there already", hint="recover on a host that is not another site's drmgr")
    for path, file in places:
        if not path.exists():
            # the folder around them will be open, and its keys are nobody else's
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, file.content, mode=file.mode & 0o700)


def place(folder: Path, path: str) -> Path:
    """Where a file of the lost host goes. Raises KeystoreError for a path that leads out of its folder."""
    if ".." in Path(path).parts:
        raise KeystoreError(f"the recovery kit holds a path that leads out of its folder: {path}")
    return folder / path


def refuse_taken(folder: Path) -> None:
    """Raises UsageError when the folder holds anything already."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="recover on a host that is not another site's drmgr")


@dataclass(frozen=True)
class WrittenRecords:
    """``evidence`` documents and ``audit_bytes`` of the log; ``problems`` name what is kept and does not open."""

    evidence: int
    audit_bytes: int
    problems: tuple[str, ...]


def write_records(shelf: Shelf, sealer: Sealer, evidence: Path, audit_log: Path) -> WrittenRecords:
    """Evidence and audit log of the installation that sealed most, and of two of these the one with the longer log.

    Others are rehearsals of a recovery, or ended when a break in the audit log was accepted. Raises RepositoryError.
    """
    problems: list[str] = []
    audit_log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with private_directory(audit_log.parent, prefix=".pieces-") as folder:
        _fetch_pieces(shelf, sealer, folder)
        sizes = {each.name: _joined(each, problems) for each in sorted(folder.iterdir())}
        sealed = {name: len(set(shelf.names(f"{EVIDENCE}/{name}"))) for name in sizes}
        chosen = max(sizes, key=lambda name: (sealed[name], sizes[name], name), default="")
        if sizes.get(chosen):
            (folder / chosen / WHOLE).rename(audit_log)
    count = _write_evidence(shelf, sealer, chosen, evidence, problems)
    return WrittenRecords(count, sizes.get(chosen, 0), tuple(problems))


def _fetch_pieces(shelf: Shelf, sealer: Sealer, folder: Path) -> None:
    """Every piece of every installation's log that opens, as a file of its own."""
    for name, sealed in shelf.newest_first(AUDIT):
        _, installation, piece = name.split("/", 2)
        start, end = span(name)
        try:
            content = sealer.open(name, sealed)
        except KeystoreError:
            # another version of the piece may open; if none does, the gap is told by who joins them
            continue
        if len(content) == end - start:
            (folder / installation).mkdir(exist_ok=True)
            (folder / installation / piece).write_bytes(content)


def _joined(folder: Path, problems: list[str]) -> int:
    """Puts the pieces of one log, which may overlap, one behind the other, as far as there is no gap; its bytes."""
    size = 0
    pieces = sorted(folder.iterdir())
    with (folder / WHOLE).open("xb") as file:
        for piece in pieces:
            start, end = span(piece.name)
            if start > size:
                problems.append(f"bytes {size} to {start} of the audit log of {folder.name} are not kept")
                break
            if end > size:
                file.write(piece.read_bytes()[size - start :])
                size = end
        file.flush()
        os.fsync(file.fileno())
    return size


def _write_evidence(shelf: Shelf, sealer: Sealer, installation: str, folder: Path, problems: list[str]) -> int:
    """Every document whose sealed copy opens, the newest version that does."""
    written: set[str] = set()
    unopened: dict[str, str] = {}
    for name, sealed in shelf.newest_first(f"{EVIDENCE}/{installation}" if installation else EVIDENCE):
        if name in written:
            continue
        try:
            content = sealer.open(name, sealed)
        except KeystoreError as error:
            unopened[name] = error.message
            continue
        write_atomically(folder / name.rpartition("/")[2], content, mode=0o644)
        written.add(name)
    problems += [text for name, text in unopened.items() if name not in written]
    return len(written)
