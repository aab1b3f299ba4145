"""Finds PostgreSQL's own programs in the right version; several majors may be installed side by side."""

import re
from dataclasses import dataclass
from pathlib import Path

from drmgr.errors import ToolError
from drmgr.system.command import Command, Runner, find_program

INSTALLED = (("/usr/lib/postgresql", "{}/bin"), ("/usr", "pgsql-{}/bin"))
"""Where Debian's and Red Hat's packages put them; ``{}`` is the major version."""

NEWEST_MAJOR = 40


@dataclass(frozen=True)
class Program:
    """A program and its full version, for instance ``15.14``."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_client(runner: Runner, name: str, major: int, binaries: Path | None = None) -> Program:
    """The program of that major version, else the next newer one that is there.

    Raises ToolError naming the package when there is none, or when ``binaries`` holds an older one.
    """
    best: Program | None = None
    for path in _candidates(name, major, binaries):
        program = Program(path, _version(runner, path))
        if program.major == major:
            return program
        if program.major > major and (best is None or program.major < best.major):
            best = program
    if best is not None:
        return best
    where = f" in {binaries}" if binaries is not None else ""
    raise ToolError(
        f"{name} of PostgreSQL {major} or newer is not there{where}",
        hint=f"install the package postgresql-client-{major}, or mend the connection's binaries in the site file",
    )


def find_exact(runner: Runner, name: str, major: int, binaries: Path | None = None) -> Path:
    """The program of exactly that major version: files of the server are readable by no other.

    Raises ToolError naming the package.
    """
    for path in _candidates(name, major, binaries):
        if Program(path, _version(runner, path)).major == major:
            return path
    where = f" in {binaries}" if binaries is not None else ""
    raise ToolError(
        f"{name} of PostgreSQL {major} is not there{where}, and one of another version cannot read the server's files",
        hint=f"install the package postgresql-{major}, or mend the connection's binaries in the site file",
    )


def _candidates(name: str, major: int, binaries: Path | None) -> list[Path]:
    if binaries is not None:
        return [binaries / name] if (binaries / name).is_file() else []
    found = [
        Path(root) / below.format(number) / name
        for number in range(major, NEWEST_MAJOR)
        for root, below in INSTALLED
        if (Path(root) / below.format(number) / name).is_file()
    ]
    try:
        found.append(find_program(name))
    except ToolError:
        return found
    return found


def _version(runner: Runner, path: Path) -> str:
    done = runner.run(Command((str(path), "--version")), timeout=30)
    match = re.search(r"\)\s+(\d+(?:\.\d+)*)", done.stdout.decode(errors="replace"))
    if done.code != 0 or match is None:
        raise ToolError(f"{path} does not tell its version", hint="install PostgreSQL's client programs anew")
    return match.group(1)
