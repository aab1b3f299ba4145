"""The server's binary log, as the server tells of it: is it whole and readable, whose is it, where does it stand."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drmgr.engines.mariadb.binlog import Place
from drmgr.engines.mariadb.connection import Session, run, told
from drmgr.engines.mariadb.preflight import GRANTED
from drmgr.errors import PreflightError
from drmgr.model import Json

SHIPPING_RIGHTS = (("BINLOG MONITOR", "REPLICATION CLIENT"), ("REPLICATION SLAVE",), ("RELOAD",))
"""Each by its name, or by the one that older servers give it."""

LEAST_KEPT_SECONDS = 3600

TIMELINE = 1
"""A log of MariaDB has no timelines: a new beginning is another chain."""

_SETTINGS = """
SELECT @@log_bin, @@binlog_format, @@encrypt_binlog, @@binlog_checksum, @@log_slave_updates, @@expire_logs_days * 86400"""


@dataclass(frozen=True)
class LogPlace:
    """Where the log stands: ``name`` and ``offset``, and the last transaction of each domain before it."""

    name: str
    offset: int
    gtid: str

    @property
    def place(self) -> Place:
        return Place.parse(str(self))

    def __str__(self) -> str:
        return f"{self.name}:{self.offset}"


def check_log(session: Session) -> None:
    """Raises PreflightError when the log is not there, does not hold everything, or may not be read."""
    with told("the binary log's settings could not be read", PreflightError):
        ((on, form, encrypted, sums, updates, kept),) = run(session, _SETTINGS)
        _refuse_settings((on, form, encrypted, sums), float(kept))
        _refuse_rights(session)
        _refuse_filters(session, updates=bool(updates))


def _refuse_settings(settings: tuple[Any, ...], kept: float) -> None:
    on, form, encrypted, sums = settings
    if not on:
        raise PreflightError("the server writes no binary log", hint="set log_bin, binlog_format = ROW and server_id")
    if form != "ROW":
        raise PreflightError(
            f"binlog_format is {form}, and a replay of statements is not sure to give the same data",
            hint="set binlog_format = ROW",
        )
    if encrypted:
        raise PreflightError(
            "the binary log is encrypted, which drmgr cannot read",
            hint="turn encrypt_binlog off; drmgr's repository is encrypted itself",
        )
    if sums == "NONE":
        raise PreflightError(
            "the binary log has no checksums, so nobody can tell whether it is whole",
            hint="set binlog_checksum = CRC32",
        )
    if 0 < kept < LEAST_KEPT_SECONDS:
        raise PreflightError(
            f"the server removes its binary logs after {kept:.0f} s, maybe before they are shipped",
            hint="raise expire_logs_days or binlog_expire_logs_seconds to days",
        )


def _refuse_rights(session: Session) -> None:
    granted = {str(name) for (name,) in run(session, GRANTED)}
    missing = [names[0] for names in SHIPPING_RIGHTS if not granted & set(names)]
    if missing:
        raise PreflightError(
            f"drmgr's account lacks global rights to read the binary log: {', '.join(missing)}",
            hint=f"GRANT {', '.join(missing)} ON *.* to it; none of them can change data",
        )


def _refuse_filters(session: Session, *, updates: bool) -> None:
    for _, _, only, without, *_ in run(session, "SHOW MASTER STATUS"):
        if only or without:
            raise PreflightError(
                "the server leaves databases out of its binary log (binlog_do_db, binlog_ignore_db)",
                hint="log all databases",
            )
    running = run(session, "SHOW GLOBAL STATUS LIKE 'Slaves_running'")
    if not updates and any(int(value) for _, value in running):
        raise PreflightError(
            "the server is a replica that does not log what it replicates", hint="set log_slave_updates = ON"
        )


def read_place(session: Session) -> LogPlace:
    """Where the log stands now. Raises pymysql.Error; PreflightError without a log."""
    rows = run(session, "SHOW MASTER STATUS")
    if not rows:
        raise PreflightError("the server writes no binary log", hint="set log_bin, binlog_format = ROW and server_id")
    name, offset = str(rows[0][0]), int(rows[0][1])
    return LogPlace(name, offset, _gtid(session, name, offset))


def view_place(session: Session) -> LogPlace:
    """Where the log stood when the session's consistent view was opened. Raises pymysql.Error."""
    found = {str(name).lower(): value for name, value in run(session, "SHOW STATUS LIKE 'binlog_snapshot_%'")}
    name, offset = str(found["binlog_snapshot_file"]), int(found["binlog_snapshot_position"])
    return LogPlace(name, offset, _gtid(session, name, offset))


def _gtid(session: Session, name: str, offset: int) -> str:
    ((gtid,),) = run(session, "SELECT BINLOG_GTID_POS(%s, %s)", name, offset)
    return str(gtid or "")


def read_origin(session: Session, view: str) -> dict[str, Json]:
    """Where a backup came from: of the server, not of the data, and so never compared with a copy. Raises pymysql.Error."""
    ((version, charset, collation, case),) = run(
        session, "SELECT VERSION(), @@character_set_server, @@collation_server, @@lower_case_table_names"
    )
    return {
        "version": version,
        "character-set-server": charset,
        "collation-server": collation,
        "lower-case-table-names": case,
        "view": view,
    }


def log_identity(session: Session) -> str:
    """Tells one server's log from another's. Raises pymysql.Error."""
    ((host, port, data, server),) = run(session, "SELECT @@hostname, @@port, @@datadir, @@server_id")
    return hashlib.sha256(f"{host}\n{port}\n{data}\n{server}".encode()).hexdigest()[:16]


def log_folder(session: Session) -> Path:
    """Where the server keeps its binary log, by its own word. Raises pymysql.Error."""
    ((base,),) = run(session, "SELECT @@log_bin_basename")
    return Path(str(base)).parent


def chain_name(identity: str, since: int) -> str:
    """A log received without a gap: of which server, and since when, in seconds since 1970."""
    return f"{identity}-{since}"


def recovery_facts(identity: str, at: LogPlace) -> dict[str, Json]:
    """What a recovery point says of its place in the log; see flows/reach.py."""
    return {
        "system_identifier": identity,
        "timeline": TIMELINE,
        "restore_point": at.gtid,
        "position": at.place.packed,
        # the file it stands in goes on after it, and is needed itself
        "last_log": at.place.number - 1,
        "log": str(at),
    }
