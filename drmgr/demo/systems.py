"""The ten systems of the synthetic hospital: where each lives, and what a site file says of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from drmgr.demo.database import BACKUP_ROLE, ProductionServer
from drmgr.demo.mariadb import BACKUP_ACCOUNT, LINK, SECRET_PREFIX, ProductionMariadb
from drmgr.demo.sessions import Database, MariadbDatabase, PostgresDatabase, SqliteDatabase
from drmgr.errors import UsageError
from drmgr.model import Json

Home = Literal["postgresql", "mariadb", "sqlite"]

HOMES: Mapping[str, Home] = {
    "his": "postgresql",
    "emr": "postgresql",
    "lis": "postgresql",
    "pacs": "postgresql",
    "opd-emr": "mariadb",
    "mrm": "postgresql",
    "queue": "sqlite",
    "phr": "mariadb",
    "mi": "postgresql",
    "nis": "mariadb",
}
"""In the order of the hospital's own list."""

PHYSICAL = ("his", "emr")
"""Systems whose server's files are backed up where they lie, so that any minute can be brought back."""

FOLDERS = {"pacs": "pacs-images", "mrm": "mrm-scans"}
"""Systems that hold files beside their database, and the folder of these in the demo."""

DATABASE_SOURCE = {"pacs": "index", "mrm": "index"}
FILES_SOURCE = {"pacs": "images", "mrm": "scans"}


def systems_of(wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The systems to make: all, or the named ones and the HIS, which all of them live on. Raises UsageError."""
    unknown = [name for name in wanted or () if name not in HOMES]
    if unknown:
        raise UsageError(f"there is no system {unknown[0]}", hint=f"known: {', '.join(HOMES)}")
    return tuple(name for name in HOMES if wanted is None or name == "his" or name in wanted)


def database_name(system: str) -> str:
    """A database's name needs no quotes."""
    return system.replace("-", "_")


def connection_names(system: str) -> tuple[str, ...]:
    """The site file's names for where the system's sources live."""
    database = f"{system}-{DATABASE_SOURCE.get(system, 'main')}"
    return (database, f"{system}-{FILES_SOURCE[system]}") if system in FILES_SOURCE else (database,)


class Production:
    """Where the systems of one hospital live."""

    def __init__(self, directory: Path, postgres: ProductionServer, mariadb: ProductionMariadb) -> None:
        self._directory = directory
        self._postgres = postgres
        self._mariadb = mariadb

    def create(self, system: str) -> None:
        """An empty database with its owner."""
        if HOMES[system] == "postgresql":
            self._postgres.create_system(database_name(system))
        elif HOMES[system] == "mariadb":
            self._mariadb.create_system(database_name(system))

    def database(self, system: str) -> Database:
        """The system's database, to be opened as its owner."""
        name = database_name(system)
        if HOMES[system] == "postgresql":
            return PostgresDatabase(self._postgres, name)
        if HOMES[system] == "mariadb":
            return MariadbDatabase(self._mariadb, name)
        return SqliteDatabase(self._directory / sqlite_file(system))

    def present(self) -> tuple[str, ...]:
        """The systems that were made here."""
        return tuple(system for system in HOMES if self._owner_file(system).exists())

    def _owner_file(self, system: str) -> Path:
        owner = f"{database_name(system)}_owner"
        if HOMES[system] == "sqlite":
            return self._directory / sqlite_file(system)
        return (self._mariadb if HOMES[system] == "mariadb" else self._postgres).secret_file(owner)

    def connections(self, systems: Sequence[str]) -> dict[str, dict[str, Json]]:
        """The ``connections`` of a site file in the hospital's directory."""
        found: dict[str, dict[str, Json]] = {}
        for system in systems:
            database, *files = connection_names(system)
            found[database] = self._connection(system)
            found.update({name: {"engine": "files", "root": FOLDERS[system]} for name in files})
        return found

    def _connection(self, system: str) -> dict[str, Json]:
        """Those of PHYSICAL say where the server's files lie."""
        if HOMES[system] == "sqlite":
            return {"engine": "sqlite", "path": str(sqlite_file(system))}
        if HOMES[system] == "mariadb":
            return {
                "engine": "mariadb",
                "host": str(self._mariadb.socket),
                "database": database_name(system),
                "user": BACKUP_ACCOUNT,
                "password": f"file:secrets/{SECRET_PREFIX}{BACKUP_ACCOUNT}",
            }
        return {
            "engine": "postgresql",
            "host": str(self._postgres.socket),
            "port": self._postgres.port,
            "database": database_name(system),
            "user": BACKUP_ROLE,
            "password": f"file:secrets/{BACKUP_ROLE}",
            "sslmode": "disable",
            **(
                {"method": "physical", "data_directory": str(self._postgres.data_directory)}
                if system in PHYSICAL
                else {}
            ),
        }


def attached(directory: Path) -> Production:
    """The systems of a hospital that is up in ``directory``. Raises PreflightError when none is."""
    directory = directory.absolute()
    postgres, mariadb_server = ProductionServer(directory), ProductionMariadb(directory)
    postgres.attach()
    if (directory / LINK).exists():
        mariadb_server.attach()
    return Production(directory, postgres, mariadb_server)


def sqlite_file(system: str) -> Path:
    """Relative to the hospital's directory."""
    return Path("files") / f"{system}.db"
