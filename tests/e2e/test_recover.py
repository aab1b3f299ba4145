"""``drmgr recover``: the host is gone, and so is everything on it; the bucket and three of five pages are there."""

import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import use_bucket
from tests.support.objectstore import BucketMaker, fill_bucket, s3_client
from tests.support.shape import fits
from tests.support.site import DRMGR, Answer, Json, Site, digest_of

ANSWER = {
    "directory": str,
    "kit": {"name": str, "site": {"test-hospital"}, "made_at": str},
    "tools": {},
    "systems": [{"system": str, "tier": int, "rto": float, "points": int, "latest": str, "problems": [str]}],
    "evidence": int,
    "audit_bytes": int,
    "missing_secrets": [str],
    "problems": [str],
    "next": [str],
    "seconds": float,
}


class Lost:
    """A site in a bucket whose host is gone; what is left are its pages and the keys of the bucket."""

    def __init__(self, site: Site, store: ObjectStore, bucket: str, pages: Json) -> None:
        self.site, self.store, self.bucket, self._pages = site, store, bucket, pages
        self.documents = digest_of(site.directory / "documents")
        self.host = site.directory / "new-host"
        kept = {name: (site.directory / "secrets" / name).read_bytes() for name in ("s3-access", "s3-secret")}
        for entry in ("drmgr.yaml", "jobs", "drills", "keys", "secrets", "state", "evidence", "documents"):
            path = site.directory / entry
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (site.directory / "secrets").mkdir()
        kept["new"] = b"a new passphrase"
        for name, content in kept.items():
            (site.directory / "secrets" / name).write_bytes(content)
            (site.directory / "secrets" / name).chmod(0o600)

    def recover(self, *shares: int, into: Path | None = None, bucket: str = "", where: str = "") -> Answer:
        words = "".join(self._pages["shares"][number - 1]["words"] + "\n" for number in shares)
        keys = [f"--{name}-key=file:secrets/s3-{name}" for name in ("access", "secret")]
        where = where or f"s3:{self.store.endpoint}/{bucket or self.bucket}"
        argv = [DRMGR, "recover", "--repository", where, *keys, "--passphrase", "file:secrets/new"]
        argv += ["--into", str(into or self.host), "--json"]
        done = subprocess.run(
            argv,
            input=words,
            capture_output=True,
            text=True,
            env=self.site.environment(),
            cwd=self.site.directory,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        # one word alone may well stand in what drmgr says
        spoken = words.split()
        assert not any(f"{one} {two}" in done.stderr + done.stdout for one, two in pairwise(spoken))
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lost(empty_site: Site, object_store: ObjectStore, make_bucket: BucketMaker) -> Lost:
    site, bucket = empty_site, make_bucket(locked=True)
    fill_bucket(object_store, bucket, site.directory / "repositories", locked_days=10)
    use_bucket(site, object_store, bucket)
    site.json("backup", "docs")
    site.json("drill", "run", "docs-restore")
    site.json("backup", "his")
    site.edit(
        lambda document: document.update(copies={"fire": {"kind": "folder", "path": str(site.directory / "fire")}})
    )
    site.json("repo", "copy", "docs")
    pages = site.json("keys", "split", "--out", str(site.directory / "pages"), "--words")
    return Lost(site, object_store, bucket, pages)


def test_a_host_is_back_from_the_bucket_and_three_pages(lost: Lost) -> None:
    began = time.monotonic()
    answer = lost.recover(5, 1, 3)
    assert answer.code == 0, answer
    assert time.monotonic() - began < 60
    fits(answer.document, ANSWER)
    assert [(row["system"], row["points"]) for row in answer.document["systems"]] == [("his", 1), ("docs", 1)]
    assert answer.document["evidence"] == 1
    # a scratch server of another account passes through the site's folder, and can read nothing that is secret
    assert lost.host.stat().st_mode & 0o777 == 0o755
    for private in ("keys", "secrets", "state/audit"):
        assert (lost.host / private).stat().st_mode & 0o077 == 0, private
    for file in (*(lost.host / "keys").iterdir(), *(lost.host / "secrets").iterdir()):
        assert file.stat().st_mode & 0o077 == 0, file
    assert {text.split()[0] for text in answer.document["missing_secrets"]} == {
        "file:secrets/his:",
        "file:secrets/super:",
    }

    back = Site(lost.host)
    back.temporary = lost.site.temporary
    assert back.json("audit", "verify", "--offline")["ok"] is True
    assert back.json("evidence", "verify", "--all")["chain"] == {"ok": True, "length": 1, "gaps": []}
    # the passwords of production are gone with the host, and nothing of this needs them
    assert len(back.points("his")) == 1
    assert back.json("restore", "his", "--to", "scratch", "--dry-run")["status"] == "planned"
    assert back.json("drill", "run", "his-restore")["drills"][0]["verdict"] == "passed"
    found = back.json("doctor", code=11)["findings"]
    failed = {each["name"]: each["detail"] for each in found if each["state"] == "fail"}
    assert failed["his: main"] == "the file of the secret file:secrets/his is not there"
    refused = back.json("restore", "his", "--to", "connection:his-alias", "--source", "main", "--dry-run", code=10)
    assert "secrets/super" in refused["error"]["message"]
    target = lost.host / "restored/docs"
    restored = back.json("restore", "docs", "--to", f"folder:{target}")
    assert (restored["status"], restored["verified"]["level"]) == ("ok", 0)
    assert digest_of(target / "files/files") == lost.documents
    # the chain goes on where it ended
    assert back.json("evidence", "verify", "--all")["chain"] == {"ok": True, "length": 3, "gaps": []}


def test_when_the_bucket_is_gone_too_the_copy_brings_it_back(lost: Lost) -> None:
    answer = lost.recover(2, 3, 4, where=str(lost.site.directory / "fire"))
    # his was never copied, and that is said
    assert answer.code == 3, answer
    assert answer.document["copy"] == "fire"
    assert [(row["system"], row["points"]) for row in answer.document["systems"]] == [("his", 0), ("docs", 1)]
    assert all(problem.startswith("his: ") for problem in answer.document["problems"])
    back = Site(lost.host)
    back.temporary = lost.site.temporary
    restore = answer.document["next"][-1].split()[3:]
    assert restore == ["restore", "docs", "--to", "scratch", "--from-copy", "fire"]
    # the folder of the site's own store was never there
    assert back.json(*restore, "--dry-run")["status"] == "planned"


def test_what_cannot_bring_a_host_back_is_named_and_leaves_nothing(lost: Lost, make_bucket: BucketMaker) -> None:
    for answer, code, words in (
        (lost.recover(1, 2), 24, "1 more share is needed"),
        (lost.recover(1, 2, 3, bucket=make_bucket()), 11, "holds no recovery kit"),
        (lost.recover(1, 2, 3, bucket="never-made"), 21, "there is no bucket"),
        (lost.recover(1, 2, 3, into=lost.site.directory / "pages"), 2, "is there already"),
    ):
        assert answer.code == code, answer
        assert words in answer.error["message"]
    assert not lost.host.exists()
    assert not [path for path in lost.site.directory.iterdir() if path.name.startswith(".")]


def test_a_kit_that_was_deleted_from_the_bucket_comes_back_all_the_same(lost: Lost) -> None:
    client = s3_client(lost.store)
    for found in client.list_objects_v2(Bucket=lost.bucket, Prefix="drmgr-recovery/")["Contents"]:
        client.put_object(Bucket=lost.bucket, Key=found["Key"], Body=b"garbage")
        client.delete_object(Bucket=lost.bucket, Key=found["Key"])
    answer = lost.recover(2, 4, 5)
    # the garbage is named, and everything is there
    assert answer.code == 3, answer
    assert answer.document["evidence"] == 1
    assert all("does not open" in problem for problem in answer.document["problems"])
    assert Site(lost.host).json("audit", "verify", "--offline")["ok"] is True
