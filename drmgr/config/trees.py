"""File trees in the configuration: where they lie, what is done around their reading, what is known of them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from drmgr.config.part import Part
from drmgr.config.values import AnyPath, Duration, Id, Line, YesNo

Argv = Annotated[tuple[Line, ...], Field(min_length=1)]
"""One command: the program and its arguments, each a text of its own; no shell looks at it."""


class Hooks(Part):
    """Commands around something: ``after`` always runs, also when a command or the backup failed or was ended."""

    before: tuple[Argv, ...] = Field(default=(), description="commands to begin with, each a list: [program, argument]")
    after: tuple[Argv, ...] = Field(min_length=1, description="commands that always run at the end")
    timeout: Duration = Field(default=timedelta(minutes=5), description="how long each command may take")


class FileSystemSnapshot(Part):
    """A snapshot of the file system (LVM, btrfs, ZFS), read in place of the live tree."""

    create: tuple[Argv, ...] = Field(min_length=1, description="commands that make and mount it, each a list")
    path: AnyPath = Field(description="where the tree (what root is in the live one) then lies in the snapshot")
    remove: tuple[Argv, ...] = Field(min_length=1, description="commands that unmount and remove it; they always run")
    timeout: Duration = Field(default=timedelta(minutes=5), description="how long each command may take")


class FilesConnection(Part):
    """A file tree on this host."""

    engine: Literal["files"] = Field(description="the kind of source behind this connection")
    root: AnyPath = Field(description="folder at the top of the tree")
    hooks: Hooks | None = Field(
        default=None, description="commands around the reading of the tree, or around the making of its snapshot"
    )
    snapshot: FileSystemSnapshot | None = Field(default=None, description="read a snapshot, not the live tree")


class FilesSource(Part):
    """A file tree of the system."""

    name: Id = Field(description="name of the source within its system")
    kind: Literal["files"] = Field(description="the kind of source")
    connection: Id = Field(description="a connection of the site file whose engine is files")
    facts: Literal["full", "sampled", "dicom"] = Field(
        default="full",
        description="full: a hash of every file; sampled: hashes of some, for huge trees; dicom: full, and the study, "
        "series and instance of every image",
    )
    exclude: tuple[Line, ...] = Field(default=(), description="restic patterns of what is left out on purpose")
    one_file_system: YesNo = Field(default=False, description="do not follow mounts below the root")
    follows: tuple[Id, ...] = Field(
        default=(), description="sources whose rows name these files: they are captured first, or all in a pause"
    )
