"""Where sources live: the connections of the site file, one kind for each engine."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drmgr.config.part import Part
from drmgr.config.trees import FilesConnection
from drmgr.config.values import AnyPath, BucketUrl, Duration, Endpoint, Line, SecretRef, Whole, YesNo


class PostgresqlConnection(Part):
    """A PostgreSQL database."""

    engine: Literal["postgresql"] = Field(description="the kind of source behind this connection")
    host: Line = Field(description="host name, address, or folder of the unix socket")
    port: Whole = Field(default=5432, ge=1, le=65535, description="port of the server")
    database: Line = Field(description="name of the database")
    user: Line = Field(description="role that drmgr logs in as")
    password: SecretRef | None = Field(default=None, description="reference to the role's password; null for none")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="how the connection is encrypted, as libpq names it"
    )
    binaries: AnyPath | None = Field(
        default=None, description="folder of pg_dump and pg_restore; null looks for the server's version"
    )
    method: Literal["logical", "physical"] = Field(
        default="logical", description="logical: pg_dump; physical: the server's files, and any minute in between"
    )
    data_directory: AnyPath | None = Field(
        default=None,
        description="for physical, the server's data directory on this host; null: it is elsewhere, and is streamed",
    )
    staging: AnyPath | None = Field(
        default=None,
        description="folder for the copy that a server elsewhere with tablespaces needs; null refuses such a server",
    )
    system_identifier: Line | None = Field(
        default=None, description="the new one, after a server was made anew: else its first backup is refused"
    )
    spool_limit: Whole = Field(
        default=10240, ge=64, description="MiB of shipped logs that may wait on this host while the store is away"
    )


class MariadbConnection(Part):
    """A MariaDB database."""

    engine: Literal["mariadb"] = Field(description="the kind of source behind this connection")
    host: Line = Field(description="host name, address, or the unix socket (itself or its folder)")
    port: Whole = Field(default=3306, ge=1, le=65535, description="port of the server")
    database: Line = Field(description="name of the database")
    user: Line = Field(description="account that drmgr logs in as")
    password: SecretRef | None = Field(default=None, description="reference to the account's password; null for none")
    tls: Literal["disable", "require", "verify"] = Field(
        default="disable", description="how a network connection is encrypted; verify also proves the server's name"
    )
    ca: AnyPath | None = Field(default=None, description="certificates that verify trusts; null for the system's")
    binaries: AnyPath | None = Field(
        default=None, description="folder of mariadb-dump and mariadb; null looks in the usual places"
    )
    method: Literal["logical", "physical"] = Field(
        default="logical", description="logical: mariadb-dump; physical: the server's files by mariadb-backup"
    )
    ship_logs: YesNo = Field(
        default=False, description="ship the binary log: any second in between; physical backups always do"
    )
    data_directory: AnyPath | None = Field(
        default=None, description="the server's data directory on this host; needed for physical"
    )
    system_identifier: Line | None = Field(
        default=None, description="the new one, after a server was made anew: else its first physical backup is refused"
    )
    staging: AnyPath | None = Field(
        default=None, description="folder for the copy that a physical backup makes first; null for one below state"
    )
    spool_limit: Whole = Field(
        default=10240, ge=64, description="MiB of shipped logs that may wait on this host while the store is away"
    )


class SharedPlace(Part):
    """Where a SQL Server and this host hand files to each other: a folder that both see, or (2022 and newer) a bucket.

    A folder has ``server`` and ``local``; a bucket has ``url``, ``access_key`` and ``secret_key``.
    """

    server: Line | None = Field(
        default=None, description="the folder as the server sees it: a drive, a UNC path or a POSIX path"
    )
    local: AnyPath | None = Field(default=None, description="the same folder as this host sees it")
    url: BucketUrl | None = Field(
        default=None, description="instead of a folder: s3://HOST:PORT/BUCKET/PREFIX, as the server sees it"
    )
    endpoint: Endpoint | None = Field(
        default=None, description="the same store as this host sees it; null for https and the url's host and port"
    )
    region: Line = Field(default="us-east-1", description="region name that the store expects")
    access_key: SecretRef | None = Field(default=None, description="reference to drmgr's own access key id")
    secret_key: SecretRef | None = Field(default=None, description="reference to drmgr's own secret access key")
    ca: AnyPath | None = Field(default=None, description="certificates that prove the store; null for the usual ones")

    @model_validator(mode="after")
    def _one(self) -> "SharedPlace":
        folder = (self.server, self.local)
        bucket = (self.url, self.access_key, self.secret_key)
        if all(folder) and not any((*bucket, self.endpoint, self.ca)):
            return self
        if all(bucket) and not any(folder):
            return self
        raise ValueError("must hold either server and local, or url, access_key and secret_key")


class SqlServerConnection(Part):
    """A SQL Server database."""

    engine: Literal["sqlserver"] = Field(description="the kind of source behind this connection")
    host: Line = Field(description="host name or address")
    port: Whole = Field(default=1433, ge=1, le=65535, description="port of the server")
    database: Line = Field(description="name of the database; master for a scratch server")
    user: Line = Field(description="login that drmgr uses")
    password: SecretRef | None = Field(default=None, description="reference to the login's password")
    tls: Literal["disable", "require", "verify"] = Field(
        default="require", description="how the connection is encrypted; verify also proves the server's name"
    )
    ca: AnyPath | None = Field(default=None, description="certificates that verify trusts; null for the system's")
    backups: SharedPlace = Field(description="where the server writes backups to, and reads them from")
    compression: YesNo = Field(default=False, description="let the server compress; restic does it better")
    copy_only: YesNo = Field(
        default=False, description="full backups that leave the differentials of another backup program alone"
    )
    full_every: Duration | None = Field(
        default=None,
        description="age at which a full backup is made anew, with differentials between; null: always full",
    )
    ship_logs: YesNo = Field(
        default=False, description="let drmgr ship take the log backups; then nothing else may take any"
    )
    spool_limit: Whole = Field(
        default=10240, ge=64, description="MiB of shipped logs that may wait on this host while the store is away"
    )
    silence: Duration = Field(
        default=timedelta(hours=1), description="how long the server may say nothing in the middle of a statement"
    )


class SqliteConnection(Part):
    """A SQLite database file on this host."""

    engine: Literal["sqlite"] = Field(description="the kind of source behind this connection")
    path: AnyPath = Field(description="the database's file")


Connection = Annotated[
    PostgresqlConnection | MariadbConnection | SqlServerConnection | SqliteConnection | FilesConnection,
    Field(discriminator="engine"),
]
