"""The files of one repository as they lie in the store, for the few acts that restic does not do for us."""

from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.errors import RepositoryError
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.repository.bucket import Bucket


class FolderFiles:
    """Implements interfaces.RepositoryFiles for a repository in a folder."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def put(self, name: str, content: bytes) -> None:
        path = self._repository / name
        try:
            write_atomically(path, content)
        except OSError as error:
            raise RepositoryError(f"{path} cannot be written: {error.strerror}") from error

    def remove(self, name: str) -> None:
        path = self._repository / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RepositoryError(f"{path} cannot be removed: {error.strerror}") from error


class BucketFiles:
    """Implements interfaces.RepositoryFiles for a repository in that folder of a bucket."""

    def __init__(self, bucket: "Bucket", folder: str) -> None:
        self._bucket = bucket
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        self._bucket.put(f"{self._folder}/{name}", content)

    def remove(self, name: str) -> None:
        self._bucket.remove(f"{self._folder}/{name}")
