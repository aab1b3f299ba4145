"""A restored PostgreSQL cluster on scratch: its own files, nobody else's settings, replayed to one named instant."""

import getpass
import os
import pwd
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg

from drmgr.errors import LoadError, ScratchError
from drmgr.interfaces import Clock
from drmgr.model import Instance, Recipe, RecoveryTarget
from drmgr.scratch.postgres import FAST
from drmgr.scratch.server import PORT, PostgresServer, ServerPlan, account_of, server_programs
from drmgr.system.command import Command, Runner

REPLAY_SECONDS = 24 * 3600.0

CLUSTER, LABEL, WAL = "cluster", "label", "wal"
EMPTIED = ("pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans")
REPLACED = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")

QUIET = {
    # a replay needs a full log after it, and no speed that a crash would punish
    "wal_level": "replica",
    "hot_standby": "off",
    # nothing of the restored cluster may reach out: it believes itself to be production
    "archive_mode": "off",
    "max_replication_slots": "0",
    "max_logical_replication_workers": "0",
    "shared_preload_libraries": "",
    "lc_messages": "C",
    "log_directory": "drmgr-log",
    "logging_collector": "off",
    "ssl": "off",
}

AS_IN_PRODUCTION = {
    "max_connections setting": "max_connections",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
"""What a replay must not have less of, as pg_controldata calls it."""

TARGETS = {"name": "recovery_target_name", "time": "recovery_target_time", "position": "recovery_target_lsn"}


@dataclass(frozen=True)
class Restored:
    """Where the parts lie, and the home the server gets."""

    parts: Path
    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "wal"


def start_cluster(recipe: Recipe, plan: ServerPlan, runner: Runner, clock: Clock) -> Instance:
    """Makes the restored parts a data directory, replays the log to the recipe's target, and proves it was reached.

    Raises LoadError when the backup does not get there, ScratchError when this host cannot try.
    """
    if recipe.restored is None or recipe.target is None:
        raise ScratchError(f"{recipe.source}: a physical backup is started from its restored parts")
    restored = Restored(recipe.restored, plan.home)
    _arrange(restored)
    _make_safe(restored.data, recipe.settings["admin"])
    settings = {**FAST, **dict(plan.settings), **QUIET, **_sizes(restored.data, plan, runner)}
    _write_settings(restored.data, recipe.target)
    _own(restored.home, plan.user)
    server = PostgresServer(_replayed(plan, settings, recipe), runner, clock)
    try:
        server.start(REPLAY_SECONDS)
    except ScratchError as error:
        raise _why(server.log, recipe.target, error) from error
    _prove(server, recipe)
    return Instance(
        engine=recipe.engine, database=recipe.database, socket=plan.socket, port=PORT, user=recipe.settings["admin"]
    )


def _replayed(plan: ServerPlan, settings: dict[str, str], recipe: Recipe) -> ServerPlan:
    return ServerPlan(
        plan.home, plan.socket, plan.passfile, plan.version, plan.user, recipe.settings["admin"], settings=settings
    )


def _arrange(restored: Restored) -> None:
    """Moves the parts to where the server wants them; all lie on one file system, so nothing is copied."""
    for part in (CLUSTER, LABEL, WAL):
        if not (restored.parts / part).is_dir():
            raise LoadError(f"the part {part} of the physical backup is not there")
    (restored.parts / CLUSTER).rename(restored.data)
    (restored.parts / WAL).rename(restored.log)
    shutil.copyfile(restored.parts / LABEL / "backup_label", restored.data / "backup_label")
    for shipped in sorted(restored.parts.glob("logs-*")):
        for file in shipped.iterdir():
            # a segment that is in the backup and was shipped as well is the same segment
            if not (restored.log / file.name).exists():
                file.rename(restored.log / file.name)
    for partial in restored.log.glob("*.partial"):
        whole = partial.with_suffix("")
        if not whole.exists():
            partial.rename(whole)


def _make_safe(data: Path, admin: str) -> None:
    """Takes away all that ties the files to production. Raises LoadError for a link that leads out of them."""
    for entry in os.scandir(data):
        if entry.is_symlink():
            if not re.search(r"\.(conf|crt|key|pem)$", entry.name):
                raise LoadError(f"the restored files hold a link named {entry.name} that leads elsewhere")
            Path(entry.path).unlink()
    if any((data / "pg_tblspc").iterdir()):
        raise LoadError("the restored files have tablespaces elsewhere")
    for name in (*REPLACED, "standby.signal", "recovery.signal", "postmaster.pid"):
        (data / name).unlink(missing_ok=True)
    for name in EMPTIED:
        (data / name).mkdir(mode=0o700, exist_ok=True)
    (data / "pg_wal" / "archive_status").mkdir(mode=0o700, parents=True)
    # the roles are production's, so nobody's password is ours to know: who may open the socket is settled by the
    # operating system, and the socket lies in a directory that only we can enter
    role, us = admin.replace('"', '""'), getpass.getuser() if os.geteuid() else "root"
    (data / "pg_hba.conf").write_text(f'local all "{role}" peer map=drmgr\n', encoding="utf-8")
    (data / "pg_ident.conf").write_text(f'drmgr {us} "{role}"\n', encoding="utf-8")


def _write_settings(data: Path, target: RecoveryTarget) -> None:
    value = target.value.replace("'", "''")
    lines = (
        # PostgreSQL runs this with a shell: nothing in it comes from outside, for it works in the data directory and
        # puts in only names of log files, which it made itself
        "restore_command = 'cp ../wal/%f %p'",
        f"{TARGETS[target.kind]} = '{value}'",
        "recovery_target_action = 'promote'",
        "recovery_target_timeline = 'latest'",
    )
    (data / "postgresql.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (data / "postgresql.auto.conf").write_text("", encoding="utf-8")
    (data / "recovery.signal").touch()


def _sizes(data: Path, plan: ServerPlan, runner: Runner) -> dict[str, str]:
    program = server_programs(plan.version) / "pg_controldata"
    done = runner.run(Command((str(program), f"--pgdata={data}")), timeout=60)
    lines = done.stdout.decode(errors="replace").splitlines()
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if done.code != 0 or not AS_IN_PRODUCTION.keys() <= found.keys():
        raise LoadError("the restored pg_control cannot be read")
    sizes = {setting: found[name] for name, setting in AS_IN_PRODUCTION.items()}
    for setting in ("max_connections", "max_locks_per_transaction"):
        sizes[setting] = str(max(int(sizes[setting]), int(FAST[setting])))
    return sizes


def _own(home: Path, user: str) -> None:
    """Gives all of it to the account the server runs as, and closes it to everybody else. Raises ScratchError."""
    account = account_of(user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    for folder, _, names in os.walk(home):
        place = Path(folder)
        place.chmod(0o700)
        for path in (place, *(place / name for name in names)):
            if os.geteuid() == 0:
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _why(log: Path, target: RecoveryTarget, error: ScratchError) -> ScratchError:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if "recovery ended before configured recovery target was reached" in text:
        return LoadError(
            f"the log ends before {target.kind} {target.value}: the recovery did not reach it",
            hint="choose an earlier time; see: drmgr points SYSTEM",
        )
    fatal = [line for line in text.splitlines() if re.search(r"\b(FATAL|PANIC):", line)]
    if fatal:
        return LoadError(f"the restored cluster did not recover: {fatal[-1].split(':  ', 1)[-1][:200]}")
    return error


def _prove(server: PostgresServer, recipe: Recipe) -> None:
    """The server says that it stopped at the target and not where its log happened to end. Raises LoadError."""
    text = server.log.read_text(encoding="utf-8", errors="replace")
    if not re.search(r"LOG:  recovery stopping (before|after|at)", text):
        raise LoadError("the server does not say that it reached the recovery target")
    instance = server.instance("template1")
    try:
        with psycopg.connect(
            host=str(instance.socket),
            port=PORT,
            user=instance.user,
            dbname="template1",
            passfile=str(instance.passfile),
        ) as session:
            row = session.execute(
                "SELECT pg_catalog.pg_is_in_recovery(), (SELECT system_identifier::text FROM pg_catalog.pg_control_system())"
            ).fetchone()
    except psycopg.Error as error:
        raise ScratchError("the recovered cluster does not answer") from error
    if row is None or row[0]:
        raise LoadError("the cluster is still recovering")
    if row[1] != recipe.settings["system_identifier"]:
        raise LoadError("the restored files are those of another cluster")
