"""Small file acts that must not fail half-way."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes ``content`` so that a reader sees either the old file or the whole new one, even after a power cut.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a new file in place, on disk when this returns. Raises OSError."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Makes the directory's own entries durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def private_directory(parent: Path | None = None, prefix: str = "drmgr-") -> Iterator[Path]:
    """A directory that only this user can enter, removed at the end whatever happens."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def count_files(folder: Path) -> tuple[int, int]:
    """Regular files below the folder and their bytes. Raises OSError."""
    files = size = 0
    places = [str(folder)]
    while places:
        with os.scandir(places.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    places.append(item.path)
                elif item.is_file(follow_symlinks=False):
                    files += 1
                    size += item.stat(follow_symlinks=False).st_size
    return files, size


def free_bytes(path: Path) -> int:
    """Bytes an unprivileged user may still write on the file system that holds ``path`` or its nearest parent."""
    while not path.exists():
        path = path.parent
    usage = os.statvfs(path)
    return usage.f_bavail * usage.f_frsize
