"""What ``doctor`` and ``repo check`` tell of the bucket's lock: proven by trying, not read from its settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drmgr.errors import RepositoryAccessError, RepositoryError, UnprotectedError
from drmgr.model import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drmgr.cli.wiring.wire import Site
    from drmgr.repository.bucket import Bucket

FEW = 4
"""A lock with less than this part of its days left should have been extended long ago."""


@dataclass(frozen=True)
class LockFinding:
    """``state`` is ok, warn or fail, as in doctor's lines."""

    name: str
    state: str
    detail: str
    hint: str = ""


def look_at_locks(opened: "Site", systems: list[str]) -> "Iterator[LockFinding]":
    """The lock as it was proven on a probe, the bucket's lifecycle, and until when each system is protected."""
    bucket = opened.bucket
    if bucket is None or bucket.settings.object_lock is None:
        return
    yield _settings(bucket)
    yield _proof(opened, bucket)
    yield _lifecycle(bucket)
    for name in systems:
        yield _protected(opened, name, bucket.settings.object_lock.days)


def _settings(bucket: "Bucket") -> LockFinding:
    try:
        found, wanted = bucket.protection(), bucket.settings.object_lock
    except RepositoryError as error:
        return LockFinding("object lock", "fail", error.message, error.hint)
    said = "none" if found is None else f"{found.mode}, {found.days} days"
    if found == wanted:
        return LockFinding("object lock", "ok", said)
    return LockFinding("object lock", "fail", said, "set the bucket's default retention, or choose a new bucket")


def _proof(opened: "Site", bucket: "Bucket") -> LockFinding:
    from drmgr.repository.lockproof import prove_lock

    try:
        proof = prove_lock(bucket, opened.store_prefix)
    except RepositoryAccessError as error:
        hint = "a key that may only read cannot try it; run this with the key that backs up"
        return LockFinding("lock tried", "warn", f"could not be tried: {error.message}", hint)
    except RepositoryError as error:
        return LockFinding("lock tried", "fail", error.message, error.hint)
    if proof.broken:
        hint = "the bucket protects nothing: object lock is off, or the store does not keep to it; choose a new bucket"
        return LockFinding("lock tried", "fail", "; ".join(proof.broken), hint)
    said = "a probe could not be deleted, nor its lock shortened"
    if proof.bypass:
        hint = "take compliance mode, or a key that may not bypass: docs/policies"
        return LockFinding("lock tried", "warn", f"{said}, but our key may lift governance locks", hint)
    return LockFinding("lock tried", "ok", said)


def _lifecycle(bucket: "Bucket") -> LockFinding:
    from drmgr.repository.lifecycle import dangers, lets_expire

    try:
        found = dangers(bucket)
        expires = lets_expire(bucket)
    except RepositoryAccessError as error:
        return LockFinding("lifecycle", "warn", error.message, "the key may not read it; see docs/policies")
    except RepositoryError as error:
        return LockFinding("lifecycle", "fail", error.message, error.hint)
    if found:
        hint = "find out who set it, remove it from the bucket, then run: drmgr repo init"
        return LockFinding("lifecycle", "fail", "; ".join(found), hint)
    if not expires:
        hint = "drmgr repo init sets a rule when the bucket has none"
        return LockFinding("lifecycle", "warn", "nothing ever expires: what was pruned is kept for ever", hint)
    return LockFinding("lifecycle", "ok", "older versions expire, and not before their locks")


def _protected(opened: "Site", name: str, days: int) -> LockFinding:
    from drmgr.cli.output import human_time
    from drmgr.cli.repositories.protection import protected_until

    label, hint = f"{name}: protected", f"run: drmgr repo protect {name}; best every day"
    found = protected_until(opened, name)
    if found is None or found.until is None:
        said = "not known" if found is None else "; ".join(found.problems)
        return LockFinding(label, "fail", said, hint)
    said = f"until {human_time(found.until, opened.zone)}"
    few = (found.until - opened.clock.now()).total_seconds() < days * 86400 / FEW
    return LockFinding(label, "warn" if few else "ok", said, hint if few else "")


def tried(opened: "Site") -> tuple[list[dict[str, Json]], UnprotectedError | None]:
    """For ``repo check``: the lock and the lifecycle of the bucket, and the error if they protect nothing."""
    found = list(look_at_locks(opened, []))
    failed = [f"{each.name}: {each.detail}" for each in found if each.state == "fail"]
    hint = next((each.hint for each in found if each.state == "fail"), "")
    return [vars(each) for each in found], UnprotectedError("; ".join(failed), hint=hint) if failed else None
