"""pgBackRest, Barman and borgmatic on the same server, each set up as its manual has it."""

import getpass
import os
import secrets
import venv
from pathlib import Path

from bench.measure import Measuring, stored_bytes
from bench.place import file_of, folder_of
from bench.postgres import DATABASE, BenchServer, cores
from drmgr.demo.database import PORT, SUPERUSER
from drmgr.system.command import Command, Runner

PGBACKREST = """\
[global]
repo1-path={home}/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={secret}
repo1-retention-full=99
process-max={cores}
compress-type=zst
start-fast=y
log-path={home}/log
lock-path={home}/lock
spool-path={home}/spool
log-level-file=off
[bench]
pg1-path={data}
pg1-socket-path={socket}
pg1-port={port}
pg1-user={user}
"""

BARMAN = """\
[barman]
barman_user = {account}
barman_home = {home}/barman
barman_lock_directory = {home}/lock
log_file = {home}/log/barman.log
immediate_checkpoint = true
[bench]
description = bench
conninfo = host={socket} port={port} user={user} dbname=postgres
backup_method = local-rsync
reuse_backup = link
parallel_jobs = {cores}
archiver = on
"""

BORGMATIC = """\
repositories:
  - {{path: {home}/repository}}
encryption_passphrase: {secret}
borg_base_directory: {home}/base
user_runtime_directory: {home}/run
user_state_directory: {home}/state
postgresql_databases:
  - {{name: {database}, hostname: {socket}, port: {port}, label: bench, username: {user}, password: "{password}"}}
"""


class PgBackRest:
    """Full, then incremental; zst and AES; it takes the log of its backup by the server's archive_command."""

    name = "pgBackRest"

    def __init__(self, server: BenchServer) -> None:
        self._server = server
        self._home = server.home
        self._first = True

    def begin(self) -> None:
        for folder in ("pgbackrest", "log", "lock", "spool"):
            folder_of(self._server.account, self._home / folder, anew=True)
        text = PGBACKREST.format(
            home=self._home,
            secret=secrets.token_hex(32),
            cores=cores(),
            data=self._server.data,
            socket=self._server.socket,
            port=PORT,
            user=SUPERUSER,
        )
        file_of(self._server.account, self._home / "pgbackrest.conf", text)
        self._server.take_turn("pgbackrest")
        self._call(Measuring(Runner()), "stanza-create")
        self._first = True

    def store(self, measuring: Measuring) -> None:
        self._server.take_turn("pgbackrest")
        self._call(measuring, "backup", f"--type={'full' if self._first else 'incr'}")
        self._first = False

    def restore(self, measuring: Measuring, target: Path) -> None:
        folder_of(self._server.account, target)
        self._call(measuring, "restore", f"--pg1-path={target}")

    def stored(self) -> int:
        return stored_bytes(self._home / "pgbackrest")

    def _call(self, measuring: Measuring, *arguments: str) -> None:
        argv = ("pgbackrest", f"--config={self._home / 'pgbackrest.conf'}", "--stanza=bench", *arguments)
        env = {"PGPASSFILE": str(self._server.passfile)}
        measuring.run(Command(argv, env=env, cwd=self._home, user=self._server.account))


class Barman:
    """rsync on this host, unchanged files linked; this release of it neither compresses nor encrypts such backups."""

    name = "Barman"

    def __init__(self, server: BenchServer) -> None:
        self._server = server
        self._home = server.home

    def begin(self) -> None:
        for folder in ("barman", "log", "lock", "barman/bench", "barman/bench/incoming"):
            folder_of(self._server.account, self._home / folder, anew=folder == "barman")
        text = BARMAN.format(
            home=self._home,
            account=self._server.account or getpass.getuser(),
            socket=self._server.socket,
            port=PORT,
            user=SUPERUSER,
            cores=cores(),
        )
        file_of(self._server.account, self._home / "barman.conf", text)
        self._server.take_turn("barman")
        measuring = Measuring(Runner())
        self._call(measuring, "switch-wal", "--force", "--archive", "bench")

    def store(self, measuring: Measuring) -> None:
        self._server.take_turn("barman")
        self._call(measuring, "backup", "--wait", "bench")

    def restore(self, measuring: Measuring, target: Path) -> None:
        folder_of(self._server.account, target.parent)
        self._call(measuring, "recover", "bench", "latest", str(target))

    def stored(self) -> int:
        return stored_bytes(self._home / "barman")

    def _call(self, measuring: Measuring, *arguments: str) -> None:
        argv = ("barman", "--config", str(self._home / "barman.conf"), *arguments)
        env = {"PGPASSFILE": str(self._server.passfile)}
        measuring.run(Command(argv, env=env, cwd=self._home, user=self._server.account))


class Borgmatic:
    """pg_dump into borg; a restore loads the dump into the database, which no file copy has to do."""

    name = "borgmatic (a dump)"

    def __init__(self, server: BenchServer, home: Path, programs: Path) -> None:
        self._server = server
        self._home = home
        self._programs = programs

    def begin(self) -> None:
        folder_of(None, self._home, anew=True)
        for folder in ("base", "run", "state"):
            folder_of(None, self._home / folder)
        text = BORGMATIC.format(
            home=self._home,
            secret=secrets.token_hex(32),
            database=DATABASE,
            socket=self._server.socket,
            port=PORT,
            user=SUPERUSER,
            password=self._server.production.password(SUPERUSER).reveal(),
        )
        file_of(None, self._home / "config.yaml", text)
        self._call(Measuring(Runner()), "repo-create", "--encryption", "repokey-blake2")

    def store(self, measuring: Measuring) -> None:
        self._server.take_turn("nobody")
        self._call(measuring, "create", "--stats")

    def restore(self, measuring: Measuring, target: Path) -> None:
        folder_of(None, target)
        self._call(measuring, "extract", "--archive", "latest", "--destination", str(target))

    def stored(self) -> int:
        return stored_bytes(self._home / "repository")

    def _call(self, measuring: Measuring, *arguments: str) -> None:
        argv = (str(self._programs / "borgmatic"), "--config", str(self._home / "config.yaml"), *arguments)
        measuring.run(Command(argv, env={"HOME": str(self._home)}, cwd=self._home))


def install_borgmatic(folder: Path) -> Path:
    """borgmatic from PyPI in a throw-away environment of its own; where its programs lie. Raises ToolError."""
    venv.create(folder, with_pip=True)
    argv = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "borgmatic")
    Measuring(Runner()).run(Command(argv, env=_pip_settings()))
    return folder / "bin"


def _pip_settings() -> dict[str, str]:
    """pip's own settings of this account, so that it asks the index that this host is to ask."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
