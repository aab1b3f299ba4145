"""A data directory on this host: is it the one the connection's server works in, and may it be backed up as it lies?"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from drmgr.engines.postgres.connection import Session, told
from drmgr.errors import DrmgrError, PreflightError
from drmgr.system.command import Command, Runner

OLDEST_MAJOR = 15
"""pg_backup_start, and a pg_receivewal that begins where its slot stands, came with it."""

FUNCTIONS = (
    *("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)", "pg_create_restore_point(text)"),
    *("pg_switch_wal()", "pg_create_physical_replication_slot(name, boolean, boolean)"),
)
"""What is called for a backup on this host; from afar PostgreSQL's own program begins and ends the backup."""

FUNCTIONS_FROM_AFAR = FUNCTIONS[2:]

_SETTINGS: LiteralString = """
SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('data_directory', 'wal_level', 'wal_segment_size',
  'max_replication_slots', 'shared_preload_libraries', 'full_page_writes', 'config_file', 'hba_file', 'ident_file')"""

_CONTROL: LiteralString = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"

_TABLESPACES: LiteralString = """
SELECT oid::text, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace
WHERE pg_catalog.pg_tablespace_location(oid) LIKE '/%'"""

_SLOTS: LiteralString = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots"

_ADMIN: LiteralString = """
SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid <> 10, oid LIMIT 1"""


@dataclass(frozen=True)
class Origin:
    """What is to be known of the server before its files are read; ``admin`` is a superuser that may log in."""

    identifier: str
    segment_size: int
    preload_libraries: str
    admin: str


@dataclass(frozen=True)
class Cluster(Origin):
    """An origin whose files lie on this host.

    ``tablespaces`` maps their numbers to their places, in each of which ``folder`` is this server's own.
    """

    directory: Path
    tablespaces: Mapping[str, Path]
    folder: str
    settings_files: tuple[Path, ...] = ()


def look_at(session: Session, directory: Path, runner: Runner, pg_controldata: Path) -> Cluster:
    """Proves that ``directory`` is the server's own and can be backed up. Raises PreflightError."""
    origin, settings = look_from_afar(session, FUNCTIONS)
    _refuse_other_directory(settings, directory, session.info.user)
    inside = control(runner, pg_controldata, directory)
    found = inside["Database system identifier"]
    if found != origin.identifier:
        raise PreflightError(
            f"{directory} holds the cluster {found}, and the connection's server is the cluster {origin.identifier}",
            hint="mend host, port or data_directory of the connection in the site file",
        )
    _refuse_elsewhere(directory)
    return Cluster(
        **vars(origin),
        directory=directory,
        tablespaces=read_tablespaces(session),
        settings_files=_settings_elsewhere(settings, directory),
        folder=f"PG_{session.info.server_version // 10000}_{inside['Catalog version number']}",
    )


def look_from_afar(session: Session, functions: Sequence[str]) -> tuple[Origin, Mapping[str, str]]:
    """Proves that the server is of the kind, and set, so that its files can be backed up; with the settings read.

    ``functions`` are those that drmgr's account must be able to call. Raises PreflightError.
    """
    _refuse_wrong_kind(session)
    with told("the server's settings could not be read", PreflightError):
        settings: dict[str, str] = dict(session.execute(_SETTINGS).fetchall())
        identifier = _value(session, _CONTROL)
        admin = _value(session, _ADMIN)
    _refuse_settings(session, settings)
    _refuse_rights(session, functions)
    size = int(settings["wal_segment_size"])
    return Origin(identifier, size, settings["shared_preload_libraries"], admin), settings


def _settings_elsewhere(settings: Mapping[str, str], directory: Path) -> tuple[Path, ...]:
    """Debian keeps the settings outside of the data directory: those that drmgr may read, with their conf.d."""
    named = [Path(settings[name]) for name in ("config_file", "hba_file", "ident_file") if settings.get(name)]
    more = [path for file in named[:1] for path in sorted((file.parent / "conf.d").glob("*.conf"))]
    return tuple(
        path
        for path in (*named, *more)
        if path.is_file() and os.access(path, os.R_OK) and directory.resolve() not in path.resolve().parents
    )


def list_tablespaces(session: Session, error: type[DrmgrError] = PreflightError) -> Mapping[str, Path]:
    """Number and place, on the server, of those outside the data directory. Raises ``error``."""
    with told("the tablespaces could not be listed", error):
        return {number: Path(place) for number, place in session.execute(_TABLESPACES).fetchall()}


