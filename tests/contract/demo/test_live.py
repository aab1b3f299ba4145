"""The hospital at work while it is backed up: in every view, what was charged is what was paid.

DRMGR_LIVE_ROUNDS=20 makes it the long campaign that ``make faults`` runs.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from drmgr.cli.demo import write_site
from drmgr.cli.wiring.wire import Site, open_site
from drmgr.demo.hospital import Hospital
from drmgr.demo.live import MONEY, TILLS, Live
from drmgr.demo.sessions import Session, one
from drmgr.errors import SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import Instance
from tests.support.folder_sink import FolderSink
from tests.support.folders import passable_directory

ROUNDS = int(os.environ.get("DRMGR_LIVE_ROUNDS", "2"))
RATE = 60.0
COUNTED = {
    "his": "payment",
    "opd-emr": "prescription_payment",
    "queue": "ticket_payment",
    "mi": "settlement_payment",
}


@dataclass
class Working:
    hospital: Hospital
    site: Site
    physical: Site
    """The same, with the method physical for MariaDB too."""


@pytest.fixture(scope="module")
def working() -> Iterator[Working]:
    """A small hospital with the systems that take money, and its sites, by the method of its MariaDB."""
    with passable_directory() as directory, ExitStack() as stack:
        hospital = Hospital(directory / "d", scale="0.2", systems=[*TILLS], mariadb_logged=True)
        stack.enter_context(hospital)
        hospital.fill(datetime.now(UTC) - timedelta(hours=1))
        config = hospital.directory / "drmgr.yaml"
        write_site(hospital, config)
        physical = config.with_name("physical.yaml")
        change = f"    method: physical\n    data_directory: {hospital.mariadb.data_directory}\n"
        text = config.read_text(encoding="utf-8")
        physical.write_text(text.replace("    engine: mariadb\n", f"    engine: mariadb\n{change}"), encoding="utf-8")
        opened = [stack.enter_context(open_site(path)) for path in (config, physical)]
        yield Working(hospital, *opened)


def sums(hospital: Hospital, system: str) -> tuple[Decimal, ...]:
    with hospital.production.database(system).open() as session:
        return tuple(Decimal(str(one(session, query))) for query in MONEY[system])


@contextmanager
def brought_back(site: Site, system: str, engine: str, folder: Path) -> Iterator[tuple[SqlEngine, Instance]]:
    """The system's database captured now, and loaded on scratch."""
    source = site.system(system).sources[0]
    assert source.engine.name == engine
    sink = FolderSink(folder)
    with source.engine.capture() as view:
        view.store(sink)
        facts = view.facts()
    with site.scratch.open(f"live-{system}", 0) as workspace:
        instance = workspace.start(replace(source.engine.recipe(facts), restored=folder))
        loaded = source.engine.load(folder, instance, lambda _share, _word: None)
        yield cast(SqlEngine, source.engine), loaded


MODES = [
    ("his", "postgresql-physical"),
    ("mi", "postgresql"),
    ("opd-emr", "mariadb"),
    ("opd-emr", "mariadb-physical"),
    ("queue", "sqlite"),
]
"""Every engine and mode that is there without a SQL Server."""


@pytest.mark.parametrize(("system", "engine_name"), MODES, ids=[name for _, name in MODES])
def test_every_view_of_a_working_hospital_balances(
    working: Working, system: str, engine_name: str, tmp_path: Path
) -> None:
    seen = []
    site = working.physical if engine_name == "mariadb-physical" else working.site
    chance = random.Random()
    with working.hospital.live(RATE, [system]) as live:
        for number in range(ROUNDS):
            begun = live.counts[system]
            deadline = time.monotonic() + 60
            wanted = begun + chance.randint(1, 30)
            while live.counts[system] < wanted:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            with brought_back(site, system, engine_name, tmp_path / str(number)) as (engine, loaded):
                charged, paid = (Decimal(str(engine.scalar(loaded, query))) for query in MONEY[system])
                rows = engine.scalar(loaded, f"SELECT count(*) FROM {COUNTED[system]}")
            # twenty copies of a server's files would fill a small disk
            shutil.rmtree(tmp_path / str(number))
            assert abs(charged - paid) < Decimal("0.005"), (number, charged, paid)
            seen.append(rows)

    # the data moved between the views, and went on moving while they were taken
    assert seen == sorted(set(seen))
    assert live.counts[system] > ROUNDS
    charged, paid = sums(working.hospital, system)
    assert abs(charged - paid) < Decimal("0.005")


def test_a_half_done_transaction_would_be_seen(working: Working) -> None:
    """The proof above is one: money that is charged and not yet paid makes the sums differ."""
    for system in TILLS:
        with pytest.raises(ZeroDivisionError), working.hospital.production.database(system).open() as session:
            till = TILLS[system](session, random.Random(1))

            def halfway(session: Session = session, system: str = system) -> None:
                charged, paid = (Decimal(str(one(session, query))) for query in MONEY[system])
                assert abs(charged - paid) > Decimal("0.005")
                raise ZeroDivisionError

            till.take(datetime.now(UTC), halfway)


def test_what_stops_a_writer_is_told(working: Working) -> None:
    with working.hospital.production.database("queue").open() as session:
        session.run("ALTER TABLE ticket_payment RENAME TO away")
    try:
        with pytest.raises(SourceError, match="queue"), Live(working.hospital.production, ["queue"], rate=RATE) as live:
            live.wait(60)
    finally:
        with working.hospital.production.database("queue").open() as session:
            session.run("ALTER TABLE away RENAME TO ticket_payment")
