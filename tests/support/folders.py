"""Directories for tests whose servers run as another account: pytest's own are closed to it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def passable_directory() -> Iterator[Path]:
    """A directory that others can pass through but not list, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="drmgr-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)
