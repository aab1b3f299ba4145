"""Loads a dump into an empty database."""

import re
import subprocess
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from drmgr.engines.mariadb.accounts import made_name, read_script, renamed
from drmgr.engines.mariadb.capture import ACCOUNTS_NAME, DATABASE_NAME, DUMP_PART, GLOBALS_PART, LAST_LINE
from drmgr.engines.mariadb.connection import Endpoint, Session, connect, plain_reason, quoted, run, told
from drmgr.errors import LoadError, PreflightError
from drmgr.interfaces import Progress
from drmgr.system.command import Command, Process, Runner

POLL_SECONDS = 0.2
TAIL_BYTES = 4096
_DUMP_SHARE, _LOADED_SHARE = 0.02, 0.95

OCCUPIED = """
SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = %s)
     + (SELECT count(*) FROM information_schema.routines WHERE routine_schema = %s)
     + (SELECT count(*) FROM information_schema.events WHERE event_schema = %s)"""

TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE'"


class Loader:
    """Loads one dump with one client program."""

    def __init__(self, runner: Runner, client: Path) -> None:
        self._runner = runner
        self._client = client

    def load(self, restored: Path, into: Endpoint, progress: Progress) -> Endpoint:
        """Accounts, then the database, then their rights in it. Raises LoadError, PreflightError."""
        dump = _the_dump(restored / DUMP_PART)
        makers, grants = _accounts(restored / GLOBALS_PART / ACCOUNTS_NAME)
        progress(0.0, "accounts")
        with closing(connect(into, PreflightError)) as session:
            if into.database:
                _refuse_occupied(session, into.database)
            new = _make_accounts(session, makers)
            loaded = into if into.database else self._create(session, restored, into, dump)
        progress(_DUMP_SHARE, "tables")
        self._restore(dump, loaded, progress)
        progress(_LOADED_SHARE, "rights")
        with closing(connect(loaded, LoadError)) as session, told("the accounts' rights", LoadError):
            ((tables,),) = run(session, TABLES, loaded.database)
            if not tables:
                raise LoadError("the dump was read to its end and brought no tables")
            for grant in grants:
                if _grantee(grant) in new:
                    run(session, renamed(grant, loaded.database))
        progress(1.0, "loaded")
        return loaded

    def _create(self, session: Session, restored: Path, into: Endpoint, dump: Path) -> Endpoint:
        script = restored / GLOBALS_PART / DATABASE_NAME
        if not script.is_file():
            raise LoadError("the statement that makes the database is not there")
        name = unquote(dump.name.removesuffix(".sql"))
        with told("the database could not be made", LoadError):
            run(session, script.read_text(encoding="utf-8").strip().rstrip(";"))
        return replace(into, database=name)

    def _restore(self, dump: Path, into: Endpoint, progress: Progress) -> None:
        argv = (
            *(str(self._client), *into.arguments(), "--batch", "--binary-mode", "--max-allowed-packet=1G"),
            *("--init-command=SET SESSION max_statement_time = 0", f"--database={into.database}"),
        )
        size = dump.stat().st_size
        with self._runner.start(Command(argv, stdin_path=dump)) as process:
            while process.running():
                share = min(1.0, _read_so_far(process) / max(1, size))
                progress(_DUMP_SHARE + (_LOADED_SHARE - _DUMP_SHARE) * share, "tables")
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
            code, stderr = process.wait(), process.stderr_tail()
        if code != 0:
            raise LoadError(f"the database did not load: {_reason(stderr, code)}")


def _the_dump(folder: Path) -> Path:
    found = sorted(folder.glob("*.sql"))
    if len(found) != 1:
        raise LoadError(f"one dump was to be loaded, and the restored part holds {len(found)}")
    with found[0].open("rb") as file:
        file.seek(max(0, found[0].stat().st_size - TAIL_BYTES))
        if LAST_LINE.encode() not in file.read():
            raise LoadError("the dump ends before its last line")
    return found[0]


def _accounts(script: Path) -> tuple[list[str], list[str]]:
    if not script.is_file():
        raise LoadError("the script of the accounts is not there")
    return read_script(script)


def _refuse_occupied(session: Session, database: str) -> None:
    with told("the target database could not be looked at", PreflightError):
        ((count,),) = run(session, OCCUPIED, database, database, database)
    if count:
        raise PreflightError(
            f"the target database {database} is not empty: it holds {count} tables, views, routines or events",
            hint="restores go into an empty database only; create a new one and name it in the site file",
        )


def _make_accounts(session: Session, makers: list[str]) -> frozenset[str]:
    """Makes those that are not there yet and gives their names; the others keep what they have on this server."""
    with told("the accounts could not be made", LoadError):
        there = {
            _account(str(user), str(host)) for user, host in run(session, "SELECT User, Host FROM mysql.global_priv")
        }
        absent = [maker for maker in makers if made_name(maker) not in there]
        for maker in absent:
            run(session, maker)
    return frozenset(made_name(maker) for maker in absent)


def _account(user: str, host: str) -> str:
    return f"{quoted(user)}@{quoted(host)}" if host else quoted(user)


_GRANTEE = re.compile(r" (?:TO|FOR) (`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?)(?: |$)")


def _grantee(grant: str) -> str:
    found = _GRANTEE.findall(grant)
    return found[0] if found else ""


def _read_so_far(process: Process) -> int:
    """How far the client has read its standard input."""
    with suppress(OSError):
        text = Path(f"/proc/{process.pid}/fdinfo/0").read_text(encoding="ascii")
        return int(text.split(maxsplit=2)[1])
    return 0


def _reason(stderr: str, code: int) -> str:
    """The client's first error as number and line of the dump: its own text quotes values."""
    found = re.search(r"ERROR (\d+) \(\w+\) at line (\d+)", stderr)
    if found is None:
        return f"the client ended with code {code}"
    return f"{plain_reason(int(found[1]))} (error {found[1]} at line {found[2]} of the dump)"
