"""The statements by which a database is set aside, and another one gets its name. See statements.py: nothing else is sent."""

# ruff: noqa: S608 - names are quoted by bracketed and literal

from drmgr.system.mssql_names import bracketed, literal

ADMIN = "/* drmgr: admin */ SELECT CAST(IS_SRVROLEMEMBER(N'sysadmin') AS int) AS is_admin"


def standing(name: str) -> str:
    """How a database stands, what a restore would reset, and what keeps it from being renamed; no row when there is none."""
    return f"""/* drmgr: standing */
SELECT d.state_desc, d.user_access_desc, SUSER_SNAME(d.owner_sid) AS owner_name,
  CAST(d.is_trustworthy_on AS int) AS is_trustworthy, CAST(d.is_db_chaining_on AS int) AS is_chaining,
  CAST(d.is_broker_enabled AS int) AS is_broker_enabled, CAST(d.is_cdc_enabled AS int) AS is_capturing,
  CASE WHEN d.source_database_id IS NULL THEN 0 ELSE 1 END AS is_snapshot,
  CASE WHEN d.replica_id IS NULL THEN 0 ELSE 1 END AS is_in_group,
  (SELECT COUNT(*) FROM sys.database_mirroring AS m
    WHERE m.database_id = d.database_id AND m.mirroring_guid IS NOT NULL) AS is_mirrored,
  CASE WHEN d.is_published = 1 OR d.is_merge_published = 1 OR d.is_distributor = 1 THEN 1 ELSE 0 END AS is_replicated,
  (SELECT COUNT(*) FROM sys.databases AS s WHERE s.source_database_id = d.database_id) AS snapshots
FROM sys.databases AS d WHERE d.name = {literal(name)}"""


SUBSCRIBES = """/* drmgr: subscribes */
SELECT CASE WHEN OBJECT_ID(N'dbo.MSreplication_subscriptions') IS NULL THEN 0 ELSE 1 END AS is_subscriber"""
"""Whether the database that it is asked in takes part in replication as the one that receives: only it knows."""


def sessions(name: str) -> str:
    """The sessions of others that are in a database, or hold it from another one."""
    return f"""/* drmgr: sessions */
SELECT CAST(s.session_id AS int) AS number FROM sys.dm_exec_sessions AS s
WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND (s.database_id = DB_ID({literal(name)})
  OR EXISTS (SELECT 1 FROM sys.dm_tran_locks AS l WHERE l.request_session_id = s.session_id
    AND l.resource_type = N'DATABASE' AND l.resource_database_id = DB_ID({literal(name)})))
ORDER BY s.session_id"""


def end_session(number: int) -> str:
    """Ends one session, and what it has begun is undone."""
    return f"KILL {int(number)}"


def alone_if_unused(name: str) -> str:
    """Sends nobody out: it fails when somebody else is in."""
    return f"/* drmgr: alone if unused */ ALTER DATABASE {bracketed(name)} SET SINGLE_USER WITH NO_WAIT"


def rename(old: str, new: str) -> str:
    """Its files keep their names."""
    return f"/* drmgr: rename-database */ ALTER DATABASE {bracketed(old)} MODIFY NAME = {bracketed(new)}"


def admit(name: str, *, restricted: bool) -> str:
    """Lets others in again: all, or, when it was so before, administrators alone."""
    return (
        f"/* drmgr: admit */ ALTER DATABASE {bracketed(name)} SET {'RESTRICTED_USER' if restricted else 'MULTI_USER'}"
    )


def broker(name: str, *, enabled: bool) -> str:
    """Of two databases with the same identifier of Service Broker one alone can have it on."""
    word = "ENABLE_BROKER" if enabled else "DISABLE_BROKER"
    return f"/* drmgr: broker */ ALTER DATABASE {bracketed(name)} SET {word}"


def trust(name: str) -> str:
    """Off after every restore."""
    return f"/* drmgr: trust */ ALTER DATABASE {bracketed(name)} SET TRUSTWORTHY ON"


def chain(name: str) -> str:
    """Off after every restore."""
    return f"/* drmgr: chain */ ALTER DATABASE {bracketed(name)} SET DB_CHAINING ON"


OWNER = (
    "/* drmgr: owner */ SELECT SUSER_SNAME(p.sid) AS owner_name FROM sys.database_principals AS p WHERE p.name = N'dbo'"
)
"""Whose the database was when it was backed up; the server itself calls it that of whoever restored it."""


def own(name: str, login: str) -> str:
    return f"/* drmgr: own */ ALTER AUTHORIZATION ON DATABASE::{bracketed(name)} TO {bracketed(login)}"


ORPHANS = """/* drmgr: orphaned users */
SELECT p.name FROM sys.database_principals AS p LEFT JOIN sys.server_principals AS l ON l.sid = p.sid
WHERE l.sid IS NULL AND p.authentication_type_desc = N'INSTANCE' AND p.name <> N'dbo'
ORDER BY p.name"""
"""Users whose login this server does not know, so that nobody can come in by them."""


def typed(statement: str) -> str:
    """The same for a person, who needs no mark of ours on it."""
    return statement.partition("*/ ")[2]


def adopt(database: str, user: str) -> str:
    """What a person types for such a user, once there is a login of its name."""
    return f"USE {bracketed(database)}; ALTER USER {bracketed(user)} WITH LOGIN = {bracketed(user)}"
