"""``drmgr repo protect`` on a real, locked bucket: locks are lengthened, attacks are told, faults leave no work behind."""

from datetime import UTC, datetime, timedelta

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import bucket_of
from tests.support.fault_proxy import FaultProxy
from tests.support.objectstore import s3_client
from tests.support.shape import Instant, fits
from tests.support.site import Json, Site

PROTECTED = {
    "ok": bool,
    "dry_run": bool,
    "systems": [
        {
            "system": str,
            "ok": bool,
            "run": str,
            "protected_until": Instant,
            "objects": int,
            "bytes": int,
            "extended": int,
            "extended_bytes": int,
            "unlocked": int,
            "overwritten": int,
            "lost": int,
            "requests": int,
            "problems": [str],
        }
    ],
}


def protected(site: Site, *options: str, code: int = 0) -> Json:
    document = site.json("repo", "protect", "docs", *options, code=code)
    fits(document, PROTECTED)
    assert document["ok"] is (code == 0)
    return document["systems"][0]


def until(answer: Json) -> timedelta:
    return datetime.fromisoformat(answer["protected_until"]) - datetime.now(UTC)


def test_locks_are_lengthened_and_points_tell_it(locked_site: Site, object_store: ObjectStore) -> None:
    site, ten, forty = locked_site, timedelta(days=10), timedelta(days=40)
    before = site.json("points", "docs")["points"][0]
    assert timedelta(days=9) < until(before) <= ten
    told = protected(site, "--days", "40", "--dry-run")
    assert told["extended"] == told["objects"] > 5
    assert site.json("points", "docs")["points"][0] == before
    # of all systems, one of which has no repository, and of what drmgr keeps beside them
    rows = {row["system"]: row for row in site.json("repo", "protect", "--days", "40", code=4)["systems"]}
    assert {name: row["ok"] for name, row in rows.items()} == {
        "his": False,
        "docs": True,
        "drmgr-recovery": True,
        "drmgr-audit": True,
        "drmgr-evidence": True,
    }
    assert rows["drmgr-recovery"]["extended"] > 0
    done = rows["docs"]
    assert (done["extended"], done["unlocked"], done["problems"]) == (told["extended"], 0, [])
    assert forty - timedelta(minutes=5) < until(done) < forty + timedelta(minutes=5)
    assert protected(site)["extended"] == 0
    point = site.json("points", "docs")["points"][0]
    assert abs(until(point) - forty) < timedelta(minutes=5)
    assert "nothing they need can be deleted until: 20" in site.run("points", "docs").out
    # doctor has tried it; of the system without a repository it cannot tell
    found = {line["name"]: line["state"] for line in site.json("doctor", code=11)["findings"]}
    told = [found[name] for name in ("object lock", "lock tried", "lifecycle", "docs: protected", "his: protected")]
    assert told == ["ok", "ok", "ok", "ok", "fail"]
    # the lock is real: not even the server's own keys can take one object away
    client, bucket = s3_client(object_store), bucket_of(site)
    config = client.list_object_versions(Bucket=bucket, Prefix="docs/config")["Versions"][0]
    refused = client.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "docs/config", "VersionId": config["VersionId"]}]},
        BypassGovernanceRetention=True,
    )
    assert refused["Errors"][0]["Code"] == "AccessDenied"
    # the newest statement counts only if drmgr signed it
    client.put_object(Bucket=bucket, Key="drmgr-protection/docs.json", Body=b'{"until": "2099-01-01T00:00:00Z"}')
    assert site.json("points", "docs")["points"][0] == point
    # new objects have the bucket's own lock, and the earliest end counts
    site.json("backup", "docs")
    assert timedelta(days=9) < until(site.json("points", "docs")["points"][0]) <= ten


def test_taken_away_and_overwritten_objects_are_an_alarm_and_stay_held(
    locked_site: Site, object_store: ObjectStore
) -> None:
    site, client, bucket = locked_site, s3_client(object_store), bucket_of(locked_site)
    packs = client.list_objects_v2(Bucket=bucket, Prefix="docs/data/")["Contents"]
    client.delete_object(Bucket=bucket, Key=packs[0]["Key"])
    client.put_object(Bucket=bucket, Key=packs[1]["Key"], Body=b"garbage")
    alarmed = protected(site, "--days", "40", code=4)
    assert alarmed["overwritten"] == 1
    assert "1 objects were overwritten" in alarmed["problems"][0]
    assert "the repository is damaged" in alarmed["problems"][-1]
    for pack in packs[:2]:
        oldest = client.list_object_versions(Bucket=bucket, Prefix=pack["Key"])["Versions"][-1]
        lock = client.get_object_retention(Bucket=bucket, Key=pack["Key"], VersionId=oldest["VersionId"])["Retention"]
        assert lock["RetainUntilDate"] > datetime.now(UTC) + timedelta(days=39)
    assert site.runs()[-1].kind == "protect"
    # the lock is tried too, and rules that would take needed objects away are told
    evil = {"ID": "evil", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [evil]})  # type: ignore[list-item]
    found = {line["name"]: line["state"] for line in site.json("repo", "check", "docs", code=21)["locks"]}
    assert found == {"object lock": "ok", "lock tried": "ok", "lifecycle": "fail"}


def test_a_store_in_trouble_leaves_nothing_to_be_done_by_hand(locked_site: Site, proxy: FaultProxy) -> None:
    site, act = locked_site, ("repo", "protect", "docs", "--days", "40")
    for status, code in ((500, "repository"), (403, "repository-access"), (0, "repository-unreachable")):
        proxy.fail(status, after=3, methods={"PUT"}, matching="retention")
        failed = site.json(*act, code=21)["systems"][0]
        assert failed["error"]["code"] == code
        proxy.heal()
    proxy.slow(latency=0.05, bandwidth=500_000)
    done = protected(site, "--days", "40")
    assert 0 < done["extended"] < done["objects"]
    assert done["problems"] == []


def test_a_store_without_locks_is_not_called_protected(site: Site) -> None:
    assert site.refused(10, "repo", "protect")["code"] == "config"
    assert site.json("points", "docs")["points"][0]["protected_until"] is None
