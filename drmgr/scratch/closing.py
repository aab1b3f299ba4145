"""How a proven scratch server of each maker is ended in order, and its files made fit to be production's again."""

import os
import re
import shutil
import signal
from pathlib import Path

import psycopg
import pymysql

from drmgr.errors import LoadError, PreflightError
from drmgr.model import Instance, Member
from drmgr.scratch.clusterfiles import AS_BACKED_UP, REPLACED, TABLESPACE
from drmgr.scratch.mariadb import LOGGED, SOCKET_NAME
from drmgr.scratch.mariadb_copy import SUPERUSER
from drmgr.scratch.server import PORT, server_programs
from drmgr.system.command import Command, Runner

DEBIAN = re.compile(r"/var/lib/postgresql/([0-9]+)/([^/]+)")


class ClosingPostgres:
    """See scratch.inplace.Closing."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def refuse(self, member: Member, data: Path) -> None:
        spaces = data / "pg_tblspc"
        if any(part.name.startswith(TABLESPACE) for part in member.parts) or (
            spaces.is_dir() and any(spaces.iterdir())
        ):
            raise PreflightError(
                f"{member.source} has tablespaces outside of its data directory, which are not swapped along",
                hint="restore with --to scratch, and put them in place by hand",
            )

    def close(self, instance: Instance) -> Path:
        try:
            with psycopg.connect(
                host=str(instance.socket), port=PORT, user=instance.user, dbname="template1", autocommit=True
            ) as session:
                session.execute("CHECKPOINT")
                row = session.execute("SELECT pg_catalog.current_setting('data_directory')").fetchone()
        except psycopg.Error as error:
            raise LoadError("the server that was proven on scratch does not answer any more") from error
        assert row is not None
        data = Path(row[0])
        # fast: ends all sessions and writes a last checkpoint
        os.kill(int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0]), signal.SIGINT)
        return data

    def furnish(self, data: Path) -> None:
        version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        program = server_programs(version) / "pg_controldata"
        done = self._runner.run(Command((str(program), f"--pgdata={data}")), timeout=60)
        if not re.search(rb"^Database cluster state: +shut down$", done.stdout, re.MULTILINE):
            raise LoadError("the server that was proven on scratch did not end in order")
        for name in REPLACED:
            (data / name).unlink(missing_ok=True)
            kept = data.parent / AS_BACKED_UP / name
            if kept.exists():
                shutil.copy(kept, data / name)
        shutil.rmtree(data / "drmgr-log", ignore_errors=True)

    def by_hand(self, data: Path, owner: str) -> str:
        found = DEBIAN.fullmatch(str(data))
        if found:
            return f"systemctl start postgresql@{found[1]}-{found[2]}"
        version = data / "PG_VERSION"
        if not version.exists():
            return f"pg_ctl --pgdata={data} start"
        folder = server_programs(version.read_text(encoding="ascii").strip())
        return f"sudo -u {owner} {folder}/pg_ctl --pgdata={data} start"


class ClosingMariadb:
    """See scratch.inplace.Closing."""

    def refuse(self, member: Member, data: Path) -> None:
        """Links and tables elsewhere were refused by the backup already."""
        del member, data

    def close(self, instance: Instance) -> Path:
        passfile, place = instance.passfile, instance.socket
        assert passfile is not None and place is not None
        password = passfile.read_text(encoding="ascii").split('"')[1]
        try:
            session = pymysql.connect(
                unix_socket=str(place / SOCKET_NAME), user=instance.user, password=password, autocommit=True
            )
            with session, session.cursor() as cursor:
                cursor.execute("SELECT @@datadir")
                row = cursor.fetchone()
                cursor.execute("SET SESSION sql_log_bin = 0")
                # scratch ends fast; here all pages are to be written
                cursor.execute("SET GLOBAL innodb_fast_shutdown = 1")
                cursor.execute(f"DROP USER {SUPERUSER}@localhost")
                cursor.execute("SHUTDOWN")
        except pymysql.Error as error:
            raise LoadError("the server that was proven on scratch does not answer any more") from error
        assert row is not None
        return Path(str(row[0]))

    def furnish(self, data: Path) -> None:
        if not (data / "ibdata1").is_file():
            raise LoadError("the server that was proven on scratch left no files")
        for log in data.glob(f"{LOGGED['log-bin']}.*"):
            log.unlink()

    def by_hand(self, data: Path, owner: str) -> str:
        if str(data) == "/var/lib/mysql":
            return "systemctl start mariadb"
        return f"sudo -u {owner} mariadbd-safe --datadir={data} &"
