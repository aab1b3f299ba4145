"""One PostgreSQL and one site for all of these tests; each test works on a copy of the site."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drmgr.demo.objectstore import ObjectStore
from tests.support.fault_proxy import FaultProxy
from tests.support.folders import passable_directory
from tests.support.objectstore import BucketMaker, fill_bucket, make_bucket, object_store
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.site import Site

__all__ = ["make_bucket", "object_store"]

VISITS = 40

SITE = """
site: {{id: test-hospital, name: {{zh: 测试医院, en: Test Hospital}}, timezone: Asia/Shanghai}}
keys: {{directory: keys, passphrase: "file:secrets/passphrase"}}
store: {{kind: folder, path: repositories}}
connections:
  his-main: {{engine: postgresql, host: {socket}, database: his, user: drmgr, password: "file:secrets/his"}}
  his-alias: {{engine: postgresql, host: {socket}, database: his, user: postgres, password: "file:secrets/super"}}
  standby: {{engine: postgresql, host: {socket}, database: standby, user: postgres, password: "file:secrets/super"}}
  other: {{engine: postgresql, host: {socket}, database: standby, user: postgres, password: "file:secrets/super"}}
  documents: {{engine: files, root: documents}}
restore: {{allow: {{connections: [his-alias, standby, his-main], folders: [restored]}}}}
restic: {{program: restic}}
"""

HIS_JOB = """
system: his
title: {zh: 医院信息系统, en: HIS}
tier: 1
objectives: {rpo: 1h, rto: 2h}
sources:
  - {name: main, kind: database, connection: his-main, newest: [{table: public.visit, column: at}]}
checks:
  - {name: visits, kind: sql, title: {zh: 就诊, en: visits}, source: main, sql: SELECT count(*) FROM visit, expect: {equals: 40}}
  - {name: newest-visit, kind: freshness, title: {zh: 新, en: fresh}, source: main, table: public.visit, column: at, within: 1d}
"""

DOCS_JOB = """
system: docs
title: {zh: 文书, en: Documents}
tier: 2
objectives: {rpo: 1h, rto: 2h}
sources:
  - {name: files, kind: files, connection: documents}
"""

DRILL = """
drill: {system}-restore
title: {{zh: 演练, en: Drill}}
scenario: server-lost
systems: [{system}]
level: {level}
"""


def _write_site(directory: Path, server: PostgresServer, database_password: str) -> None:
    (directory / "drmgr.yaml").write_text(SITE.format(socket=server.socket), encoding="utf-8")
    for folder in ("jobs", "drills", "secrets", "documents/2026", "tmp"):
        (directory / folder).mkdir(parents=True)
    (directory / "tmp").chmod(0o711)
    (directory / "jobs/his.yaml").write_text(HIS_JOB, encoding="utf-8")
    (directory / "jobs/docs.yaml").write_text(DOCS_JOB, encoding="utf-8")
    for system, level in (("his", 4), ("docs", 3)):
        text = DRILL.format(system=system, level=level)
        (directory / f"drills/{system}-restore.yaml").write_text(text, encoding="utf-8")
    passwords = {"passphrase": secrets.token_urlsafe(24), "his": database_password, "super": server.password}
    for name, secret in passwords.items():
        (directory / "secrets" / name).write_text(secret)
        (directory / "secrets" / name).chmod(0o600)
    # larger than all else, so that the largest pack of its repository is known to hold it
    (directory / "documents/scan.bin").write_bytes(secrets.token_bytes(300_000))
    for number in range(5):
        (directory / f"documents/2026/{number}.txt").write_text(f"文书 {number}", encoding="utf-8")


def fill_server(server: PostgresServer) -> str:
    """Two databases, one with visits, and drmgr's account; the account's password."""
    password = secrets.token_urlsafe(18)
    server.create_database("his")
    server.create_database("standby")
    server.execute("postgres", f"CREATE ROLE drmgr LOGIN BYPASSRLS PASSWORD '{password}'")
    server.execute("postgres", "GRANT pg_read_all_data TO drmgr")
    server.execute(
        "his",
        "CREATE TABLE visit (id int PRIMARY KEY, at timestamptz NOT NULL); INSERT INTO visit "
        f"SELECT n, now() - n * interval '1 minute' FROM generate_series(1, {VISITS}) n",
    )
    return password


@pytest.fixture(scope="session")
def database() -> Iterator[tuple[PostgresServer, str]]:
    """The production server, which no test may stop, and the password of drmgr's account on it."""
    with postgres_server() as server:
        yield server, fill_server(server)


