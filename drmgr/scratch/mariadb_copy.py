"""A physical copy of a MariaDB server on scratch: made whole by mariadb-backup, then started as nobody's server."""

import os
import re
from dataclasses import replace
from pathlib import Path

from drmgr.errors import LoadError, ScratchError, ToolError
from drmgr.interfaces import Clock
from drmgr.model import Instance, Recipe
from drmgr.scratch.mariadb import INSTALLED, LOGGED, MariadbPlan, MariadbServer, server_series
from drmgr.scratch.server import give_tree, last_line
from drmgr.system.command import Command, Runner, find_program

ENGINE = "mariadb-physical"
COPY = "backup"

SUPERUSER = "drmgr_scratch"
"""Unlikely on any production server: the copy brings all accounts along, with passwords that are not ours to know."""

OPENING = f"""\
SET sql_log_bin = 0;
CREATE OR REPLACE USER {SUPERUSER}@localhost IDENTIFIED BY '{{password}}';
GRANT ALL PRIVILEGES ON *.* TO {SUPERUSER}@localhost WITH GRANT OPTION;
"""

QUIET = {
    # the copy believes itself to be production: it must not replicate
    "skip-slave-start": "ON",
}

OF_THE_COPY = ("innodb_page_size", "innodb_data_file_path", "innodb_undo_tablespaces", "innodb_checksum_algorithm")
"""What mariadb-backup writes down beside the files, and a server must be told to open them."""

CONFIG = "backup-my.cnf"
LAST_WORDS = "completed OK!"


def start_copy(recipe: Recipe, plan: MariadbPlan, runner: Runner, clock: Clock) -> Instance:
    """Makes the restored files whole and starts a server on them.

    Raises LoadError when they do not become whole, ScratchError and ToolError when this host cannot try.
    """
    if recipe.restored is None:
        raise ScratchError(f"{recipe.source}: a physical backup is started from its restored parts")
    copy = recipe.restored / COPY
    if not (copy / CONFIG).is_file():
        raise LoadError("the copy of the server's files is not there or not whole")
    _refuse_links(copy)
    own = _settings(copy / CONFIG)
    settings = {**plan.settings, **LOGGED, **QUIET, **own}
    server = MariadbServer(replace(plan, settings=settings, superuser=SUPERUSER, opening=OPENING), runner, clock)
    server.furnish()
    copy.rename(server.data)
    give_tree(plan.home, plan.user)
    _prepare(server.data, plan, runner)
    try:
        server.start()
    except ScratchError as error:
        raise LoadError(f"the copy of the server does not start: {error.message}", hint=error.hint) from error
    return server.instance(recipe.database)


def check_series(recipe: Recipe, runner: Runner) -> None:
    """Raises ToolError unless this host has the server and mariadb-backup of the very series of the source."""
    for program, package in (("mariadbd", "mariadb-server"), ("mariadb-backup", "mariadb-backup")):
        found = server_series(runner, program, package)
        if found != recipe.version:
            raise ToolError(
                f"{recipe.source} is a copy of the files of MariaDB {recipe.version}, and {program} on this host is {found}",
                hint=f"install the package {package} of MariaDB {recipe.version} on this host",
            )


def _refuse_links(copy: Path) -> None:
    """A link would lead the server to files that are not its own, perhaps to production's."""
    for folder, folders, names in os.walk(copy):
        for name in (*folders, *names):
            if name.endswith(".isl") or (Path(folder) / name).is_symlink():
                raise LoadError(f"the restored files hold a link named {name} that leads elsewhere")


def _settings(config: Path) -> dict[str, str]:
    text = config.read_text(encoding="utf-8", errors="replace")
    found = dict(re.findall(r"^(\w+)=(\S*)$", text, re.MULTILINE))
    if "/" in found.get("innodb_data_file_path", ""):
        raise LoadError("the restored files name others that lie elsewhere")
    return {name.replace("_", "-"): found[name] for name in OF_THE_COPY if found.get(name)}


def _prepare(data: Path, plan: MariadbPlan, runner: Runner) -> None:
    """Applies the redo log that was copied with the files. Raises LoadError."""
    program = find_program("mariadb-backup", INSTALLED)
    argv = (str(program), "--no-defaults", "--prepare", f"--target-dir={data}", "--use-memory=256M")
    done = runner.run(Command(argv, cwd=plan.home, user=plan.user))
    if done.code != 0 or LAST_WORDS not in last_line(done.stderr):
        lines = [line for line in done.stderr.splitlines() if re.search(r"\[ERROR\]|\bFATAL\b", line)]
        reason = re.sub(r"^.*?\[ERROR\] ", "", lines[0])[:200] if lines else f"it ended with code {done.code}"
        raise LoadError(f"mariadb-backup could not make the copy whole: {reason}")
