"""Keys with the least rights, on a store that keeps to policies: backups with one that cannot delete, drills with one that
cannot write."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from drmgr.demo.objectstore import ObjectStore
from drmgr.repository.policies import ROLES, policy
from drmgr.system.secret import Secret
from tests.e2e.conftest import use_bucket
from tests.support.objectstore import s3_client
from tests.support.site import Site

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET, PREFIX = "hospital", "site/one"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of this test's own, with a key for each role."""
    made = ObjectStore(tmp_path)
    config = json.loads((tmp_path / "s3.json").read_bytes())
    for role in ROLES:
        keys = [{"accessKey": f"{role.upper():A<20}", "secretKey": f"secret-of-the-{role}"}]
        config["identities"].append({"name": role, "credentials": keys, "actions": [], "policyNames": [role]})
    config["policies"] = [{"name": role, "content": json.dumps(policy(role, BUCKET, PREFIX))} for role in ROLES]
    (tmp_path / "s3.json").write_text(json.dumps(config))
    with made:
        yield made


class Keys:
    """The store as one role sees it."""

    def __init__(self, store: ObjectStore, role: str) -> None:
        self.endpoint, self.region = store.endpoint, store.region
        self.access_key, self.secret_key = Secret(f"{role.upper():A<20}"), Secret(f"secret-of-the-{role}")


def take_keys(site: Site, store: ObjectStore, role: str) -> "S3Client":
    keys: Any = Keys(store, role)
    for name, key in (("s3-access", keys.access_key), ("s3-secret", keys.secret_key)):
        (site.directory / "secrets" / name).write_text(key.reveal())
    return s3_client(keys)


def refused(act: Callable[..., Any], **arguments: Any) -> bool:
    """Whether the store says no; an answer that lists errors of its own counts as well."""
    try:
        answer = act(Bucket=BUCKET, **arguments)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    return [error["Code"] for error in answer.get("Errors", ())] == ["AccessDenied"]


def cannot_undo(client: "S3Client", owner: "S3Client", *, writes: bool) -> None:
    """All that would take a version away, or its lock."""
    kept = owner.list_object_versions(Bucket=BUCKET, Prefix=f"{PREFIX}/docs/data/")["Versions"][0]
    named = {"Key": kept["Key"], "VersionId": kept["VersionId"]}
    soon = datetime.now(UTC) + timedelta(minutes=1)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": soon}
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    assert refused(client.delete_object, **named)
    assert refused(client.delete_object, **named, BypassGovernanceRetention=True)
    assert refused(client.delete_objects, Delete={"Objects": [named]}, BypassGovernanceRetention=True)
    assert refused(client.put_object_retention, **named, Retention=shorter)
    assert refused(client.put_object_retention, **named, Retention=shorter, BypassGovernanceRetention=True)
    assert refused(client.delete_object, Key=kept["Key"])
    assert refused(client.put_object_lock_configuration, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    assert refused(client.put_bucket_versioning, VersioningConfiguration={"Status": "Suspended"})
    assert refused(client.put_bucket_lifecycle_configuration, LifecycleConfiguration={"Rules": [rule]})
    assert refused(client.put_bucket_policy, Policy="{}")
    assert refused(client.delete_bucket)
    assert refused(client.put_object, Key="other/site/config", Body=b"x")
    assert refused(client.put_object, Key=f"{PREFIX}/docs/data/00/x", Body=b"x") is not writes
    assert refused(client.delete_object, Key=f"{PREFIX}/docs/locks/x") is not writes


def test_backups_by_one_who_cannot_delete_and_drills_by_one_who_cannot_write(site: Site, store: ObjectStore) -> None:
    use_bucket(site, store, BUCKET)
    lock = {"mode": "governance", "days": 10}
    site.edit(lambda document: document["store"].update(prefix=PREFIX, object_lock=lock))
    site.json("repo", "init", "docs", "--anew")
    owner = s3_client(store)
    shown = site.json("repo", "policy", "writer")
    assert shown == policy("writer", BUCKET, PREFIX)

    writer = take_keys(site, store, "writer")
    site.json("backup", "docs")
    locks = {line["name"]: line["state"] for line in site.json("repo", "check", "docs")["locks"]}
    assert locks == {"object lock": "ok", "lock tried": "ok", "lifecycle": "ok"}
    # restic gave its locks back: what is left of them are markers
    assert "Contents" not in owner.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/docs/locks/")
    cannot_undo(writer, owner, writes=True)
    assert (
        site.json("repo", "protect", "docs", "--days", "30", code=21)["systems"][0]["error"]["code"]
        == "repository-access"
    )

    take_keys(site, store, "keeper")
    assert site.json("repo", "protect", "docs", "--days", "30")["ok"] is True

    verifier = take_keys(site, store, "verifier")
    cannot_undo(verifier, owner, writes=False)
    site.edit(lambda document: document["restic"].update(read_only=True))
    before = owner.list_object_versions(Bucket=BUCKET)
    drill = site.json("drill", "run", "docs-restore")["drills"][0]
    assert (drill["verdict"], drill["level"]) == ("passed", 3)
    after = owner.list_object_versions(Bucket=BUCKET)
    assert [len(found.get("Versions", ())) for found in (before, after)] == [len(before["Versions"])] * 2
    assert site.json("points", "docs")["points"][0]["protected_until"] is not None
