"""Which programs the benchmark needs, and which they are."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from drmgr import __version__
from drmgr.errors import ToolError
from drmgr.system.command import Command, Runner, find_program

PACKAGES: Mapping[str, str] = {
    "pgbench": "postgresql-contrib",
    "pgbackrest": "pgbackrest",
    "barman": "barman",
    "rsync": "rsync",
    "borg": "borgbackup",
    "mariadb-backup": "mariadb-backup",
    "mariadbd": "mariadb-server",
    "restic": "restic",
}

VERSION_WORDS: Mapping[str, str] = {"restic": "version", "pgbackrest": "version", "barman": "--version"}


def missing() -> dict[str, str]:
    """Programs that are not there, with the Debian package that has each."""
    found = {}
    for program, package in PACKAGES.items():
        try:
            find_program(program, SERVERS)
        except ToolError:
            found[program] = package
    return found


SERVERS = (Path("/usr/sbin"),)


def versions(borgmatic: Path | None) -> list[str]:
    """Each program with its version, for the page."""
    wanted = {program: str(find_program(program, SERVERS)) for program in PACKAGES if program != "mariadbd"}
    if borgmatic is not None:
        wanted["borgmatic"] = str(borgmatic)
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    return [
        f"drmgr {__version__}",
        python,
        *(f"{_called(name)} {_version(name, path)}" for name, path in wanted.items()),
    ]


def _called(program: str) -> str:
    return {"pgbench": "PostgreSQL", "pgbackrest": "pgBackRest", "barman": "Barman", "mariadb-backup": "MariaDB"}.get(
        program, program
    )


def _version(program: str, path: str) -> str:
    done = Runner().run(Command((path, VERSION_WORDS.get(program, "--version"))))
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout.decode(errors="replace") + done.stderr)
    if found is None:
        raise ToolError(f"{program} does not say which version it is")
    return found[0]
