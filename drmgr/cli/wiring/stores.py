"""One place where repositories lie, the site's own store or a copy, as restic and boto3 are to be told of it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.config.secrets import SecretSource
from drmgr.config.stores import FolderStore, S3Store
from drmgr.interfaces import RepositoryFiles, Shelf
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.repository.bucket import Bucket


class StorePlace:
    """``name`` is the copy's, empty for the site's own store. Private files lie in ``runtime``."""

    def __init__(
        self,
        name: str,
        store: FolderStore | S3Store,
        resolve: Callable[[Path], Path],
        secrets: SecretSource,
        runtime: Path,
    ) -> None:
        self.name = name
        self.store = store
        self._resolve = resolve
        self._secrets = secrets
        self._runtime = runtime

    @cached_property
    def bucket(self) -> "Bucket | None":
        """The bucket of the repositories; None when they lie in a folder."""
        store = self.store
        if isinstance(store, FolderStore):
            return None
        from drmgr.repository.bucket import Bucket, BucketSettings, ObjectLock

        declared = store.object_lock
        lock = None if declared is None else ObjectLock(declared.mode, declared.days)
        access_key, secret_key = self._secrets.get(store.access_key), self._secrets.get(store.secret_key)
        return Bucket(BucketSettings(store.endpoint, store.region, store.bucket, access_key, secret_key, lock))

    @cached_property
    def shelf(self) -> Shelf:
        """Where the recovery kit and what belongs to it is kept."""
        from drmgr.repository.shelf import BucketShelf, FolderShelf

        if isinstance(self.store, FolderStore):
            return FolderShelf(self._resolve(self.store.path))
        assert self.bucket is not None
        return BucketShelf(self.bucket, self.store.prefix)

    @property
    def prefix(self) -> str:
        """The folder of the bucket that all of this site's objects lie in; empty for the bucket itself."""
        return "" if isinstance(self.store, FolderStore) else self.store.prefix

    def location(self, system: str) -> str:
        """Where the system's repository lies, in restic's notation."""
        store = self.store
        if isinstance(store, FolderStore):
            return str(self._resolve(store.path) / system)
        return f"s3:{store.endpoint.rstrip('/')}/{store.bucket}/{self._folder(system)}"

    def _folder(self, system: str) -> str:
        """That of the system's repository in the bucket."""
        return "/".join(part for part in (self.prefix.strip("/"), system) if part)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """What restic needs to reach it; keys lie in a private file that this names."""
        if self.bucket is None:
            return {}
        keys = self.bucket.settings
        file = self._runtime / f"store-credentials{self.name and '-'}{self.name}"
        content = (
            f"[default]\naws_access_key_id={keys.access_key.reveal()}\n"
            f"aws_secret_access_key={keys.secret_key.reveal()}\n"
        )
        write_atomically(file, content.encode())
        return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "default"}

    @property
    def options(self) -> tuple[str, ...]:
        """restic's own options for it."""
        if isinstance(self.store, FolderStore):
            return ()
        return ("-o", "s3.bucket-lookup=path", "-o", f"s3.region={self.store.region}")

    def files(self, system: str) -> RepositoryFiles:
        """Those of the system's repository, as they lie in the store."""
        from drmgr.repository.plainfiles import BucketFiles, FolderFiles

        if self.bucket is None:
            return FolderFiles(Path(self.location(system)))
        return BucketFiles(self.bucket, self._folder(system))

    @cached_property
    def account(self) -> str:
        """Stands for the keys and the region by which an S3 service is reached; empty for a folder."""
        if self.bucket is None:
            return ""
        keys = self.bucket.settings
        parts = (keys.access_key.reveal(), keys.secret_key.reveal(), keys.region)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @contextmanager
    def gate(self, system: str) -> Iterator[str]:
        """Shows the system's repository to a restic that holds the keys of another service; see repository/gate.py."""
        if self.bucket is None:
            yield self.location(system)
            return
        from drmgr.repository.gate import gate

        with gate(self.bucket, self._folder(system), self._runtime) as location:
            yield location
