"""The integrity of a restored cluster: every database, every file, every page's checksum."""

from dataclasses import replace
from pathlib import Path
from typing import LiteralString

from drmgr.engines.postgres.connection import Endpoint, connect, told
from drmgr.engines.postgres.integrity import check_integrity
from drmgr.errors import SourceError
from drmgr.interfaces import Clock
from drmgr.model import CheckResult, CheckStatus, Level, Text
from drmgr.system.command import Command, Runner

DATABASES: LiteralString = (
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datname <> 'template0' ORDER BY 1"
)
CHECKSUMS: LiteralString = "SELECT pg_catalog.current_setting('data_checksums') = 'on'"

MISSING_FILES: LiteralString = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c
WHERE pg_catalog.pg_relation_filenode(c.oid) IS NOT NULL
  AND (pg_catalog.pg_stat_file(pg_catalog.pg_relation_filepath(c.oid), true)).size IS NULL"""

TITLE = Text(
    zh="整个集群的完整性（pg_amcheck、文件、页校验和）",
    en="Integrity of the whole cluster (pg_amcheck, files, checksums)",
)


def check_cluster(
    runner: Runner, clock: Clock, pg_amcheck: Path, pg_basebackup: Path, endpoint: Endpoint, *, source: str
) -> CheckResult:
    """All databases by pg_amcheck, a file for every table and index, and the checksums of all pages if it has them.

    Raises SourceError when it could not look.
    """
    started = clock.monotonic()
    with connect(endpoint) as session, told("the databases could not be listed"):
        databases = [str(name) for (name,) in session.execute(DATABASES).fetchall()]
        checksums = bool((session.execute(CHECKSUMS).fetchone() or (False,))[0])
    counts: dict[str, int] = {"missing_files": 0}
    failures = []
    for name in databases:
        there = replace(endpoint, database=name)
        counts["missing_files"] += _missing_files(there)
        result = check_integrity(runner, clock, pg_amcheck, there, source)
        for key, value in result.actual.items():
            counts[key] = counts.get(key, 0) + value
        failures += [f"{name}: {result.message}"] if result.status is not CheckStatus.PASS else []
    if counts["missing_files"]:
        failures.append(f"{counts['missing_files']} missing files")
    if checksums and not _checksums_hold(runner, pg_basebackup, endpoint):
        failures.append("checksums do not fit their pages")
    checked = counts.pop("relations_checked", 0)
    actual = {**counts, "relations_checked": checked, "databases": len(databases), "checksums": checksums}
    return CheckResult(
        name="integrity",
        status=CheckStatus.FAIL if failures or not databases else CheckStatus.PASS,
        level=Level.INTEGRITY,
        expected=dict.fromkeys(counts, 0),
        actual=actual,
        seconds=clock.monotonic() - started,
        source=source,
        title=TITLE,
        message=", ".join(failures),
    )


def _missing_files(endpoint: Endpoint) -> int:
    with connect(endpoint) as session, told("the files of the tables could not be looked at"):
        row = session.execute(MISSING_FILES).fetchone()
        return int(row[0]) if row else 0


def _checksums_hold(runner: Runner, pg_basebackup: Path, endpoint: Endpoint) -> bool:
    """A backup into nothing: the server reads every page of every file, and proves it. Raises SourceError."""
    argv = (
        *(str(pg_basebackup), "--target=blackhole", "--wal-method=none", "--checkpoint=fast", "--no-manifest"),
        "--no-password",
    )
    done = runner.run(Command(argv, endpoint.environment()))
    if done.code == 0:
        return True
    if "checksum" in done.stderr:
        return False
    raise SourceError("the checksums of the pages could not be looked through", hint="look into the instance's log")
