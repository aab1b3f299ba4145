"""The names under which a restore in place keeps things: always beside the name that they belong to."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drmgr.errors import DrmgrError, SourceError
from drmgr.system.files import sync_directory

PROC = Path("/proc")
RUN_CHARACTERS = 26
"""Of a run's id, which ends each of these names."""

STOP_PROGRAMS = "end them first: drmgr ends sessions of databases, but no programs, and they would go on writing"
"""The hint where programs have files open."""


def beside(name: str, word: str, run: str, longest: int = 255) -> str:
    """``name_WORD_run`` in at most so many bytes; the name is cut, never the run."""
    ending = f"_{word}_{run.lower()}"
    kept = name.encode()[: longest - len(ending)].decode(errors="ignore")
    return f"{kept}{ending}"


def restored_name(name: str, run: str, longest: int = 255) -> str:
    """What was brought back lies here until it is in place, and again when that was undone."""
    return beside(name, "restored", run, longest)


def before_name(name: str, run: str, longest: int = 255) -> str:
    """What was in place before lies here."""
    return beside(name, "before", run, longest)


def run_of(name: str) -> str:
    """The run whose id ends that name, in lower case."""
    return name[-RUN_CHARACTERS:]


@contextmanager
def told(what: str, error: type[DrmgrError] = SourceError) -> Iterator[None]:
    """Turns the file system's errors into ``error`` with the message ``what: why``."""
    try:
        yield
    except OSError as failure:
        raise error(f"{what}: {failure.strerror}") from failure


def rename_folder(old: Path, new: Path) -> None:
    """On the same file system, durably, and over nothing. Raises SourceError."""
    if new.exists():
        raise SourceError(f"{new} is there already, and nothing is written over")
    with told(f"{old} could not be renamed"):
        old.rename(new)
        sync_directory(old.parent)


def is_renamed(old: Path, new: Path, *, kept: bool) -> bool:
    """Whether that was done. What is set aside (``kept``) has its new name, whoever has the old one by now."""
    return new.exists() and (kept or not old.exists())


def remove_folder(path: Path) -> None:
    """It may be gone already. Raises SourceError."""
    if path.exists():
        with told(f"{path} could not be removed"):
            shutil.rmtree(path)


def holders(path: Path) -> set[int]:
    """The processes, other than this one, that have a file at or below ``path`` open, or work in it.

    Of other accounts' processes only root sees all.
    """
    top, found = str(path.resolve()), set()
    for process in PROC.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            links = [process / "cwd", *(process / "fd").iterdir()]
        except OSError:
            continue
        if any(_leads_to(link, top) for link in links):
            found.add(int(process.name))
    return found


def program_names(pids: Iterable[int]) -> tuple[str, ...]:
    """``NAME (pid N)`` of each that still runs, by pid."""
    named = []
    for pid in sorted(pids):
        # it may have ended meanwhile
        with suppress(OSError):
            name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
            named.append(f"{name} (pid {pid})")
    return tuple(named)


def _leads_to(link: Path, top: str) -> bool:
    try:
        place = os.readlink(link)  # noqa: PTH115 - the text itself: what was deleted has no path any more
    except OSError:
        return False
    return place == top or place.startswith(f"{top}/")
