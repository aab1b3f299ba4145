"""Which objects the bucket itself may take away, and after how long: older versions, once no lock holds them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from drmgr.repository.bucket import NO_RULES, Bucket

RULE: Final = "drmgr-older-versions"
UPLOAD_DAYS: Final = 7


def ensure_rule(bucket: Bucket) -> bool:
    """Lets versions expire that nobody needs, as long after they were covered as a lock lasts; True when made now.

    Without it what was pruned is paid for for ever. Rules that are there are left alone. Raises RepositoryError.
    """
    lock = bucket.settings.object_lock
    if lock is None or _rules(bucket):
        return False
    rule: Any = {
        "ID": RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": lock.days},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }
    with bucket.mapped("set the bucket's lifecycle"):
        bucket.client.put_bucket_lifecycle_configuration(
            Bucket=bucket.settings.name, LifecycleConfiguration={"Rules": [rule]}
        )
    return True


def dangers(bucket: Bucket) -> tuple[str, ...]:
    """Rules that would take away what drmgr counts on, in words. Raises RepositoryError."""
    lock = bucket.settings.object_lock
    days = 0 if lock is None else lock.days
    return tuple(words for rule in _rules(bucket) for words in _dangers(rule, days))


def lets_expire(bucket: Bucket) -> bool:
    """Whether any rule takes away older versions. Raises RepositoryError."""
    return any("NoncurrentVersionExpiration" in rule for rule in _rules(bucket) if rule.get("Status") == "Enabled")


def _dangers(rule: Mapping[str, Any], days: int) -> Iterator[str]:
    if rule.get("Status") != "Enabled":
        return
    name, whole = rule.get("ID", "without a name"), rule.get("Expiration", {})
    if "Days" in whole or "Date" in whole:
        yield f"the rule {name} hides objects by their age, whether they are needed or not"
    noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    if noncurrent is not None and noncurrent < days:
        yield f"the rule {name} takes older versions away after {noncurrent} days, before {days} are over"


def _rules(bucket: Bucket) -> list[Mapping[str, Any]]:
    from botocore.exceptions import ClientError

    with bucket.mapped("read the bucket's lifecycle"):
        try:
            answer = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.settings.name)
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_RULES:
                return []
            raise
    return [dict(rule) for rule in answer.get("Rules", ())]
