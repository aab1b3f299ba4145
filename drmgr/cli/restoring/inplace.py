"""Builds the places of a system's sources, for a restore where they are."""

import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.config import models
from drmgr.config.trees import FilesConnection
from drmgr.engines.files import FilesEngine
from drmgr.errors import PreflightError
from drmgr.interfaces import Engine, Place

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.original import ToOriginal


ANSWER_SECONDS = 5.0


def original(
    site: "Site", system: str, sources: tuple[str, ...], *, end_sessions: bool = False, accept_failed: bool = False
) -> "ToOriginal":
    """The system's own place; asked for permission before any server is. Raises NotAllowedError, PreflightError."""
    from drmgr.flows.original import ToOriginal

    permit_original(site, system, sources)
    job = site.loaded.job(system)
    wanted = [source for source in job.sources if not sources or source.name in sources]
    places = {source.name: make_place(site, source, job) for source in wanted}
    return ToOriginal(
        places,
        site.swap_book,
        lambda: permit_original(site, system, sources),
        end_sessions=end_sessions,
        accept_failed=accept_failed,
    )


def permit_original(site: "Site", system: str, sources: tuple[str, ...]) -> None:
    """Raises NotAllowedError when the site file does not allow it, or when others live in the same place."""
    from drmgr.scratch.guard import refuse_outside_originals, refuse_shared_place

    refuse_outside_originals(system, site.config.restore.allow.original)
    mine = {source.connection for source in site.loaded.job(system).sources if not sources or source.name in sources}
    others = {
        f"{job.system}/{source.name}": source.connection
        for job in site.loaded.jobs.values()
        if job.system != system
        for source in job.sources
        if any(same_place(site, source.connection, connection) for connection in mine)
    }
    refuse_shared_place(system, others)


def same_place(site: "Site", one: str, other: str) -> bool:
    """Whether to set one aside takes the other along: the same database, file or folder, or one within the other."""
    first, second = site.config.connections[one], site.config.connections[other]
    if one == other:
        return True
    servers = models.PostgresqlConnection | models.MariadbConnection | models.SqlServerConnection
    if not isinstance(first, servers) or not isinstance(second, servers):
        a, b = _path(site, first), _path(site, second)
        return a is not None and b is not None and (a.is_relative_to(b) or b.is_relative_to(a))
    same_server = (first.engine, first.host, first.port) == (second.engine, second.host, second.port)
    whole = "physical" in (getattr(first, "method", ""), getattr(second, "method", ""))
    return same_server and (whole or first.database == second.database)


def _path(site: "Site", where: models.Connection) -> Path | None:
    """What lies on this host under a name of its own; None for a server whose files are not known."""
    if isinstance(where, FilesConnection):
        return site.place(where.root).resolve()
    if isinstance(where, models.SqliteConnection):
        return site.place(where.path).resolve()
    data: Path | None = getattr(where, "data_directory", None)
    return None if data is None else site.place(data).resolve()


def make_place(site: "Site", source: models.Source, job: models.Job) -> Place:
    """Where the source lies, reached by the account that the site file names for this. Raises PreflightError."""
    name = site.config.restore.through.get(source.connection, source.connection)
    where, engine = site.config.connections[name], site.engine(name, source, job)
    if isinstance(where, FilesConnection):
        from drmgr.engines.files.inplace import FilesPlace

        assert isinstance(engine, FilesEngine)
        return FilesPlace(engine, site.place(where.root))
    if isinstance(where, models.SqliteConnection):
        from drmgr.engines.sqlite import SqliteEngine
        from drmgr.engines.sqlite_inplace import SqlitePlace

        assert isinstance(engine, SqliteEngine)
        return SqlitePlace(engine)
    return _server_place(site, source, where, engine)


def _server_place(
    site: "Site",
    source: models.Source,
    where: models.PostgresqlConnection | models.MariadbConnection | models.SqlServerConnection,
    engine: Engine,
) -> Place:
    if isinstance(where, models.PostgresqlConnection) and where.method == "logical":
        from drmgr.engines.postgres.engine import PostgresEngine
        from drmgr.engines.postgres.inplace import PostgresPlace

        assert isinstance(engine, PostgresEngine)
        binaries = None if where.binaries is None else site.place(where.binaries)
        return PostgresPlace(engine, site.runner, site.clock, binaries)
    if isinstance(where, models.MariadbConnection) and where.method == "logical":
        from drmgr.engines.mariadb.engine import MariadbEngine
        from drmgr.engines.mariadb.inplace import MariadbPlace

        assert isinstance(engine, MariadbEngine)
        return MariadbPlace(engine, site.clock, site.state / "restores" / "notes")
    if isinstance(where, models.SqlServerConnection):
        from drmgr.engines.sqlserver.engine import SqlServerEngine
        from drmgr.engines.sqlserver.inplace import SqlServerPlace

        assert isinstance(engine, SqlServerEngine)
        return SqlServerPlace(engine, site.clock, site.state / "restores" / "notes")
    if where.data_directory is not None:
        return _server_files(site, where, engine)
    raise PreflightError(
        f"{source.name} is {where.engine}{_WHERE.get(where.engine, '')}, which is not restored in its own place",
        hint="restore it with --to scratch or --to connection:NAME, and change the names by hand",
    )


_WHERE = {"postgresql": " with its files on another host"}


def _server_files(site: "Site", where: models.PostgresqlConnection | models.MariadbConnection, engine: Engine) -> Place:
    from drmgr.scratch.closing import ClosingMariadb, ClosingPostgres
    from drmgr.scratch.inplace import ServerFilesPlace, ServerHome

    assert where.data_directory is not None
    postgres = isinstance(where, models.PostgresqlConnection)
    maker = ClosingPostgres(site.runner) if postgres else ClosingMariadb()
    host = str(site.place(Path(where.host))) if where.host.startswith(("/", ".")) else where.host
    names = (f".s.PGSQL.{where.port}",) if postgres else ("mysqld.sock", "mysql.sock", "mariadb.sock")
    home = ServerHome(site.place(where.data_directory), lambda: answers(host, where.port, names))
    return ServerFilesPlace(engine, home, maker, site.clock)


def answers(host: str, port: int, names: tuple[str, ...]) -> bool:
    """Whether anything listens there, whoever may enter; ``names`` are those of a socket in the folder ``host``."""
    if not host.startswith("/"):
        try:
            socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
        except OSError:
            return False
        return True
    place = Path(host)
    return any(_listens(each) for each in ((place / name for name in names) if place.is_dir() else (place,)))


def _listens(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as line:
        line.settimeout(ANSWER_SECONDS)
        return line.connect_ex(str(path)) == 0
