"""What a job and the site file say of one tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from drmgr.engines.hooks import Hooks

FactsMode = Literal["full", "sampled", "dicom"]
"""``full``: a hash of every file; ``sampled``: of one in 16; ``dicom``: of every file, and the UIDs in it."""

FILES_PART = "files"
MANIFEST_PART = "manifest"
MANIFEST_NAME = "manifest.jsonl"


@dataclass(frozen=True)
class FileSystemSnapshot:
    """Commands that make and remove a snapshot of the file system, and where the tree then lies in it."""

    hooks: Hooks
    path: Path


@dataclass(frozen=True)
class TreeSettings:
    """One tree: where it is, what is left out, what is known of its files, what is done around its reading.

    ``own`` are drmgr's own folders by what they hold; a tree that holds one of them is refused. ``cache`` is the file
    that remembers the facts of unchanged files; None: every file is read every time. ``hooks`` run around the reading;
    with ``snapshot`` only around the making of it.
    """

    root: Path
    excludes: tuple[str, ...] = ()
    one_file_system: bool = False
    facts: FactsMode = "full"
    own: Mapping[str, Path] = field(default_factory=dict)
    cache: Path | None = None
    hooks: Hooks | None = None
    snapshot: FileSystemSnapshot | None = None
