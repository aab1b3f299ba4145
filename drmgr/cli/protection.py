"""How long a system's objects are locked: written down signed, in the bucket itself, and told from there."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from drmgr.errors import DrmgrError

if TYPE_CHECKING:
    from drmgr.cli.wire import Site
    from drmgr.flows.horizon import Horizon, Statement
    from drmgr.flows.protect import Protected
    from drmgr.repository.versions import BucketObjects

SCHEMA: Final = "drmgr/protection/1"


def objects_of(opened: "Site", system: str) -> "BucketObjects | None":
    """The objects beneath the system's repository; None when it lies in a folder."""
    from drmgr.repository.versions import BucketObjects

    if opened.bucket is None:
        return None
    return BucketObjects(opened.bucket, f"{opened.store_prefix.strip('/')}/{system}")


def locks_objects(opened: "Site") -> bool:
    return opened.bucket is not None and opened.bucket.settings.object_lock is not None


def state(opened: "Site", done: "Protected") -> None:
    """Writes down what was proven. Raises RepositoryError."""
    from drmgr.keystore.evidence_keys import audit_private_key
    from drmgr.repository.bucket import PROTECTION_FOLDER
    from drmgr.state.audit_lines import signed
    from drmgr.system.clock import rfc3339

    objects = objects_of(opened, done.system)
    if objects is None or opened.bucket is None or done.tally.until is None:
        return
    content = {
        "schema": SCHEMA,
        "location": objects.location,
        "at": rfc3339(done.began),
        "until": rfc3339(done.tally.until),
        "objects": done.tally.objects,
    }
    proof = signed(content, audit_private_key(opened.keystore))
    opened.bucket.put_anchor(opened.store_prefix, f"{done.system}.json", proof, PROTECTION_FOLDER)


def _stated(opened: "Site", objects: "BucketObjects", system: str) -> "Statement | None":
    """The newest statement that drmgr signed for this very place; whatever else was put there proves nothing."""
    from drmgr.flows.horizon import Statement
    from drmgr.keystore.evidence_keys import AUDIT_PUBLIC_FILE, evidence_public_key
    from drmgr.repository.bucket import PROTECTION_FOLDER
    from drmgr.state.audit_lines import proven

    key = evidence_public_key(opened.keys_directory / AUDIT_PUBLIC_FILE)
    for name, content in objects.bucket.anchors(opened.store_prefix, PROTECTION_FOLDER, f"{system}.json"):
        try:
            found = proven(content, SCHEMA, key)
        except ValueError:
            continue
        if name == f"{system}.json" and found["location"] == objects.location:
            at, until = datetime.fromisoformat(found["at"]), datetime.fromisoformat(found["until"])
            return Statement(at, until, int(found["objects"]))
    return None


def protected_until(opened: "Site", system: str) -> "Horizon | None":
    """None when the store does not lock objects. What could not be asked is a problem of the answer, never raised."""
    from drmgr.flows.horizon import Horizon, horizon

    objects = objects_of(opened, system)
    if objects is None or not locks_objects(opened):
        return None
    try:
        return horizon(objects, _stated(opened, objects, system))
    except DrmgrError as error:
        return Horizon(None, (f"how long the objects are locked cannot be told: {error.message}",), 0)
