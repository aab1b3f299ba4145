"""A data directory on this host: is it the one the connection's server works in, and can it be copied as it lies?"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines.mariadb.connection import Session, run, told
from drmgr.errors import PreflightError
from drmgr.system.files import free_bytes

HEADROOM_BYTES = 256 << 20
"""What the redo log that is written during the copy may take beside the files."""

LOGICAL_HINT = "use method: logical for this connection"

_SETTINGS = """
SELECT @@datadir, @@pid_file, @@innodb_encrypt_tables, @@innodb_encrypt_log, @@innodb_data_file_path, @@log_bin_basename"""


@dataclass(frozen=True)
class DataDirectory:
    """``program`` is the mariadb-backup that fits the server."""

    path: Path
    program: Path


def look_at(session: Session, directory: Path, staging: Path, program: Path) -> DataDirectory:
    """Proves that ``directory`` is the server's own and can be copied to ``staging``. Raises PreflightError."""
    with told("the server's settings could not be read", PreflightError):
        ((theirs, pid_file, tables, redo, files, log),) = run(session, _SETTINGS)
        ((server,),) = run(session, "SELECT CONCAT(@@hostname, ':', @@port)")
    if not os.access(directory / "ibdata1", os.R_OK):
        raise PreflightError(
            f"{directory} is not a data directory that drmgr's account may read",
            hint="check the connection's data_directory; drmgr runs as root or as the server's own account",
        )
    if Path(str(theirs)).resolve() != directory.resolve():
        raise PreflightError(
            f"the server {server} works in {theirs}, and the site file says {directory}",
            hint="mend host, port or data_directory of the connection in the site file",
        )
    _refuse_other_host(Path(str(pid_file)), directory)
    if str(tables).upper() not in ("OFF", "0") or redo:
        raise PreflightError("the server encrypts its files, and scratch does not have its keys", hint=LOGICAL_HINT)
    if "/" in str(files):
        raise PreflightError("innodb_data_file_path names files outside the data directory", hint=LOGICAL_HINT)
    _refuse_links(directory)
    _refuse_small_disk(directory, staging, Path(str(log)).name)
    return DataDirectory(directory, program)


def _refuse_other_host(pid_file: Path, directory: Path) -> None:
    """A directory of the same name on another host, or outside the server's container, is not the server's."""
    place = pid_file if pid_file.is_absolute() else directory / pid_file
    try:
        pid = int(place.read_text(encoding="ascii"))
        working = Path(f"/proc/{pid}/cwd").resolve(strict=True)
    except (OSError, ValueError):
        working = None
    if working != directory.resolve():
        raise PreflightError(
            f"no server is at work in {directory} on this host",
            hint="a physical backup runs on the server's own host, beside it and not outside its container",
        )


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        # what os.walk calls a folder may be a link to one, and it does not follow those
        yield from (Path(folder) / name for name in (*names, *folders))


def _refuse_links(directory: Path) -> None:
    """Tables that lie elsewhere would be written to by the restored copy as well."""
    for path in _files(directory):
        if path.is_symlink() or path.suffix == ".isl":
            raise PreflightError(
                f"{path} leads out of the data directory, and a restored copy would follow it",
                hint=LOGICAL_HINT,
            )


def _refuse_small_disk(directory: Path, staging: Path, log: str) -> None:
    needed = HEADROOM_BYTES
    for path in _files(directory):
        # temporary tables come and go
        with suppress(FileNotFoundError):
            needed += 0 if path.name.startswith(f"{log}.") else path.lstat().st_size
    free = free_bytes(staging)
    if free < needed:
        raise PreflightError(
            f"the copy needs {needed} bytes, and {staging} has {free} bytes free",
            hint="free some space, or name a larger folder as the connection's staging in the site file",
        )
