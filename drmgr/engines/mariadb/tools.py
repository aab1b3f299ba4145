"""MariaDB's own programs."""

import re
from pathlib import Path

from drmgr.errors import ToolError
from drmgr.system.command import Command, Runner, find_program

OLD_NAMES = {
    "mariadb-dump": "mysqldump",
    "mariadb": "mysql",
    "mariadb-binlog": "mysqlbinlog",
    "mariadb-backup": "mariabackup",
}
PACKAGES = {"mariadb-backup": "mariadb-backup"}


def find_client(program: str, binaries: Path | None) -> Path:
    """The program in ``binaries``, or in PATH when that is None. Raises ToolError naming the package."""
    for name in (program, OLD_NAMES[program]):
        if binaries is not None and (binaries / name).is_file():
            return binaries / name
    if binaries is None:
        for name in (program, OLD_NAMES[program]):
            try:
                return find_program(name)
            except ToolError:
                continue
    where = "" if binaries is None else f" in {binaries}"
    package = PACKAGES.get(program, "mariadb-client")
    raise ToolError(f"the program {program} is not there{where}", hint=f"install the package {package}")


def find_series(program: str, binaries: Path | None, server: str, runner: Runner) -> Path:
    """The program, of the very series of the server that calls itself ``server``. Raises ToolError naming the package."""
    path = find_client(program, binaries)
    told = runner.run(Command((str(path), "--version")))
    found = series_of(told.stdout.decode(errors="replace") + told.stderr)
    wanted = series_of(server)
    if found != wanted:
        package = PACKAGES.get(program, "mariadb-client")
        raise ToolError(
            f"{path} is of MariaDB {found or 'an unknown series'}, and the server is {wanted}",
            hint=f"install the package {package} of MariaDB {wanted}, or name its folder as the connection's binaries",
        )
    return path


def version_of(program: str, binaries: Path | None, runner: Runner) -> str:
    """As the program itself tells it, such as ``10.11.6``. Raises ToolError."""
    path = find_client(program, binaries)
    told = runner.run(Command((str(path), "--version")))
    found = re.search(r"\b\d+\.\d+\.\d+", told.stdout.decode(errors="replace") + told.stderr)
    if told.code != 0 or found is None:
        package = PACKAGES.get(program, "mariadb-client")
        raise ToolError(f"{path} does not tell its version", hint=f"install the package {package} anew")
    return found[0]


def series_of(text: str) -> str:
    """The first version in the text as ``10.11``; empty when there is none."""
    found = re.search(r"\b(\d+\.\d+)\.\d+", text)
    return found[1] if found else ""