def read_tablespaces(session: Session) -> Mapping[str, Path]:
    """Number and place of those outside the data directory. Raises PreflightError for one that cannot be read here."""
    found = list_tablespaces(session)
    for place in found.values():
        if not os.access(place, os.R_OK | os.X_OK):
            raise PreflightError(
                f"the tablespace in {place} cannot be read on this host",
                hint="drmgr runs as root or as the server's own account, on the server's own host",
            )
    return found


def control(runner: Runner, pg_controldata: Path, directory: Path) -> Mapping[str, str]:
    """What pg_controldata says of the directory. Raises PreflightError."""
    done = runner.run(Command((str(pg_controldata), f"--pgdata={directory}")), timeout=60)
    lines = done.stdout.decode(errors="replace").splitlines()
    values = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if done.code != 0 or "Database system identifier" not in values:
        raise PreflightError(
            f"{directory} is not a data directory that drmgr's account may read",
            hint="check the connection's data_directory; drmgr runs as root or as the server's own account",
        )
    return values


def _refuse_wrong_kind(session: Session) -> None:
    major = session.info.server_version // 10000
    if major < OLDEST_MAJOR:
        raise PreflightError(
            f"physical backups need PostgreSQL {OLDEST_MAJOR} or newer, and this server is {major}",
            hint="use method: logical for this connection",
        )
    with told("the server's state could not be read", PreflightError):
        if _value(session, "SELECT pg_catalog.pg_is_in_recovery()"):
            raise PreflightError(
                "the server is a standby, and restore points are made on the primary only",
                hint="name the primary as the connection, or use method: logical",
            )


def _refuse_settings(session: Session, settings: Mapping[str, str]) -> None:
    if "data_directory" not in settings:
        raise PreflightError(
            f"user {session.info.user} may not see the server's data_directory",
            hint="grant the role pg_read_all_settings",
        )
    if settings["wal_level"] == "minimal":
        raise PreflightError("wal_level is minimal, so there is no log to recover with", hint="set wal_level = replica")
    with told("the replication slots could not be read", PreflightError):
        if int(_value(session, _SLOTS)) >= int(settings["max_replication_slots"]):
            raise PreflightError(
                "all replication slots of the server are taken, and a backup needs one",
                hint="raise max_replication_slots, or drop a slot that nobody uses",
            )


def _refuse_rights(session: Session, functions: Sequence[str]) -> None:
    with told("the rights of drmgr's account could not be read", PreflightError):
        missing = [name for name in functions if not _may_call(session, name)]
        replicates = _value(
            session, "SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
        )
    if missing:
        raise PreflightError(
            f"user {session.info.user} may not call {', '.join(name.partition('(')[0] for name in missing)}",
            hint="; ".join(f"GRANT EXECUTE ON FUNCTION {name} TO {session.info.user}" for name in missing),
        )
    if not replicates:
        raise PreflightError(
            f"user {session.info.user} may not use replication slots",
            hint=f"ALTER ROLE {session.info.user} REPLICATION",
        )


def _may_call(session: Session, function: str) -> bool:
    query = "SELECT pg_catalog.has_function_privilege(%s, 'EXECUTE')"
    row = session.execute(query, (f"pg_catalog.{function}",)).fetchone()
    return bool(row and row[0])


def _refuse_other_directory(settings: Mapping[str, str], directory: Path, user: str) -> None:
    if not os.access(directory / "global" / "pg_control", os.R_OK):
        raise PreflightError(
            f"{directory} is not a data directory that drmgr's account may read",
            hint="check the connection's data_directory; drmgr runs as root or as the server's own account",
        )
    theirs = Path(settings["data_directory"])
    if theirs.resolve() != directory.resolve():
        raise PreflightError(
            f"the server that user {user} reached works in {theirs}, and the site file says {directory}",
            hint="mend host, port or data_directory of the connection in the site file",
        )


def _refuse_elsewhere(directory: Path) -> None:
    """Data behind a symbolic link would be missing from the backup."""
    for entry in os.scandir(directory):
        if entry.is_symlink() and entry.name != "pg_wal" and not re.search(r"\.(conf|crt|key|pem)$", entry.name):
            raise PreflightError(
                f"{entry.path} is a symbolic link, and what lies behind it would be missing from the backup",
                hint="use method: logical for this connection",
            )


def _value(session: Session, query: LiteralString) -> str:
    row = session.execute(query).fetchone()
    if row is None:
        raise PreflightError("the server did not say what it was asked", hint="look into the server's log")
    return row[0]  # type: ignore[no-any-return]
