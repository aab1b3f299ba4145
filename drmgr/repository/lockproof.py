"""Proves that the bucket keeps locked objects: tries on a probe what an attacker would do, and looks what became of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from drmgr.errors import RepositoryError
from drmgr.model import Retention, Stored, Version
from drmgr.repository.bucket import REFUSED_BY_LOCK, Bucket
from drmgr.repository.versions import BucketObjects

FOLDER: Final = "drmgr-probe"
KEY: Final = "lock"
CONTENT: Final = b"drmgr tries to delete this to prove that nobody can\n"


@dataclass(frozen=True)
class LockProof:
    """``lock`` is that of the probe. ``broken`` says in words what could be done to it; empty: the lock held.

    ``bypass``: our own keys may lift a governance lock; then it protects from mistakes, not from who has these keys.
    """

    lock: Retention | None
    broken: tuple[str, ...]
    bypass: bool = False


def prove_lock(bucket: Bucket, prefix: str) -> LockProof:
    """Puts a probe, or takes the one of an earlier time, and tries: delete, overwrite, shorten, lift.

    The probe is a few bytes; it is left until its own lock ends. Raises RepositoryError when it cannot be tried.
    """
    objects = BucketObjects(bucket, f"{prefix.strip('/')}/{FOLDER}")
    probe, lock, broken = _probe(objects)
    if probe is None:
        return LockProof(None, ("the bucket keeps no versions, so what is overwritten is gone",))
    if lock is None:
        return LockProof(None, (*broken, "a new object is not locked"))
    attacks = _Attacks(objects, probe)
    tried = {
        "a locked version was deleted": attacks.delete(bypass=False),
        "a lock was shortened": attacks.shorten(lock, bypass=False),
    }
    # last, for it may take the probe with it
    lifted = attacks.shorten(lock, bypass=True)
    if lifted and lock.mode == "compliance":
        broken.append("a compliance lock was shortened")
    broken += [words for words, done in tried.items() if done]
    if not lifted and not broken and not attacks.whole(lock):
        broken.append("the probe or its lock is not what it was before the attempts")
    return LockProof(lock, tuple(broken), lifted and lock.mode != "compliance")


def _probe(objects: BucketObjects) -> tuple[Version | None, Retention | None, list[str]]:
    """A version with its lock, and what became of a new one that was covered by another and then by a marker.

    None: the store keeps no versions.
    """
    stored = _stored(objects)
    now = objects.now()
    for version in stored.versions if stored else ():
        lock = None if version.marker else objects.retention(version)
        if lock is not None and lock.until > now + timedelta(hours=1):
            return version, lock, []
    name, key = objects.bucket.settings.name, objects.folder + KEY
    with objects.bucket.mapped("put a probe into the bucket"):
        # boto3's types promise a version; a bucket without versions gives none
        answer: Mapping[str, Any] = {**objects.bucket.client.put_object(Bucket=name, Key=key, Body=CONTENT)}
        first = answer.get("VersionId")
        if first is None:
            return None, None, []
        objects.bucket.client.put_object(Bucket=name, Key=key, Body=b"overwritten\n")
        with _refusal_is_fine():
            # a key with the least rights may not even hide it
            objects.bucket.client.delete_object(Bucket=name, Key=key)
    version = Version(KEY, first, now, len(CONTENT))
    kept = _content(objects, version) == CONTENT
    return version, objects.retention(version), [] if kept else ["an object that was overwritten is gone"]


def _stored(objects: BucketObjects) -> Stored | None:
    return next((stored for stored in objects.all() if stored.key == KEY), None)


def _content(objects: BucketObjects, version: Version) -> bytes:
    with objects.bucket.mapped("read the probe"):
        return objects.bucket.client.get_object(**objects.named(version))["Body"].read()


@contextmanager
def _refusal_is_fine() -> Iterator[None]:
    """Raises RepositoryError when the store neither did it nor refused it."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in REFUSED_BY_LOCK:
            raise RepositoryError(
                f"try the lock of the bucket: the object store answered {code}, which is no refusal"
            ) from error


class _Attacks:
    """Each is True when it succeeded. Raises RepositoryError when the store neither did it nor refused it."""

    def __init__(self, objects: BucketObjects, probe: Version) -> None:
        self._objects = objects
        self._probe = probe

    def delete(self, *, bypass: bool) -> bool:
        with self._tried() as outcome:
            more: Any = {"BypassGovernanceRetention": True} if bypass else {}
            self._objects.bucket.client.delete_object(**self._objects.named(self._probe), **more)
            outcome.append("done")
        return bool(outcome)

    def shorten(self, lock: Retention, *, bypass: bool) -> bool:
        wanted: Any = {"Mode": lock.mode.upper(), "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=1)}
        with self._tried() as outcome:
            more: Any = {"BypassGovernanceRetention": True} if bypass else {}
            named = self._objects.named(self._probe)
            self._objects.bucket.client.put_object_retention(**named, Retention=wanted, **more)
            outcome.append("done")
        return bool(outcome)

    def whole(self, lock: Retention) -> bool:
        now = self._objects.retention(self._probe)
        return now is not None and now.until >= lock.until and bool(_content(self._objects, self._probe))

    @contextmanager
    def _tried(self) -> Iterator[list[str]]:
        outcome: list[str] = []
        with self._objects.bucket.mapped("try the lock of the bucket"), _refusal_is_fine():
            yield outcome
