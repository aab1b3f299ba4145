"""PostgreSQL on scratch: the version and locale that the source had, tuned to load fast and be thrown away."""

import os
from pathlib import Path

from drmgr.errors import ScratchError
from drmgr.interfaces import Clock
from drmgr.model import Recipe
from drmgr.scratch.server import PORT, SOCKET_BYTES, PostgresServer, ServerPlan, may_enter, server_programs
from drmgr.system.command import Command, Runner, find_program

SUPERUSER = "drmgr_scratch"
"""Unlikely on any production server, so that every role of a dump can be made."""

LARGE_HOST_BYTES = 4 * 1024**3

FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    "max_connections": "50",
    "max_locks_per_transaction": "1024",
}


def memory_of() -> int:
    """Bytes that a server of ``plan_server`` takes while it is loaded: shared buffers, building an index, its processes."""
    return (2 * (256 if _large() else 64) + 64) * 1024**2


def needed_locales(recipe: Recipe) -> list[str]:
    """The operating system's locales that the database asks for."""
    names = {recipe.settings.get("collate", "C"), recipe.settings.get("ctype", "C")}
    return sorted(name for name in names if name not in ("", "C", "POSIX"))


def refuse_missing_locale(recipe: Recipe, runner: Runner) -> None:
    """Raises ScratchError for a locale that this host lacks: sorting by another one would break the indexes."""
    wanted = needed_locales(recipe)
    if not wanted:
        return
    done = runner.run(Command((str(find_program("locale")), "-a")))
    there = {_plain(name) for name in done.stdout.decode(errors="replace").split()}
    for name in wanted:
        if _plain(name) not in there:
            raise ScratchError(
                f"the locale {name} that {recipe.source} needs is not on this host",
                hint=f"add it to /etc/locale.gen and run locale-gen, or: localedef -i {name.split('.')[0]} -f UTF-8 {name}",
            )


def _plain(locale: str) -> str:
    """``zh_CN.UTF-8`` and ``zh_CN.utf8`` are the same."""
    name, _, codeset = locale.partition(".")
    return f"{name}.{codeset.lower().replace('-', '')}" if codeset else name


def fits_socket(directory: Path) -> bool:
    """Whether the path of a socket in that directory is short enough for the kernel."""
    return len(os.fsencode(directory / f".s.PGSQL.{PORT}")) <= SOCKET_BYTES


def plan_server(recipe: Recipe, home: Path, socket: Path, passfile: Path, user: str) -> ServerPlan:
    """The server that takes in the recipe's source."""
    memory = {"shared_buffers": "256MB", "maintenance_work_mem": "256MB"} if _large() else {"shared_buffers": "64MB"}
    return ServerPlan(home, socket, passfile, recipe.version, user, SUPERUSER, settings={**FAST, **memory})


def _large() -> bool:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= LARGE_HOST_BYTES


def check_host(recipe: Recipe, directory: Path, user: str, runner: Runner) -> None:
    """Programs, locale and access, before anything is made. Raises ToolError, ScratchError."""
    server_programs(recipe.version)
    refuse_missing_locale(recipe, runner)
    if not may_enter(directory, user, runner):
        raise ScratchError(
            f"user {user} cannot reach {directory}",
            hint="let others pass through its parent folders (chmod o+x), or name another scratch.directory",
        )


def launch(plan: ServerPlan, runner: Runner, clock: Clock) -> PostgresServer:
    """Makes and starts the server. Raises ScratchError."""
    server = PostgresServer(plan, runner, clock)
    server.create()
    server.start()
    return server
