"""Builds the engine of a source from its connection, and what ships the engine's log."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.cli.wiring.checks import newest_columns
from drmgr.cli.wiring.trees import make_tree
from drmgr.config import models
from drmgr.config.trees import FilesConnection, FilesSource
from drmgr.config.values import SecretRef
from drmgr.engines.files import FilesEngine
from drmgr.errors import UsageError
from drmgr.flows.bench import Source
from drmgr.interfaces import Engine, LogShipper, TableEngine
from drmgr.system.secret import LaterSecret, Secret

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.ship_logs import Spool
    from drmgr.scratch.sqlserver import SqlServerScratch
    from drmgr.system.mssql_access import Access, Handover

SLOT_CHARACTERS = 63


def make_engine(site: "Site", connection: str, source: models.Source, job: models.Job) -> Engine:
    """The engine for a source, bound to that connection (its own, or a restore's target)."""
    where = site.config.connections[connection]
    if isinstance(where, FilesConnection):
        if not isinstance(source, FilesSource):
            raise UsageError(f"{connection} is a file tree, {source.name} is not")
        return make_tree(site, connection, where, source, job)
    if not isinstance(source, models.DatabaseSource):
        raise UsageError(f"{connection} is a database, {source.name} is not")
    if isinstance(where, models.MariadbConnection):
        return _mariadb(site, where, source, job)
    if isinstance(where, models.SqlServerConnection):
        return _sqlserver(site, where, source, job)
    if isinstance(where, models.SqliteConnection):
        return _sqlite(site, where, source, job)
    return _postgres(site, where, source, job)


def make_source(site: "Site", system: str, source: models.Source, engine: Engine) -> Source:
    """The source with what else its engine can do."""
    tree = engine if isinstance(engine, FilesEngine) else None
    logs, tables = make_shipper(site, system, source, engine), make_tables(engine)
    return Source(source.name, engine, logs, tree, tables, source.connection)


def make_tables(engine: Engine) -> TableEngine | None:
    """What lays single tables with that engine's connection; None for an engine that has none, or cannot."""
    kind = engine.name.partition("-")[0]
    if kind == "postgresql":
        from drmgr.engines.postgres.engine import PostgresEngine
        from drmgr.engines.postgres.tables import PostgresTables

        return PostgresTables(engine) if isinstance(engine, PostgresEngine) else None
    if kind == "mariadb":
        from drmgr.engines.mariadb.engine import MariadbEngine
        from drmgr.engines.mariadb.tables import MariadbTables

        return MariadbTables(engine) if isinstance(engine, MariadbEngine) else None
    if kind == "sqlite":
        from drmgr.engines.sqlite import SqliteEngine
        from drmgr.engines.sqlite_tables import SqliteTables

        return SqliteTables(engine) if isinstance(engine, SqliteEngine) else None
    if kind == "sqlserver":
        from drmgr.engines.sqlserver.engine import SqlServerEngine
        from drmgr.engines.sqlserver.tables import SqlServerTables

        return SqlServerTables(engine) if isinstance(engine, SqlServerEngine) else None
    return None


def make_shipper(site: "Site", system: str, source: models.Source, engine: Engine) -> "LogShipper | None":
    """What ships the log of that source; None for one without a log, or whose log is not to be shipped."""
    where = site.config.connections[source.connection]
    if isinstance(where, models.SqlServerConnection) and where.ship_logs:
        from drmgr.engines.sqlserver import SqlServerEngine, SqlServerLogShipper

        assert isinstance(engine, SqlServerEngine)
        return SqlServerLogShipper(engine)
    if isinstance(where, models.MariadbConnection) and ships_log(where):
        from drmgr.engines.mariadb.engine import MariadbEngine
        from drmgr.engines.mariadb.shipper import MariadbLogShipper

        assert isinstance(engine, MariadbEngine)
        return MariadbLogShipper(engine, site.runner)
    if not isinstance(where, models.PostgresqlConnection) or where.method != "physical":
        return None
    from drmgr.engines.postgres.engine import PostgresEngine
    from drmgr.engines.postgres.shipper import PostgresLogShipper

    assert isinstance(engine, PostgresEngine)
    binaries = None if where.binaries is None else site.place(where.binaries)
    return PostgresLogShipper(engine, slot_name(system, source.name), site.runner, binaries)


def make_spool(site: "Site", system: str, source: models.Source) -> "Spool":
    """Where the logs of that source wait for the store, and how many bytes of them."""
    from drmgr.flows.ship_logs import Spool

    where = site.config.connections[source.connection]
    limited = models.PostgresqlConnection | models.SqlServerConnection | models.MariadbConnection
    limit = where.spool_limit if isinstance(where, limited) else 0
    return Spool(site.state / "wal" / system / source.name, limit * 1024 * 1024)


def _host(site: "Site", text: str) -> str:
    """A network name as it is, the folder of a unix socket as an absolute path."""
    return str(site.place(Path(text))) if text.startswith(("/", ".")) else text


def _secret(site: "Site", reference: SecretRef | None) -> Secret | None:
    return None if reference is None else _later(site, reference)


def _later(site: "Site", reference: SecretRef) -> Secret:
    # of a host that was lost the passwords of production may be lost too, and to scratch nobody needs them
    return LaterSecret(lambda: site.secrets.get(reference))


def _place(site: "Site", path: Path | None) -> Path | None:
    return None if path is None else site.place(path)


def _postgres(
    site: "Site", where: models.PostgresqlConnection, source: models.DatabaseSource, job: models.Job
) -> Engine:
    from drmgr.engines.postgres.connection import PostgresConnection
    from drmgr.engines.postgres.engine import PostgresEngine
    from drmgr.engines.postgres.physical import PhysicalPostgresEngine
    from drmgr.engines.postgres.remote import RemotePostgresEngine

    make: Callable[..., Engine] = PostgresEngine
    if where.method == "physical" and where.data_directory is not None:
        make = partial(
            PhysicalPostgresEngine,
            data_directory=site.place(where.data_directory),
            identifier=where.system_identifier,
        )
    elif where.method == "physical":
        # several sources may share the folder, and each clears its own
        staging = None if where.staging is None else site.place(where.staging) / f"drmgr-{job.system}-{source.name}"
        make = partial(RemotePostgresEngine, staging=staging, identifier=where.system_identifier)
    return make(
        source.name,
        PostgresConnection(
            host=_host(site, where.host),
            port=where.port,
            database=where.database,
            user=where.user,
            password=_secret(site, where.password),
            sslmode=where.sslmode,
            binaries=_place(site, where.binaries),
        ),
        facts_mode=source.facts,
        newest=newest_columns(job, source),
        timezone=site.config.site.timezone,
        runner=site.runner,
        clock=site.clock,
        runtime=site.runtime,
    )


def _mariadb(site: "Site", where: models.MariadbConnection, source: models.DatabaseSource, job: models.Job) -> Engine:
    from drmgr.engines.mariadb import MariadbConnection, MariadbEngine
    from drmgr.engines.mariadb.physical import PhysicalMariadbEngine

    make: Callable[..., Engine] = partial(MariadbEngine, logged=ships_log(where))
    if where.method == "physical" and where.data_directory is not None:
        staging = site.state / "staging" if where.staging is None else site.place(where.staging)
        make = partial(
            PhysicalMariadbEngine,
            data_directory=site.place(where.data_directory),
            identifier=where.system_identifier,
            # several sources may share the folder, and each clears its own
            staging=staging / f"drmgr-{job.system}-{source.name}",
        )
    return make(
        source.name,
        MariadbConnection(
            host=_host(site, where.host),
            port=where.port,
            database=where.database,
            user=where.user,
            password=_secret(site, where.password),
            tls=where.tls,
            ca=_place(site, where.ca),
            binaries=_place(site, where.binaries),
        ),
        facts_mode=source.facts,
        newest=newest_columns(job, source),
        timezone=site.config.site.timezone,
        runner=site.runner,
        clock=site.clock,
        runtime=site.runtime,
    )


def _sqlserver(
    site: "Site", where: models.SqlServerConnection, source: models.DatabaseSource, job: models.Job
) -> Engine:
    from drmgr.engines.sqlserver import SqlServerConnection, SqlServerEngine

    access = sqlserver_access(site, where)
    return SqlServerEngine(
        source.name,
        SqlServerConnection(
            access.server,
            where.database,
            access.share,
            compression=where.compression,
            copy_only=where.copy_only,
        ),
        facts_mode=source.facts,
        newest=newest_columns(job, source),
        timezone=site.config.site.timezone,
        full_every=where.full_every,
        label=f"{site.config.site.id}-{job.system}-{source.name}",
        clock=site.clock,
        runtime=site.runtime,
    )


def sqlserver_access(site: "Site", where: models.SqlServerConnection) -> "Access":
    """How that server is reached, and the place it shares with this host."""
    from drmgr.system.mssql import Server
    from drmgr.system.mssql_access import Access

    server = Server(
        host=where.host,
        port=where.port,
        user=where.user,
        password=_secret(site, where.password),
        tls=where.tls,
        ca=_place(site, where.ca),
        silence=int(where.silence.total_seconds()),
    )
    return Access(server, _shared_place(site, where.backups))


def _shared_place(site: "Site", backups: models.SharedPlace) -> "Handover":
    from drmgr.system.mssql_access import Share
    from drmgr.system.mssql_bucket import BucketShare

    if backups.server is not None and backups.local is not None:
        return Share(backups.server, site.place(backups.local))
    assert backups.url is not None
    assert backups.access_key is not None
    assert backups.secret_key is not None
    endpoint = backups.endpoint or f"https://{backups.url.removeprefix('s3://').split('/')[0]}"
    access_key, secret_key = _later(site, backups.access_key), _later(site, backups.secret_key)
    return BucketShare(backups.url, endpoint, access_key, secret_key, backups.region, _place(site, backups.ca))


def sqlserver_scratch(site: "Site") -> "SqlServerScratch | None":
    """The server for SQL Server's scratch databases; None when the site file names none."""
    name = site.config.scratch.sqlserver
    if name is None:
        return None
    from drmgr.scratch.sqlserver import SqlServerScratch

    where = site.config.connections[name]
    assert isinstance(where, models.SqlServerConnection)
    return SqlServerScratch(sqlserver_access(site, where), site.host, lambda: _production_servers(site))


def prove_sqlserver_scratch(site: "Site") -> str:
    """What ``drmgr doctor`` says of it. Raises what the first drill would raise."""
    from drmgr.engines.sqlserver.preflight import check_scratch

    scratch, name = sqlserver_scratch(site), site.config.scratch.sqlserver
    assert scratch is not None
    assert name is not None
    scratch.prove()
    where = site.config.connections[name]
    assert isinstance(where, models.SqlServerConnection)
    check_scratch(sqlserver_access(site, where))
    return "answers, is no source's, and sees the place of its backups"


def _production_servers(site: "Site") -> dict[str, str]:
    """The identity of every SQL Server that holds a source and answers now: one that is down is not the one that answers."""
    from drmgr.system.mssql import Complaint, connect
    from drmgr.system.mssql_server import identity_of

    identities = {}
    for job in site.loaded.jobs.values():
        for source in job.sources:
            where = site.config.connections[source.connection]
            if not isinstance(where, models.SqlServerConnection):
                continue
            try:
                session = connect(sqlserver_access(site, where).server)
            except Complaint:
                continue
            try:
                identities[f"{job.system}/{source.name}"] = identity_of(session)
            finally:
                session.close()
    return identities


def ships_log(where: models.Connection) -> bool:
    """Whether what happens in a source there between two backups is shipped."""
    match where:
        case models.PostgresqlConnection():
            return where.method == "physical"
        case models.MariadbConnection():
            return where.ship_logs or where.method == "physical"
        case models.SqlServerConnection():
            return where.ship_logs
    return False


def _sqlite(site: "Site", where: models.SqliteConnection, source: models.DatabaseSource, job: models.Job) -> Engine:
    from drmgr.engines.sqlite import SqliteEngine

    return SqliteEngine(
        source.name,
        site.place(where.path),
        facts_mode=source.facts,
        newest=newest_columns(job, source),
        timezone=site.config.site.timezone,
        clock=site.clock,
        runtime=site.runtime,
    )


def slot_name(system: str, source: str) -> str:
    """The replication slot of a source: PostgreSQL takes 63 small letters, digits and underscores."""
    name = f"drmgr_{system}_{source}".replace("-", "_")
    if len(name) <= SLOT_CHARACTERS:
        return name
    return f"{name[: SLOT_CHARACTERS - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
