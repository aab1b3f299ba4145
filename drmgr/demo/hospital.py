"""The whole synthetic hospital in one directory: its servers, its data, and what a site file must say to reach them."""

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from drmgr.demo import his_rows, mariadb, vocabulary
from drmgr.demo.catching_up import Told, catch_up, fill_all
from drmgr.demo.database import ProductionServer, remove_home
from drmgr.demo.his import LOCAL, Bed, Clinic, Scale, write_history
from drmgr.demo.live import Live
from drmgr.demo.loading import CopySink, advance_sequences, last_ids, run_script
from drmgr.demo.mariadb import NAME as MARIADB_NAME
from drmgr.demo.mariadb import ProductionMariadb
from drmgr.demo.objectstore import ObjectStore
from drmgr.demo.systems import FOLDERS, HOMES, Production, systems_of
from drmgr.errors import PreflightError, UsageError
from drmgr.model import Json
from drmgr.system.capacity import cores
from drmgr.system.command import Runner
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    import psycopg

TINY = Scale(visits=300, studies=12)
FACTORS = {"tiny": 1.0, "small": 10.0}
MOST_STUDIES = 4_000
LEAST_FACTOR, LARGEST_FACTOR = 0.1, 100_000
SEED = 20_260_105
BUCKET = "drmgr"
STORE_FOLDER, SECRETS_FOLDER, SQLITE_FOLDER = "objectstore", "secrets", "files"
NEW_VISITS, NEW_STUDIES = 12, 2
LARGE_VISITS = 3_000
"""From here on it is worth while to start processes."""

ADDED: dict[type[tuple[object, ...]], tuple[str, tuple[str, ...]]] = {
    his_rows.DrugStock: ("drug_id", ("quantity",)),
    his_rows.DailySettlement: ("business_date", ("detail_amount", "refund_amount", "net_amount")),
}


def scale_of(text: str) -> Scale:
    """``tiny``, ``small``, or a number that multiplies tiny. Raises UsageError for anything else."""
    try:
        factor = FACTORS[text] if text in FACTORS else float(text)
    except ValueError:
        factor = 0.0
    if not LEAST_FACTOR <= factor <= LARGEST_FACTOR:
        raise UsageError(f"{text} is no scale", hint="a scale is tiny, small, or a number that multiplies tiny")
    return Scale(int(TINY.visits * factor), max(1, min(MOST_STUDIES, int(TINY.studies * factor))))


