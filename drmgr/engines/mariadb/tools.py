"""MariaDB's own programs."""

from pathlib import Path

from drmgr.errors import ToolError
from drmgr.system.command import find_program

OLD_NAMES = {"mariadb-dump": "mysqldump", "mariadb": "mysql"}


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
    raise ToolError(f"the program {program} is not there{where}", hint="install the package mariadb-client")
