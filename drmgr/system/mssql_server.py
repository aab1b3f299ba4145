"""Which server this is, however it is reached, and how a database is taken off it."""

from drmgr.system.mssql import Complaint, Session
from drmgr.system.mssql_names import bracketed, literal

SERVER = """/* drmgr: server */
SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS version,
  CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) AS edition,
  CAST(SERVERPROPERTY('EngineEdition') AS int) AS engine_edition,
  CAST(SERVERPROPERTY('ServerName') AS nvarchar(256)) AS server_name,
  CAST(SERVERPROPERTY('MachineName') AS nvarchar(256)) AS machine_name,
  CAST(SERVERPROPERTY('InstanceDefaultDataPath') AS nvarchar(512)) AS data_path,
  CAST(SERVERPROPERTY('InstanceDefaultLogPath') AS nvarchar(512)) AS log_path,
  (SELECT CAST(d.service_broker_guid AS nvarchar(36)) FROM sys.databases AS d WHERE d.name = N'msdb') AS msdb_guid"""


def identity_of(session: Session) -> str:
    """Equal for the same server by whatever name it is reached. Raises Complaint."""
    server = session.row(SERVER)
    return f"sqlserver:{server['server_name']}:{server['machine_name']}:{server['msdb_guid']}".lower()


def databases_like(prefix: str) -> str:
    """The databases whose names begin so."""
    escaped = prefix.replace("[", "[[]").replace("_", "[_]").replace("%", "[%]")
    return (
        "/* drmgr: databases */ SELECT d.name, d.state_desc FROM sys.databases AS d "  # noqa: S608 - quoted by literal
        f"WHERE d.name LIKE {literal(f'{escaped}%')} ORDER BY d.name"
    )


def alone(name: str) -> str:
    """Sends everybody else out."""
    return f"/* drmgr: alone */ ALTER DATABASE {bracketed(name)} SET SINGLE_USER WITH ROLLBACK IMMEDIATE"


def drop(name: str) -> str:
    """Also removes the database's files."""
    return f"/* drmgr: drop */ DROP DATABASE {bracketed(name)}"


def drop_databases(session: Session, prefix: str) -> int:
    """Drops every database whose name begins so, in use or half restored, and gives their number.

    Raises Complaint, and so also when one is still there afterwards.
    """
    found = session.rows(databases_like(prefix))
    for row in found:
        if row["state_desc"] == "ONLINE":
            session.act(alone(row["name"]))
        session.act(drop(row["name"]))
    left = session.rows(databases_like(prefix))
    if left:
        raise Complaint(0, tuple(str(row["name"]) for row in left))
    return len(found)
