"""Stores the files of one point: from a shared folder as they lie there, from a bucket as streams."""

from collections.abc import Sequence
from pathlib import Path

from drmgr.engines.sqlserver.connection import write_access_file
from drmgr.engines.sqlserver.headers import DIFFERENTIAL, FULL, LOG, Header
from drmgr.errors import SourceError
from drmgr.interfaces import Sink
from drmgr.model import Stream, Tree
from drmgr.system.mssql_access import Access, Share
from drmgr.system.mssql_bucket import BucketShare
from drmgr.system.objectpipe import object_command

FOLDER_PART = "backup"
PARTS = (FOLDER_PART, FULL, DIFFERENTIAL, LOG)
"""From a folder all files are one part; from a bucket each backup is a part named by its kind."""


def store_backups(sink: Sink, access: Access, headers: Sequence[Header], runtime: Path) -> None:
    """Raises SourceError when what was stored is not what the server wrote."""
    share = access.share
    if isinstance(share, BucketShare):
        _stream(sink, access, share, headers, runtime)
    elif isinstance(share, Share):
        _together(sink, share, tuple(header.file for header in headers))


def _together(sink: Sink, share: Share, names: tuple[str, ...]) -> None:
    part = sink.save(Tree(FOLDER_PART, share.local, only=names))
    found = {entry.path: entry.size for entry in sink.entries(part) if entry.path in names}
    if found != {name: share.size(name) for name in names}:
        raise SourceError("what was stored of the backups is not what the server wrote")


def _stream(sink: Sink, access: Access, share: BucketShare, headers: Sequence[Header], runtime: Path) -> None:
    keys = write_access_file(runtime, access)
    try:
        for header in headers:
            try:
                size, tag = share.look(header.file)
            except OSError as failure:
                raise SourceError(
                    f"the {header.kind} backup {header.file} cannot be read: {failure.strerror}"
                ) from failure
            part = sink.save(Stream(header.kind, object_command(keys, header.file, size, tag), header.file))
            if part.bytes != size:
                raise SourceError(f"what was stored of the {header.kind} backup is not what the server wrote")
    finally:
        keys.unlink()
        keys.parent.rmdir()
