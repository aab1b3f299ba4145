"""A MariaDB server with a binary log, and a workbench to back it up on, by its files or by a dump."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drmgr.engines.mariadb import MariadbEngine
from drmgr.engines.mariadb.physical import PhysicalMariadbEngine
from drmgr.engines.mariadb.shipper import MariadbLogShipper
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.grounds import Grounds
from tests.support.mariadb import SERVER_USER, MariadbServer

NOTES = (
    "CREATE TABLE note (id int AUTO_INCREMENT PRIMARY KEY, at timestamp(6) DEFAULT current_timestamp(6), text text)"
    " CHARACTER SET utf8mb4; INSERT INTO note (text) VALUES ('一')"
)


class MariadbPlace(Grounds[MariadbEngine]):
    """A system ``his`` with one source ``main``: a database of its own on the server."""

    def __init__(
        self,
        directory: Path,
        server: MariadbServer,
        *,
        physical: bool = True,
        real: bool = False,
        integrity: bool = False,
    ) -> None:
        self.server = server
        self.directory = directory
        self.database = server.create_database()
        self.sql(NOTES)
        engine = self.physical() if physical else self.make(MariadbEngine, logged=True)
        super().__init__(directory, engine, MariadbLogShipper, SERVER_USER, real=real, integrity=integrity)

    def make(self, kind: type[MariadbEngine], **options: Any) -> MariadbEngine:
        defaults: dict[str, Any] = {"runner": Runner(), "clock": SystemClock(), "runtime": self.directory / "runtime"}
        connection = replace(self.server.connection(self.database), binaries=options.pop("binaries", None))
        return kind("main", connection, **(defaults | options))

    def physical(self, **options: Any) -> PhysicalMariadbEngine:
        defaults = {"data_directory": self.server.private.data, "staging": self.directory / "staging"}
        made = self.make(PhysicalMariadbEngine, **(defaults | options))
        assert isinstance(made, PhysicalMariadbEngine)
        return made

    def sql(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        return self.server.execute(self.database, statement)

    def now(self) -> datetime:
        """The server's own clock."""
        ((now,),) = self.sql("SELECT UTC_TIMESTAMP(6)")
        assert isinstance(now, datetime)
        return now.replace(tzinfo=UTC)

    def gtid(self) -> str:
        """The last transaction in the server's log."""
        ((gtid,),) = self.sql("SELECT @@gtid_binlog_pos")
        return str(gtid)
