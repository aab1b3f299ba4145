"""A site of one file tree, small and quick: what the faults hit is the repository. ``make faults`` plays all of each."""

import os
import random
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.folders import passable_directory
from tests.support.site import Json, Site, digest_of

SITE = """
site: {id: test-hospital, name: {zh: 测试医院, en: Test Hospital}, timezone: Asia/Shanghai}
keys: {directory: keys, passphrase: "file:secrets/passphrase"}
store: {kind: folder, path: repositories}
copies: {fire: {kind: folder, path: fire}}
retention: {within: 1s, daily: 1, weekly: 0, monthly: 0, yearly: 0}
connections: {documents: {engine: files, root: documents}}
restore: {allow: {folders: [restored]}}
"""
JOB = """
system: docs
title: {zh: 文书, en: Documents}
tier: 2
objectives: {rpo: 1h, rto: 2h}
sources: [{name: files, kind: files, connection: documents}]
"""
DRILL = """
drill: docs-restore
title: {zh: 演练, en: Drill}
scenario: storage-lost
systems: [docs]
level: 3
"""


class FaultySite(Site):
    """Knows what every recovery point holds: ``contents`` maps its id to a hash over the tree it was made of."""

    def __init__(self, directory: Path, contents: dict[str, str]) -> None:
        super().__init__(directory)
        self.contents = contents

    def change(self, chance: random.Random) -> str:
        """Other documents, some of the old among them; the hash over them."""
        documents = self.directory / "documents"
        for name in chance.sample(range(12), 4):
            (documents / f"{name}.bin").write_bytes(chance.randbytes(chance.randrange(1000, 120_000)))
        return digest_of(documents)

    def back_up(self, chance: random.Random) -> str:
        """Changes the documents and makes a point of them."""
        content = self.change(chance)
        point = str(self.json("backup", "docs")["runs"][0]["recovery_point"])
        self.contents[point] = content
        return point

    def brought_back(self, point: str, *more: str) -> Json:
        """The digest of the point as it restores; the error's code when it does not."""
        target = self.directory / "restored" / secrets.token_hex(4)
        answer = self.run("restore", "docs", "--point", point, "--to", f"folder:{target}", *more, "--json")
        if answer.code != 0:
            return answer.document.get("error", {}).get("code", "checks")
        found = digest_of(target / "files/files")
        shutil.rmtree(target)
        return found


@pytest.fixture(scope="session")
def faults_template() -> Iterator[FaultySite]:
    """Keys, a repository with two points, and a copy with both."""
    with passable_directory() as directory:
        for folder in ("jobs", "drills", "secrets", "documents", "tmp", "restored"):
            (directory / folder).mkdir()
        (directory / "tmp").chmod(0o711)
        for name, text in (("drmgr.yaml", SITE), ("jobs/docs.yaml", JOB), ("drills/docs-restore.yaml", DRILL)):
            (directory / name).write_text(text, encoding="utf-8")
        (directory / "secrets/passphrase").write_text(secrets.token_urlsafe(24))
        (directory / "secrets/passphrase").chmod(0o600)
        site = FaultySite(directory, {})
        site.init_keys()
        site.init_repositories()
        chance = random.Random(5)
        site.back_up(chance)
        site.back_up(chance)
        site.json("repo", "copy")
        yield site


@contextmanager
def copied(template: FaultySite) -> Iterator[FaultySite]:
    """A copy of the site that a fault may hit."""
    with passable_directory() as directory:
        shutil.copytree(template.directory, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))
        site = FaultySite(directory, dict(template.contents))
        try:
            yield site
        finally:
            site.kill_all()


def moments(few: int, all_of_them: int) -> int:
    """How many of a campaign are played: a few of them with every test run, all by ``make faults``."""
    return all_of_them if os.environ.get("DRMGR_FAULTS") == "all" else few