@pytest.fixture(scope="session")
def empty_template(database: tuple[PostgresServer, str]) -> Iterator[Site]:
    """The site with keys, and with repositories in which there is nothing yet."""
    with passable_directory() as directory:
        _write_site(directory, *database)
        site = Site(directory)
        site.init_keys()
        site.init_repositories()
        yield site


@pytest.fixture(scope="session")
def template(empty_template: Site) -> Iterator[Site]:
    """The site with one recovery point of each system."""
    with _copied(empty_template) as site:
        site.json("backup", "--all")
        yield site


@contextmanager
def _copied(template: Site) -> Iterator[Site]:
    with passable_directory() as directory:
        shutil.copytree(template.directory, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))
        site = Site(directory)
        try:
            yield site
        finally:
            site.kill_all()


@pytest.fixture
def site(template: Site) -> Iterator[Site]:
    """A copy of the template. When the test is over, nothing of what ran in it may be left."""
    with _copied(template) as copied:
        yield copied
        copied.assert_clean()


@pytest.fixture(scope="session")
def drilled_template(template: Site) -> Iterator[Site]:
    """A site whose two drills have been played; ``first-drill.json`` and ``second-drill.json`` are their answers."""
    with _copied(template) as copied:
        for name, drill in (("first-drill", "his-restore"), ("second-drill", "docs-restore")):
            answer = copied.run("drill", "run", drill, "--json")
            assert answer.code == 0, answer
            (copied.directory / f"{name}.json").write_text(answer.out)
        copied.assert_clean()
        yield copied


@pytest.fixture
def drilled(drilled_template: Site) -> Iterator[Site]:
    """A copy of the site whose drills have been played."""
    with _copied(drilled_template) as copied:
        yield copied
        copied.assert_clean()


@pytest.fixture
def bucket_site(site: Site, object_store: ObjectStore, make_bucket: BucketMaker) -> Site:
    """A copy whose store is a bucket that holds nothing yet."""
    use_bucket(site, object_store, make_bucket())
    return site


@pytest.fixture
def seeded_site(empty_site: Site, object_store: ObjectStore, make_bucket: BucketMaker) -> Site:
    """A copy whose store is a bucket with repositories in which there is nothing yet."""
    bucket = make_bucket()
    fill_bucket(object_store, bucket, empty_site.directory / "repositories")
    use_bucket(empty_site, object_store, bucket)
    return empty_site


def use_bucket(site: Site, store: ObjectStore, bucket: str) -> None:
    """Points the site at that bucket."""
    for name, key in (("s3-access", store.access_key), ("s3-secret", store.secret_key)):
        (site.directory / "secrets" / name).write_text(key.reveal())
        (site.directory / "secrets" / name).chmod(0o600)
    settings = {
        "kind": "s3",
        "endpoint": store.endpoint,
        "bucket": bucket,
        "access_key": "file:secrets/s3-access",
        "secret_key": "file:secrets/s3-secret",
    }
    site.edit(lambda document: document.update(store=settings))
    site.edit(lambda document: document.setdefault("restic", {}).update(patience="3s"))


@pytest.fixture
def empty_site(empty_template: Site) -> Iterator[Site]:
    """A copy of the site in whose repositories there is nothing yet."""
    with _copied(empty_template) as copied:
        yield copied
        copied.assert_clean()


@pytest.fixture
def locked_site(empty_site: Site, object_store: ObjectStore, make_bucket: BucketMaker) -> Site:
    """A site whose bucket locks objects for ten days, with one recovery point of the documents."""
    site, bucket = empty_site, make_bucket(locked=True)
    fill_bucket(object_store, bucket, site.directory / "repositories", "docs", locked_days=10)
    use_bucket(site, object_store, bucket)
    site.edit(lambda document: document["store"].update(object_lock={"mode": "compliance", "days": 10}))
    site.json("repo", "init", "docs")
    site.json("backup", "docs")
    return site


@pytest.fixture
def proxy(locked_site: Site, object_store: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(object_store.endpoint) as running:
        locked_site.edit(lambda document: document["store"].update(endpoint=running.endpoint))
        yield running


def bucket_of(site: Site) -> str:
    return str(site.json("config", "show")["site"]["store"]["bucket"])
