"""The least rights on the bucket that each part of drmgr needs, as AWS policies; SeaweedFS and MinIO read the same form."""

from typing import Any, Final

LOOK: Final = (
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
)
READ: Final = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention")
WRITE: Final = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
NEVER: Final = (
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutObjectLegalHold",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucket",
)
"""What would undo the protection. Said outright, so that no other policy of the same account gives it."""

ROLES: Final = ("writer", "keeper", "verifier")


def policy(role: str, bucket: str, prefix: str) -> dict[str, Any]:
    """The policy of that role for one bucket and the folder in it.

    ``writer`` backs up: it adds objects, and hides restic's own locks. ``keeper`` protects, expires and rewinds: it also
    lengthens locks and hides objects. ``verifier`` only reads. None can delete a version or shorten a lock. Raises
    KeyError for another role.
    """
    within = "/".join(part for part in (bucket, prefix.strip("/")) if part)
    whole, below = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{within}/*"
    look, read = _allow("Look", LOOK, whole), _allow("Read", READ, below)
    write = _allow("Add", WRITE, below)
    # a delete without a version only puts a marker over the object: restic gives its locks back by it
    unlock = _allow("GiveLocksBack", ("s3:DeleteObject",), f"arn:aws:s3:::{within}/*/locks/*")
    keep = _allow("KeepAndHide", ("s3:PutObjectRetention", "s3:DeleteObject"), below)
    more = ("s3:PutObjectRetention",) if role == "writer" else ()
    deny = {"Sid": "Never", "Effect": "Deny", "Action": [*NEVER, *more], "Resource": [whole, f"{whole}/*"]}
    statements = {
        "writer": [look, read, write, unlock, deny],
        "keeper": [look, read, write, keep, deny],
        "verifier": [look, read],
    }
    return {"Version": "2012-10-17", "Statement": statements[role]}


def _allow(name: str, actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": [resource]}
