"""How long a system's objects are locked: written down signed, in the bucket itself, and told from there."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from drmgr.errors import DrmgrError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.horizon import Horizon, Statement
    from drmgr.flows.protect import Protected
    from drmgr.repository.versions import BucketObjects

SCHEMA: Final = "drmgr/protection/1"


def objects_of(opened: "Site", system: str, copy: str = "") -> "BucketObjects | None":
    """The objects beneath the system's repository, or that of a copy; None when it lies in a folder."""
    from drmgr.repository.versions import BucketObjects

    place = opened.stores[copy]
    return None if place.bucket is None else BucketObjects(place.bucket, f"{place.prefix.strip('/')}/{system}")


def lock_days(opened: "Site", copy: str = "") -> int | None:
    """For how many days that place locks a new object; None when it locks none."""
    bucket = opened.stores[copy].bucket
    lock = None if bucket is None else bucket.settings.object_lock
    return None if lock is None else lock.days


def state(opened: "Site", done: "Protected") -> None:
    """Writes down what was proven. Raises RepositoryError."""
    from drmgr.keystore.evidence_keys import audit_private_key
    from drmgr.repository.bucket import PROTECTION_FOLDER
    from drmgr.state.audit_lines import signed
    from drmgr.system.clock import rfc3339

    objects = objects_of(opened, done.system, done.copy)
    if objects is None or done.tally.until is None:
        return
    content = {
        "schema": SCHEMA,
        "location": objects.location,
        "at": rfc3339(done.began),
        "until": rfc3339(done.tally.until),
        "objects": done.tally.objects,
    }
    proof = signed(content, audit_private_key(opened.keystore))
    prefix = opened.stores[done.copy].prefix
    objects.bucket.put_anchor(prefix, f"{done.system}.json", proof, PROTECTION_FOLDER)


def _stated(opened: "Site", objects: "BucketObjects", system: str, prefix: str) -> "Statement | None":
    """The newest statement that drmgr signed for this very place; whatever else was put there proves nothing."""
    from drmgr.flows.horizon import Statement
    from drmgr.keystore.evidence_keys import AUDIT_PUBLIC_FILE, evidence_public_key
    from drmgr.repository.bucket import PROTECTION_FOLDER
    from drmgr.state.audit_lines import proven

    key = evidence_public_key(opened.keys_directory / AUDIT_PUBLIC_FILE)
    for name, content in objects.bucket.anchors(prefix, PROTECTION_FOLDER, f"{system}.json"):
        try:
            found = proven(content, SCHEMA, key)
        except ValueError:
            continue
        if name == f"{system}.json" and found["location"] == objects.location:
            at, until = datetime.fromisoformat(found["at"]), datetime.fromisoformat(found["until"])
            return Statement(at, until, int(found["objects"]))
    return None


def protected_until(opened: "Site", system: str, copy: str = "") -> "Horizon | None":
    """None when the store, or that copy, locks nothing. What could not be asked is a problem of the answer, never raised."""
    from drmgr.flows.horizon import Horizon, horizon

    objects = objects_of(opened, system, copy)
    if objects is None or lock_days(opened, copy) is None:
        return None
    try:
        return horizon(objects, _stated(opened, objects, system, opened.stores[copy].prefix))
    except DrmgrError as error:
        return Horizon(None, (f"how long the objects are locked cannot be told: {error.message}",), 0)
