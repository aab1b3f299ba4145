"""The parts of ``drmgr recover`` that act: opening a store without a site file, and writing the site."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.errors import ConfigError, UsageError
from drmgr.interfaces import Shelf
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.config.load import LoadedSite
    from drmgr.config.values import SecretRef
    from drmgr.flows.recover import Opened, WrittenRecords
    from drmgr.system.secret import Secret


@dataclass(frozen=True)
class Store:
    """What the person says of the store: ``repository`` as --repository takes it, keys as references."""

    repository: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class OpenStore:
    """The shelf in the store, where it lies in restic's notation, and the keys that opened it; None for a folder."""

    shelf: Shelf
    location: str
    access_key: "Secret | None" = None
    secret_key: "Secret | None" = None


@dataclass(frozen=True)
class Recovered:
    """The site as it was written."""

    site_file: Path
    site: str
    kit_name: str
    made_at: datetime
    tools: Mapping[str, str]
    evidence: int
    audit_bytes: int
    problems: tuple[str, ...]


@contextmanager
def open_store(said: Store) -> Iterator[OpenStore]:
    """Raises UsageError for an address that is none, ConfigError for keys that are not there."""
    from drmgr.repository.shelf import BucketShelf, FolderShelf

    if not said.repository.startswith("s3:"):
        folder = Path(os.path.abspath(said.repository))  # noqa: PTH100 - keeps symbolic links, unlike resolve()
        yield OpenStore(FolderShelf(folder), str(folder))
        return
    from drmgr.repository.bucket import Bucket, BucketSettings

    endpoint, bucket, prefix = _address(said)
    access_key, secret_key = (_secret(text) for text in (said.access_key, said.secret_key))
    place = Bucket(BucketSettings(endpoint, said.region, bucket, access_key, secret_key))
    place.probe()
    location = "/".join(part for part in (f"s3:{endpoint.rstrip('/')}", bucket, prefix.strip("/")) if part)
    yield OpenStore(BucketShelf(place, prefix), location, access_key, secret_key)


def _address(said: Store) -> tuple[str, str, str]:
    """Endpoint, bucket and prefix from ``s3://BUCKET/PREFIX`` or restic's ``s3:http://HOST/BUCKET/PREFIX``."""
    rest = said.repository.removeprefix("s3:")
    if rest.startswith("//"):
        if not said.endpoint:
            raise UsageError("s3://BUCKET needs the address of its service", hint="name it with --endpoint https://…")
        endpoint, path = said.endpoint, rest[2:]
    else:
        scheme, mark, after = rest.partition("://")
        host, _, path = after.partition("/")
        endpoint = f"{scheme}{mark}{host}"
    bucket, _, prefix = path.strip("/").partition("/")
    if not endpoint.startswith(("http://", "https://")) or not bucket:
        raise UsageError(
            f"{said.repository} is no address of a bucket", hint="write s3://BUCKET/PREFIX, or s3:https://HOST/BUCKET"
        )
    return endpoint, bucket, prefix


def _secret(text: str) -> "Secret":
    from drmgr.config.secrets import resolve_secret
    from drmgr.config.values import SecretRef

    try:
        reference = SecretRef.parse(text)
    except ValueError as error:
        raise UsageError(f"a key {error}") from None
    return resolve_secret(reference, Path.cwd())


def recover_site(store: OpenStore, master: bytes, into: Path, passphrase: str, ask: Callable[[], str]) -> Recovered:
    """Writes the newest kit, the evidence and the audit log into ``into``, which exists only when all of it does.

    The keystore is put under a new passphrase: ``passphrase`` is a reference to it; without one it is taken from where
    the site file says, and else from ``ask``. Raises UsageError, KeystoreError, RepositoryError, EvidenceError.
    """
    from drmgr.config.load import load_site
    from drmgr.flows import recover as flow
    from drmgr.keystore.sealing import MasterSealer

    into = Path(os.path.abspath(into))  # noqa: PTH100 - keeps symbolic links, unlike resolve()
    sealer = MasterSealer(master)
    opened = flow.newest_kit(store.shelf, sealer)
    problems = list(opened.problems)
    with flow.new_folder(into) as folder:
        flow.write_files(opened.kit, folder)
        loaded = load_site(flow.place(folder, opened.kit.files[0].path))
        problems += _give_secrets(loaded, store)
        problems += _rewrap(loaded, master, passphrase, ask)
        evidence_folder, state = loaded.resolve(loaded.site.evidence), loaded.resolve(loaded.site.state)
        flow.refuse_taken(evidence_folder)
        flow.refuse_taken(state)
        records = flow.write_records(store.shelf, sealer, evidence_folder, state / "audit" / "audit.jsonl")
    return _recovered(opened, into, records, (*problems, *records.problems))


def _recovered(opened: "Opened", into: Path, records: "WrittenRecords", problems: tuple[str, ...]) -> Recovered:
    kit = opened.kit
    return Recovered(
        into / Path(kit.files[0].path).name,
        kit.site,
        opened.name,
        kit.made_at,
        kit.tools,
        records.evidence,
        records.audit_bytes,
        problems,
    )


def _give_secrets(loaded: "LoadedSite", store: OpenStore) -> list[str]:
    """Writes the store's keys where the site looks for them, if that is a file inside the new folder."""
    from drmgr.config.stores import S3Store

    problems = []
    for declared in (loaded.site.store, *loaded.site.copies.values()):
        if not isinstance(declared, S3Store) or not store.location.startswith(f"s3:{declared.endpoint.rstrip('/')}/"):
            continue
        for reference, secret in ((declared.access_key, store.access_key), (declared.secret_key, store.secret_key)):
            if secret is not None and not _lies_there(loaded, reference, secret):
                problems.append(f"the store's keys that were given are not those that {reference} leads to")
    return problems


def _lies_there(loaded: "LoadedSite", reference: "SecretRef", secret: "Secret") -> bool:
    return _write_secret(loaded, reference, secret) or _leads_to(loaded, reference, secret)


def _rewrap(loaded: "LoadedSite", master: bytes, passphrase: str, ask: Callable[[], str]) -> list[str]:
    from drmgr.config.secrets import SecretSource
    from drmgr.keystore.store import FileKeystore
    from drmgr.system.secret import Secret

    reference = loaded.site.keys.passphrase
    if passphrase:
        new = _secret(passphrase)
    else:
        try:
            new = SecretSource(loaded.base).get(reference)
        except ConfigError:
            new = Secret(ask())
    keystore = FileKeystore(loaded.resolve(loaded.site.keys.directory), lambda: new)
    keystore.open_with(master)
    keystore.rewrap(new)
    return [] if _lies_there(loaded, reference, new) else [f"put the new passphrase where {reference} leads"]


def _write_secret(loaded: "LoadedSite", reference: "SecretRef", secret: "Secret") -> bool:
    if reference.scheme != "file":
        return False
    path = loaded.resolve(reference.name)
    if not path.is_relative_to(loaded.base):
        return False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, secret.reveal().encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or '').lower()}") from error
    return True


def _leads_to(loaded: "LoadedSite", reference: "SecretRef", secret: "Secret") -> bool:
    from drmgr.config.secrets import SecretSource

    try:
        return SecretSource(loaded.base).get(reference).reveal() == secret.reveal()
    except ConfigError:
        return False
