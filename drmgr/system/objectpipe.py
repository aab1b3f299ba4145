"""Copies one object of a SQL Server's bucket to standard output, and fails when it is not whole or not the one that was meant.

``python -m drmgr.system.objectpipe ACCESS NAME SIZE TAG``: the keys are in the access file. A backup program that runs this
as its source stores the object without a copy on this host, and stores nothing when it could not be read to its end.
"""

import os
import sys
from pathlib import Path

from drmgr.system.mssql_access import read_access
from drmgr.system.mssql_bucket import BucketShare


def object_command(access: Path, name: str, size: int, tag: str) -> tuple[str, ...]:
    """The arguments that run this module as a program of its own."""
    return (sys.executable, "-P", "-m", "drmgr.system.objectpipe", str(access), name, str(size), tag)


def main(access: str, name: str, size: str, tag: str) -> None:
    """Raises SystemExit with what went wrong."""
    share = read_access(Path(access)).share
    if not isinstance(share, BucketShare):
        raise SystemExit("the access file names no bucket")
    try:
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output:
            copied = share.copy(name, output, tag)
    except OSError as failure:
        raise SystemExit(f"the object {name} could not be read: {failure.strerror}") from None
    if copied != int(size):
        raise SystemExit(f"the object {name} holds {copied} bytes where {size} were to be")


if __name__ == "__main__":
    main(*sys.argv[1:])