class Hospital:
    """A hospital that lives in ``directory``, with its PostgreSQL, its image folder and its object store.

    As a context manager it starts the servers and ends them with the block. With ``keep`` they outlive a block that
    ended well, until ``stop_kept``; ``directory`` itself is never removed. ``mariadb_logged``: the MariaDB can be backed up
    physically too. ``workers`` processes fill the systems; None: one per core, where there is much to do. The rows are the
    same for any number. Raises PreflightError for a directory that holds a hospital already: ``clear`` it first.
    """

    def __init__(
        self,
        directory: Path,
        *,
        scale: str = "tiny",
        seed: int = SEED,
        keep: bool = False,
        systems: Sequence[str] | None = None,
        mariadb_logged: bool = False,
        workers: int | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.scale = scale_of(scale)
        self.systems = systems_of(systems)
        if (self.directory / STORE_FOLDER).exists():
            raise PreflightError(
                f"{self.directory} already holds a demo hospital", hint="name another directory, or remove this one"
            )
        self.database = ProductionServer(self.directory, runner=runner)
        self.objectstore = ObjectStore(self.directory / STORE_FOLDER, runner=runner)
        self.mariadb = ProductionMariadb(self.directory, runner=runner, logged=mariadb_logged)
        self.production = Production(self.directory, self.database, self.mariadb)
        self.images = self.directory / FOLDERS["pacs"]
        self._runner = runner or Runner()
        self._workers = workers or (cores() if self.scale.visits >= LARGE_VISITS else 1)
        self._seed = seed
        self._keep = keep
        self._stack = ExitStack()

    def __enter__(self) -> "Hospital":
        with ExitStack() as starting:
            starting.callback(self.database.remove)
            for server in (self.database, self.objectstore):
                starting.callback(server.stop)
                server.start(detached=self._keep)
            if any(HOMES[system] == "mariadb" for system in self.systems):
                starting.callback(self.mariadb.remove)
                starting.callback(self.mariadb.stop)
                self.mariadb.start()
            if any(HOMES[system] == "sqlite" for system in self.systems):
                (self.directory / SQLITE_FOLDER).mkdir(mode=0o700, exist_ok=True)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep and kind is None:
            self._stack.pop_all()
        self._stack.close()

    def fill(self, now: datetime) -> Mapping[str, Mapping[str, int]]:
        """Writes the hospital's history up to ``now``; by system, how many rows each table has, and how many files."""
        for system in self.systems:
            self.production.create(system)
        counts: dict[str, Mapping[str, int]] = {}
        with self._as_owner("his") as connection:
            run_script(connection, "his.sql")
            sink = CopySink(connection, his_rows.TABLES)
            write_history(Clinic(sink, now, seed=self._seed), self.scale, now, seed=self._seed)
            sink.flush()
            run_script(connection, "his-keys.sql")
            advance_sequences(connection, his_rows.TABLES)
            counts["his"] = sink.counts
        others = [system for system in self.systems if system != "his"]
        told = Told(now, self._seed)
        counts |= fill_all(self.production, self.directory, others, told, workers=self._workers, runner=self._runner)
        self._write_store_keys()
        return counts

    def change(self, now: datetime) -> Mapping[str, Mapping[str, int]]:
        """What happened from the newest row until ``now``, a working hour of it at the most.

        In the HIS new visits with orders, charges and payments, a discharge, settlement and stock: one transaction. Then
        every other system works through what it was told. By system, how many rows and files came in.
        """
        with self._as_owner("his") as connection:
            newest = _one(connection, "SELECT max(charged_at) FROM charge")
            since = max(newest, now - timedelta(hours=1))
            self._discharge_one(connection, now)
            sink = CopySink(connection, his_rows.TABLES, ADDED)
            ids = last_ids(connection, his_rows.TABLES)
            seed = self._seed + ids[his_rows.Visit]
            clinic = Clinic(sink, now, seed=seed, last_ids=ids, free_beds=_free_beds(connection))
            rng = random.Random(seed)  # noqa: S311 - the same data each time is the point
            # the newest visits began long enough ago for their orders to be written
            span = max(now - timedelta(minutes=6) - since, timedelta(0))
            for number in range(NEW_VISITS):
                started = since + span * ((number + rng.random()) / NEW_VISITS)
                clinic.visit(started, imaging=number < NEW_STUDIES)
            clinic.balance()
            sink.flush()
            today = now.astimezone(LOCAL).date()
            connection.execute("UPDATE daily_settlement SET closed = TRUE WHERE business_date < %s", (today,))
            advance_sequences(connection, his_rows.TABLES)
        counts: dict[str, Mapping[str, int]] = {"his": sink.counts}
        told = Told(now, self._seed)
        for system in self.systems:
            if system != "his":
                counts[system] = catch_up(self.production, self.directory, system, told)
        return counts

    def connections(self) -> dict[str, dict[str, Json]]:
        """The ``connections`` of a site file in ``directory``."""
        return self.production.connections(self.systems)

    def live(self, rate: float, systems: Sequence[str] | None = None) -> Live:
        """The hospital at work while the block lasts: ``rate`` transactions a second in each of the systems."""
        return Live(self.production, self.systems if systems is None else systems, rate=rate)

    def store(self) -> dict[str, Json]:
        """The ``store`` of a site file in ``directory``: an object-locked bucket that ``repo init`` makes."""
        return {
            "kind": "s3",
            "endpoint": self.objectstore.endpoint,
            "region": self.objectstore.region,
            "bucket": BUCKET,
            "access_key": "file:secrets/s3-access-key",
            "secret_key": "file:secrets/s3-secret-key",
            "object_lock": {"mode": "governance", "days": 1},
        }

    def _discharge_one(self, connection: "psycopg.Connection", now: datetime) -> None:
        found = connection.execute("SELECT visit_id FROM inpatient ORDER BY since LIMIT 1").fetchone()
        if found is None:
            return
        visit, outcome, now = found[0], vocabulary.OUTCOMES[0], now.replace(microsecond=0)
        connection.execute("DELETE FROM inpatient WHERE visit_id = %s", (visit,))
        connection.execute("UPDATE visit SET ended_at = %s, updated_at = %s WHERE id = %s", (now, now, visit))
        connection.execute(
            "INSERT INTO discharge (visit_id, outcome, discharged_at) VALUES (%s, %s, %s)", (visit, outcome, now)
        )

    @contextmanager
    def _as_owner(self, system: str) -> Iterator["psycopg.Connection"]:
        with self.database.connect(system, f"{system}_owner") as connection:
            yield connection

    def _write_store_keys(self) -> None:
        keys = {"s3-access-key": self.objectstore.access_key, "s3-secret-key": self.objectstore.secret_key}
        for name, key in keys.items():
            write_atomically(self.directory / "secrets" / name, key.reveal().encode(), mode=0o600)


def stop_kept(directory: Path) -> tuple[str, ...]:
    """Ends the servers that a kept hospital left running and removes its database; the names of those that ran."""
    ran = MARIADB_NAME if mariadb.end_server(directory) else None
    names = (ObjectStore.stop_detached(directory / STORE_FOLDER), ProductionServer.stop_detached(directory), ran)
    remove_home(directory)
    mariadb.remove_home(directory)
    return tuple(name for name in names if name is not None)


def clear(directory: Path) -> None:
    """Ends what runs for the hospital in ``directory`` and removes what it made there; nothing else is touched."""
    if not (directory / STORE_FOLDER).exists():
        return
    stop_kept(directory)
    for name in (STORE_FOLDER, SECRETS_FOLDER, SQLITE_FOLDER, *FOLDERS.values()):
        shutil.rmtree(directory / name, ignore_errors=True)
    (directory / "database.log").unlink(missing_ok=True)


def _free_beds(connection: "psycopg.Connection") -> list[Bed]:
    taken = set(connection.execute("SELECT ward_id, bed_no FROM inpatient").fetchall())
    wards, beds = range(1, vocabulary.WARDS + 1), range(1, vocabulary.BEDS_PER_WARD + 1)
    return [(ward, bed) for bed in beds for ward in wards if (ward, bed) not in taken]


def _one(connection: "psycopg.Connection", query: str) -> Json:
    row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]
