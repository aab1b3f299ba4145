"""A private folder for one run of the benchmark, and folders in it that belong to a server's account."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drmgr.scratch.server import give_to


@contextmanager
def place() -> Iterator[Path]:
    """A folder that other accounts may pass through; gone afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="drmgr-bench-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def folder_of(account: str | None, path: Path, *, anew: bool = False) -> Path:
    """A private folder of that account (None: of ours); ``anew`` empties it first."""
    if anew and path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        give_to(path, account)
    return path


def file_of(account: str | None, path: Path, text: str, mode: int = 0o600) -> Path:
    """A file of that account."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    if account is not None:
        give_to(path, account)
    return path


def server_account(name: str) -> str | None:
    """The account to run a server's programs as; None when we are not root, for then it is ours."""
    return name if os.geteuid() == 0 else None
