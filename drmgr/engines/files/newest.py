"""Which paths to restore first, said in few patterns: whole folders where that costs little, single files elsewhere."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from drmgr.engines.files.look import Line

MOST_SINGLE_FILES = 2000
"""restic compares every name with every pattern: of a folder with more new files than this all files come first."""

PLAIN = "-_./"
ROOT = ""


@dataclass
class _Folder:
    """What lies directly in a folder: how many old files, which new ones, which folders."""

    old: int = 0
    new: list[str] = field(default_factory=list)
    many: bool = False
    below: list[str] = field(default_factory=list)


def is_newer(line: Line, since: datetime) -> bool:
    """Whether that file counts as new: by the day of its study, where it is an image that tells one, else by its time."""
    dicom = line.get("dicom")
    if isinstance(dicom, list) and dicom[3]:
        return bool(dicom[3] >= f"{since:%Y%m%d}")
    return bool(line["mtime"] >= since.timestamp() * 1e9)


def newer_paths(lines: Iterable[Line], since: datetime) -> tuple[list[str], int, bool]:
    """Paths that hold every new file (and, in their folders, some old ones), how many are new, whether that is all.

    Memory grows with the number of folders.
    """
    folders: dict[str, _Folder] = {ROOT: _Folder()}
    files = total = 0
    for line in lines:
        path = line["path"]
        kind, parent = line.get("kind", "file"), os.path.dirname(path)  # noqa: PTH120 - millions of them
        here = folders.setdefault(parent, _Folder())
        if kind == "dir":
            here.below.append(path)
            folders.setdefault(path, _Folder())
        elif kind == "file":
            total += 1
            new = is_newer(line, since)
            files += new
            _note(here, path, new=new)
        else:
            here.old += 1
    chosen, whole = _chosen(folders, ROOT)
    return (chosen, files, whole or files == total)


def _note(folder: _Folder, path: str, *, new: bool) -> None:
    if not new:
        folder.old += 1
    elif len(folder.new) < MOST_SINGLE_FILES:
        folder.new.append(path)
    else:
        folder.many = True


def _chosen(folders: dict[str, _Folder], top: str) -> tuple[list[str], bool]:
    """The paths below that folder, and whether all of it is chosen. Without recursion: trees can be deep."""
    done: dict[str, tuple[list[str], bool]] = {}
    for path in sorted(folders, key=lambda path: -path.count("/") if path else 1):
        folder = folders[path]
        parts = [done.pop(each, ([], False)) for each in folder.below]
        below_whole = all(whole for _, whole in parts)
        leaf_with_new = not folder.below and bool(folder.new)
        whole = (leaf_with_new and len(folder.new) + folder.old <= FEW_MORE * len(folder.new)) or (
            folder.old == 0 and below_whole and bool(folder.new or folder.below)
        )
        whole = whole or folder.many
        if whole:
            done[path] = ([path], True)
        else:
            done[path] = (list(chain(folder.new, *(paths for paths, _ in parts))), False)
    return done[top]


FEW_MORE = 4
"""A folder comes whole where that is at most so many times what is new in it."""


def patterns(paths: Iterable[str]) -> Iterator[str]:
    """restic's patterns for these paths. What could mean something in a pattern file becomes ``?``, any one character."""
    for path in paths:
        yield "/" + "".join(sign if sign.isalnum() or sign in PLAIN else "?" for sign in path)
