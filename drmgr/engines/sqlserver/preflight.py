"""What must hold before a backup can start, each with what to do when it does not."""

import secrets
import tempfile
from pathlib import Path

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.connection import Endpoint, opened, told
from drmgr.engines.sqlserver.facts import Scope, newest, version_of
from drmgr.errors import PreflightError
from drmgr.system.mssql import Row, Session
from drmgr.system.mssql_access import Access, Handover, Share
from drmgr.system.mssql_bucket import BucketShare

LEAST_VERSION = 12
"""SQL Server 2014."""

LEAST_BUCKET_VERSION = 16
"""SQL Server 2022."""

EXPRESS = 4
"""The engine edition that cannot back up to a bucket."""

S3_IDENTITY = "S3 Access Key"
"""What a credential for a bucket calls itself."""

CLOUD_EDITIONS = frozenset({5, 6, 8, 9, 11})
"""Hosted ones, whose backups are not ours to take."""

RIGHTS = {
    "backup_database": "BACKUP DATABASE on the database",
    "backup_log": "BACKUP LOG on the database",
    "select_all": "SELECT on the database (db_datareader)",
    "view_definition": "VIEW DEFINITION on the database",
    "create_any_database": "CREATE ANY DATABASE, which reading a backup's header needs",
}


def check_server(endpoint: Endpoint, scope: Scope) -> None:
    """Edition, version, rights, state, replica, and a folder that both sides see. Raises PreflightError."""
    with (
        opened(endpoint, PreflightError) as session,
        told("the server could not be looked at", PreflightError),
    ):
        server = session.row(statements.SERVER)
        check_version(server)
        _check_database(session, endpoint.database)
        _check_rights(session, endpoint)
        _check_place(session, server, endpoint.access)
        if not session.rows(statements.TABLES):
            raise PreflightError(
                f"the database {endpoint.database} has no tables",
                hint="is this the right database? if it was emptied by mistake, restore the last recovery point",
            )
        for table, column in scope.newest:
            newest(session, table, column, zone=scope.zone, error=PreflightError)


def check_scratch(access: Access) -> None:
    """What a scratch server must be able to do before the first drill. Raises PreflightError."""
    with (
        opened(Endpoint(access, "master"), PreflightError) as session,
        told("the scratch server could not be looked at", PreflightError),
    ):
        server = session.row(statements.SERVER)
        check_version(server)
        if not session.row(statements.rights("master"))["create_any_database"]:
            raise PreflightError(
                f"user {access.server.user} may not create databases on the scratch server",
                hint="make drmgr's login there a member of dbcreator",
            )
        _check_place(session, server, access)


def check_version(server: Row) -> None:
    """Raises PreflightError for a server that drmgr does not know how to back up."""
    if server["engine_edition"] in CLOUD_EDITIONS:
        raise PreflightError(
            f"this is {server['edition']}, which takes its own backups",
            hint="drmgr backs up SQL Server that runs on servers of the hospital",
        )
    if version_of(server) < LEAST_VERSION:
        raise PreflightError(
            f"SQL Server {server['version']} is older than 2014", hint="use a server of version 12 (2014) or newer"
        )


def _check_database(session: Session, name: str) -> None:
    found = session.rows(statements.database(name))
    if not found:
        raise PreflightError(f"there is no database {name}", hint="check the connection's database in the site file")
    database = found[0]
    if database["state_desc"] != "ONLINE":
        raise PreflightError(f"the database {name} is {str(database['state_desc']).lower()}, not online")
    if database["is_preferred"] == 0:
        raise PreflightError(
            f"this replica is not the one that the availability group of {name} prefers for backups",
            hint="name the preferred replica as the connection's host, or change the group's backup preference",
        )


def _check_rights(session: Session, endpoint: Endpoint) -> None:
    rights = session.row(statements.rights(endpoint.database))
    missing = [text for name, text in RIGHTS.items() if not rights[name]]
    if missing:
        raise PreflightError(
            f"user {endpoint.server.user} lacks {len(missing)} rights: {'; '.join(missing)}",
            hint="grant them to drmgr's login, or make it a member of db_backupoperator, db_datareader and dbcreator",
        )


def _check_place(session: Session, server: Row, access: Access) -> None:
    """Where the backups go is there for both sides. Raises PreflightError; Complaint."""
    share: Handover = access.share
    if isinstance(share, BucketShare):
        _check_bucket(session, server, access, share)
    elif isinstance(share, Share):
        _check_folder(session, share)


def _check_bucket(session: Session, server: Row, access: Access, share: BucketShare) -> None:
    """The server may use it as far as it tells; and we may write, look and remove. Only a backup proves that it is the same."""
    if version_of(server) < LEAST_BUCKET_VERSION or server["engine_edition"] == EXPRESS:
        raise PreflightError(
            f"SQL Server {server['version']} ({server['edition']}) cannot back up into a bucket",
            hint="that came with 2022 (version 16), and not for Express; name a folder by backups.server and backups.local",
        )
    if not session.row(statements.rights("master"))["alter_any_credential"]:
        raise PreflightError(
            f"user {access.server.user} lacks the right ALTER ANY CREDENTIAL, which BACKUP TO URL needs",
            hint="grant it to drmgr's login",
        )
    found = session.rows(statements.credentials(share.credentials))
    bucket = share.credentials[0]
    made = f"CREATE CREDENTIAL [{bucket}] WITH IDENTITY = '{S3_IDENTITY}', SECRET = 'KEY:SECRET'"
    if not found:
        raise PreflightError(f"the server has no credential for {bucket}", hint=f"an administrator makes it: {made}")
    if found[0]["credential_identity"] != S3_IDENTITY:
        raise PreflightError(
            f"the server's credential {found[0]['name']} is not one for a bucket: its identity is not {S3_IDENTITY}",
            hint=f"an administrator makes it anew: {made}",
        )
    marker = f"drmgr-probe-{secrets.token_hex(8)}"
    try:
        with tempfile.NamedTemporaryFile() as empty:
            share.put(Path(empty.name), marker)
        try:
            share.size(marker)
        finally:
            share.remove(marker)
    except OSError as failure:
        raise PreflightError(
            f"{share.where} cannot be used from this host: {failure.strerror}",
            hint="look at backups.endpoint, backups.access_key and backups.secret_key in the site file",
        ) from failure


def _check_folder(session: Session, share: Share) -> None:
    """A file that we put into the folder is seen by the server. Raises PreflightError; Complaint."""
    marker = f".drmgr-{secrets.token_hex(8)}"
    path: Path = share.path(marker)
    try:
        path.touch(exist_ok=False)
        try:
            (seen,) = session.rows(statements.file_exists(share.seen(marker)))
        finally:
            path.unlink()
    except OSError as failure:
        raise PreflightError(
            f"the folder {share.local} cannot be written: {failure.strerror}",
            hint="check backups.local in the site file; is the share mounted?",
        ) from failure
    if not next(iter(seen.values())):
        raise PreflightError(
            f"the server does not see in {share.server} what lies in {share.local}",
            hint=share.hint,
        )
