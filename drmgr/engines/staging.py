"""A folder for the copy that some backups must make before it can be stored."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drmgr.errors import SourceError


@contextmanager
def fresh(staging: Path) -> Iterator[Path]:
    """A folder of one source alone, removed at the end; what a killed backup left in it goes first. Raises SourceError."""
    try:
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir(mode=0o700, parents=True)
        yield staging
    except OSError as error:
        raise SourceError(f"the staging folder {staging} cannot be used: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
