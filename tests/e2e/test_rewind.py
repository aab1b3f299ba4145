"""``drmgr repo rewind`` against somebody who has the keys of the store: whatever he did, the points come back and restore."""

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import bucket_of
from tests.support.fault_proxy import FaultProxy
from tests.support.objectstore import s3_client
from tests.support.shape import Instant, fits
from tests.support.site import Json, Site, digest_of, wait_until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SUM = {"objects": int, "bytes": int}
PLANNED = {
    "system": str,
    "to": Instant,
    "place": str,
    "dry_run": bool,
    "plan": {"keep": SUM, "uncover": SUM, "cover": SUM, "hide": SUM, "lost": SUM},
    "requests": int,
}
REWOUND = {
    **PLANNED,
    "ok": bool,
    "run": str,
    "changed": int,
    "bytes_proven": int,
    "lost": {"objects": int, "examples": [str]},
    "points": [str],
    "points_gone": [str],
    "problems": [str],
    "seconds": float,
}
SURE = ("--reason", "勒索软件", "--confirm", "docs")


def moment() -> str:
    """A time in whose second nothing happened but before it."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).replace(microsecond=0) > now, "the next second")
    return now.isoformat()


def keys_of(client: "S3Client", bucket: str, prefix: str = "docs/") -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())]


def devastate(client: "S3Client", bucket: str) -> None:
    """Overwrites the index and half of the packs, forges a snapshot and a pack, deletes all else and every version it can."""
    for number, key in enumerate(keys_of(client, bucket)):
        size = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
        if key.startswith("docs/index/") or (key.startswith("docs/data/") and number % 2):
            # of the same size, and then of another
            client.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
            client.put_object(Bucket=bucket, Key=key, Body=b"garbage")
        else:
            client.delete_object(Bucket=bucket, Key=key)
    for kind in ("snapshots", "data/66"):
        content = f"forged {kind}".encode()
        client.put_object(Bucket=bucket, Key=f"docs/{kind}/{hashlib.sha256(content).hexdigest()}", Body=content)
    everything = client.list_object_versions(Bucket=bucket, Prefix="docs/")
    for version in everything["Versions"]:
        named = {"Key": version["Key"], "VersionId": version["VersionId"]}
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [named]}, BypassGovernanceRetention=True)  # type: ignore[list-item]
        assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "gone",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "Expiration": {"Days": 1},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                }
            ]
        },
    )


def same_documents(site: Site, name: str) -> bool:
    """Whether the newest point restores bit for bit."""
    site.json("restore", "docs", "--to", f"folder:{site.directory}/restored/{name}")
    restored = next((site.directory / "restored" / name).rglob("scan.bin")).parent
    return digest_of(restored) == digest_of(site.directory / "documents")


def rewound(site: Site, *arguments: str, code: int = 0) -> Json:
    document = site.json("repo", "rewind", "docs", *arguments, *SURE, code=code)
    fits(document, REWOUND)
    assert document["ok"] is (code == 0)
    return document


def test_a_devastated_repository_comes_back_in_its_place(locked_site: Site, object_store: ObjectStore) -> None:
    site, client, bucket = locked_site, s3_client(object_store), bucket_of(locked_site)
    before, to = site.points("docs"), moment()
    devastate(client, bucket)
    assert site.run("points", "docs").code != 0
    told = site.json("repo", "rewind", "docs", "--to", to, "--dry-run")
    fits(told, PLANNED)
    assert told["plan"]["uncover"]["objects"] > 3
    assert told["plan"]["cover"]["objects"] > 2
    assert told["plan"]["hide"]["objects"] == 2
    assert told["changed_from"] > to
    for code, *arguments in ((13, to), (13, to, "--confirm", "docs"), (11, "2026-01-01", *SURE), (2, "gestern", *SURE)):
        site.json("repo", "rewind", "docs", "--to", *arguments, code=code)
    done = rewound(site, "--to", to)
    assert done["changed"] == sum(told["plan"][act]["objects"] for act in ("uncover", "cover", "hide"))
    assert (done["points"], done["points_gone"], done["lost"]["objects"]) == (before, [], 0)
    assert site.points("docs") == before
    assert same_documents(site, "in-place")
    again = site.run("repo", "rewind", "docs", "--to", to, *SURE)
    assert (again.code, "0 objects changed, 1 recovery points can be read" in again.out) == (0, True)
    lines = site.json("audit", "show", "--last", "2")["lines"]
    assert [(line["act"], line["why"], line["result"]) for line in lines] == [
        ("rewind", "勒索软件", "started"),
        ("rewind", "勒索软件", "ok"),
    ]


def test_a_repository_comes_back_in_a_clean_place_though_the_store_fails(
    locked_site: Site, object_store: ObjectStore, proxy: FaultProxy
) -> None:
    site, client, bucket = locked_site, s3_client(object_store), bucket_of(locked_site)
    before, to = site.points("docs"), moment()
    for key in keys_of(client, bucket):
        client.delete_object(Bucket=bucket, Key=key)
    clean = ("--into", f"{bucket}-clean/after/attack", "--to", to)
    told = site.json("repo", "rewind", "docs", *clean, "--dry-run")
    objects = told["plan"]["cover"]["objects"]
    for status, code in ((500, "repository"), (403, "repository-access"), (0, "repository-unreachable")):
        proxy.fail(status, after=2, methods={"PUT"}, matching="-clean/after/attack/docs/(data|index|snapshots)")
        assert site.json("repo", "rewind", "docs", *clean, *SURE, code=21)["error"]["code"] == code
        proxy.heal()
    proxy.slow(latency=0.02, bandwidth=1_000_000)
    done = rewound(site, *clean)
    assert 0 < done["changed"] < objects
    assert done["plan"]["keep"]["objects"] + done["changed"] == objects
    assert done["points"] == before
    proxy.heal()
    # the damaged one was only read
    assert keys_of(client, bucket) == []
    site.json("repo", "rewind", "docs", "--to", to, "--into", bucket, *SURE, code=13)
    site.edit(lambda document: document["store"].update(bucket=f"{bucket}-clean", prefix="after/attack"))
    assert site.points("docs") == before
    site.json("backup", "docs")
    assert same_documents(site, "clean")


def test_a_folder_keeps_no_versions(site: Site) -> None:
    assert site.refused(2, "repo", "rewind", "docs", "--to", "2026-01-01", *SURE)["code"] == "usage"
