"""A hospital's whole quarter: ten systems, a point every night in real repositories, forty drills with evidence of full size.

The snapshots are written straight into the repositories, in restic's own form: 2,700 backups would take half an hour.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ulid import ULID

from drmgr.cli.wiring.wire import Site, open_site
from drmgr.flows.points import MARK, SEAL_TAG
from drmgr.model import (
    CheckResult,
    CheckStatus,
    DrillRecord,
    Facts,
    Level,
    Member,
    Part,
    PointStatus,
    RecoveryPoint,
    RunKind,
    RunStatus,
    Text,
)
from tests.support.restic_key import Writer
from tests.support.site import Site as Command
from tests.unit.evidence import records
from tests.unit.evidence.quarters import SYSTEMS

NIGHTS = 92
FIRST = datetime(2026, 7, 1, 1, 0, tzinfo=UTC) - timedelta(hours=8)
TABLES, CHECKS, DRILLS = 40, 24, 4

SITE = """
site: {id: hospital, name: {zh: 示例精神专科医院, en: Demo Psychiatric Hospital}, timezone: Asia/Shanghai}
keys: {directory: keys, passphrase: "file:secrets/passphrase"}
store: {kind: folder, path: repositories}
connections:
  main: {engine: postgresql, host: /nowhere, database: main, user: drmgr, password: "file:secrets/passphrase"}
"""
JOB = """
system: {name}
title: {{zh: {zh}, en: {en}}}
tier: {tier}
objectives: {{rpo: {rpo}h, rto: {rto}h}}
sources: [{{name: main, kind: database, connection: main}}]
"""


def big_quarter(directory: Path) -> Command:
    """The site of 2026Q3, all of whose nights were backed up."""
    for folder in ("jobs", "drills", "secrets"):
        (directory / folder).mkdir()
    (directory / "secrets/passphrase").write_text("a passphrase that nobody guesses 42")
    (directory / "secrets/passphrase").chmod(0o600)
    (directory / "drmgr.yaml").write_text(SITE, encoding="utf-8")
    for name, zh, en, tier, rpo, rto in SYSTEMS:
        job = JOB.format(name=name, zh=zh, en=en, tier=tier, rpo=rpo, rto=rto)
        (directory / f"jobs/{name}.yaml").write_text(job, encoding="utf-8")
    command = Command(directory)
    # with passwords as costly as a hospital's: that is a part of what is measured
    command.json("keys", "init")
    command.json("repo", "init")
    with open_site(directory / "drmgr.yaml") as opened:
        for name, *_ in SYSTEMS:
            master = opened.repository(name)._run("cat", "masterkey").stdout
            writer = Writer(directory / "repositories" / name, master)
            for night in range(NIGHTS):
                _night(opened, writer, name, FIRST + timedelta(days=night))
        for record in _drills():
            opened.evidence.seal(record)
    return command


def _night(opened: Site, writer: Writer, system: str, at: datetime) -> None:
    point = str(ULID.from_datetime(at))
    stored = [
        writer.snapshot(at, (MARK, f"system={system}", f"point={point}", f"part={n}")) for n in ("dump", "globals")
    ]
    tables = {
        f"public.table_{n}": {"rows": 100_000 + n, "fingerprint": f"{n:02x}" + os.urandom(15).hex()}
        for n in range(TABLES)
    }
    columns = {f"public.table_{n}.column_{m}": {"type": "text"} for n in range(TABLES) for m in range(8)}
    facts = Facts("postgresql", at, {"tables": tables, "columns": columns}, 3.5)
    parts = (Part("dump", stored[0], 1, 734_003_200, 52_000_000), Part("globals", stored[1], 1, 2048))
    member = Member("main", "postgresql", at, parts, facts, seconds=8.4)
    whole = RecoveryPoint(
        *(point, system, point, at + timedelta(minutes=4), at, PointStatus.COMPLETE, (member,)),
        {"restic": "0.18.0"},
        "backup-01",
    )
    seal = writer.snapshot(at + timedelta(minutes=4), (MARK, f"system={system}", f"point={point}", SEAL_TAG))
    opened.catalog.remember_point(whole, seal)
    run = opened.catalog.open_run(RunKind.BACKUP, system)
    opened.catalog.close_run(run.id, RunStatus.OK, {"recovery_point": point})


def _drills() -> Iterator[DrillRecord]:
    """Four of each system."""
    checks = tuple(
        CheckResult(f"check-{n}", CheckStatus.PASS, Level.BUSINESS, n, n, 0.4, title=Text(f"核对{n}", f"check {n}"))
        for n in range(CHECKS)
    )
    for number in range(len(SYSTEMS) * DRILLS):
        name, zh, en, *_ = SYSTEMS[number % len(SYSTEMS)]
        at = FIRST + timedelta(days=2 * number, hours=2)
        played = records.his()
        system = replace(played.system, id=name, title=Text(zh, en))
        outcome = replace(played, system=system, checks=checks)
        yield replace(
            records.passed(),
            run=str(ULID.from_datetime(at)),
            name=f"{name}-restore",
            title=Text(zh, en),
            outcomes=(outcome,),
            started_at=at,
            finished_at=at + timedelta(minutes=20),
        )
