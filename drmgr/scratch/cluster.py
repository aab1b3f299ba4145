"""A restored PostgreSQL cluster on scratch: its own files, nobody else's settings, replayed to one named instant."""

import re
from collections.abc import Mapping
from pathlib import Path

import psycopg

from drmgr.errors import LoadError, ScratchError
from drmgr.interfaces import Clock
from drmgr.model import Instance, Recipe, RecoveryTarget
from drmgr.scratch.basebackup import BASE_MANIFEST, prove_base
from drmgr.scratch.clusterfiles import Restored, arrange, cut_off, refuse_gaps
from drmgr.scratch.foreign import refuse_foreign_places
from drmgr.scratch.postgres import FAST
from drmgr.scratch.server import PORT, PostgresServer, ServerPlan, give_tree, server_programs
from drmgr.system.command import Command, Runner

REPLAY_SECONDS = 24 * 3600.0

QUIET = {
    # a replay needs a full log after it, and no speed that a crash would punish
    "wal_level": "replica",
    # looking through its checksums is done by a backup into nothing
    "max_wal_senders": "2",
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

BLOCK, BLOCKS = "Database block size", "Blocks per segment of large relation"

TARGETS = {"name": "recovery_target_name", "time": "recovery_target_time", "position": "recovery_target_lsn"}


def start_cluster(recipe: Recipe, plan: ServerPlan, runner: Runner, clock: Clock) -> Instance:
    """Makes the restored parts a data directory, replays the log to the recipe's target, and proves it was reached.

    Raises LoadError when the backup does not get there, ScratchError when this host cannot try.
    """
    if recipe.restored is None or recipe.target is None:
        raise ScratchError(f"{recipe.source}: a physical backup is started from its restored parts")
    restored = Restored(recipe.restored, plan.home)
    manifest = recipe.settings.get("manifest", "")
    arrange(restored, manifest)
    if manifest == BASE_MANIFEST:
        prove_base(restored.data, restored.log, plan.version, runner)
    cut_off(restored.data, recipe.settings["admin"])
    refuse_foreign_places(restored.log, restored.data / "backup_label", recipe.target, plan.version, runner)
    control = _control(restored.data, plan, runner)
    settings = {**FAST, **dict(plan.settings), **QUIET, **_sizes(control)}
    _write_settings(restored.data, recipe.target)
    give_tree(restored.home, plan.user)
    server = PostgresServer(_replayed(plan, settings, recipe), runner, clock)
    try:
        server.start(REPLAY_SECONDS)
    except ScratchError as error:
        raise _why(server.log, recipe.target, error) from error
    _prove(server, recipe)
    refuse_gaps(restored.data, int(control[BLOCK]) * int(control[BLOCKS]))
    return Instance(
        engine=recipe.engine, database=recipe.database, socket=plan.socket, port=PORT, user=recipe.settings["admin"]
    )


def _replayed(plan: ServerPlan, settings: dict[str, str], recipe: Recipe) -> ServerPlan:
    return ServerPlan(
        plan.home, plan.socket, plan.passfile, plan.version, plan.user, recipe.settings["admin"], settings=settings
    )


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


def _control(data: Path, plan: ServerPlan, runner: Runner) -> Mapping[str, str]:
    program = server_programs(plan.version) / "pg_controldata"
    done = runner.run(Command((str(program), f"--pgdata={data}")), timeout=60)
    lines = done.stdout.decode(errors="replace").splitlines()
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if done.code != 0 or not {*AS_IN_PRODUCTION, BLOCK, BLOCKS} <= found.keys():
        raise LoadError("the restored pg_control cannot be read")
    return found


def _sizes(control: Mapping[str, str]) -> dict[str, str]:
    sizes = {setting: control[name] for name, setting in AS_IN_PRODUCTION.items()}
    for setting in ("max_connections", "max_locks_per_transaction"):
        sizes[setting] = str(max(int(sizes[setting]), int(FAST[setting])))
    return sizes


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
