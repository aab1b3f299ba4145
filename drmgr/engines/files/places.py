"""What a tree must not hold: drmgr's own store, scratch, state and keys."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from drmgr.engines.files.settings import TreeSettings
from drmgr.errors import PreflightError

_PATTERN = re.compile(r"[*?\[\]\\]")


def refuse_own_folders(settings: TreeSettings) -> None:
    """Raises PreflightError when the tree holds one of drmgr's own folders, or lies in one, by whatever name or mount.

    A folder that the job excludes by its very path from the root is not part of the tree.
    """
    root = settings.root
    for what, folder in settings.own.items():
        if _holds(folder, root):
            raise PreflightError(
                f"the folder {root} lies in drmgr's own {what} {folder}", hint="name the folder of the system's data"
            )
        if _holds(root, folder) and not _left_out(settings, folder):
            raise PreflightError(
                f"the folder {root} holds drmgr's own {what} {folder}",
                hint="move one of them, or leave it out in the job: "
                f"exclude: [{_excluding(root.resolve(), folder.resolve())}]",
            )


def _holds(outer: Path, inner: Path) -> bool:
    try:
        wanted = outer.stat()
    except OSError:
        # what is not there holds nothing
        return False
    for place in _upwards(inner.resolve()):
        try:
            # by identity: a bind mount is the same folder under another name
            if os.path.samestat(place.stat(), wanted):
                return True
        except OSError:
            continue
    return False


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def _left_out(settings: TreeSettings, folder: Path) -> bool:
    root, real = settings.root.resolve(), folder.resolve()
    if settings.one_file_system and real.exists() and real.stat().st_dev != root.stat().st_dev:
        return True
    if not real.is_relative_to(root) or real == root:
        return False
    inside = f"/{real.relative_to(root)}/"
    plain = [pattern for pattern in settings.excludes if pattern.startswith("/") and not _PATTERN.search(pattern)]
    return any(inside.startswith(f"{pattern.rstrip('/')}/") for pattern in plain)


def _excluding(root: Path, folder: Path) -> str:
    return f"/{folder.relative_to(root)}" if folder.is_relative_to(root) else "…"
