"""Scratch for SQL Server: databases of random names on a server that the site file names for it, and never on a source's.

SQL Server cannot be started here as the others are. So its scratch is a whole server of its own, and what stands between a
restore and the hospital's data is the server's identity, asked from the servers themselves.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from drmgr.errors import NotAllowedError, ScratchError
from drmgr.model import Instance, Recipe
from drmgr.system.mssql import Complaint, Session, connect
from drmgr.system.mssql_access import Access
from drmgr.system.mssql_server import databases_like, drop_databases, identity_of

_OURS = re.compile(r"drmgr_[0-9a-f]{8}_(?P<run>[A-Za-z0-9][A-Za-z0-9.-]*)_[0-9]+")


class SqlServerScratch:
    """``host`` is this machine's name; ``production`` gives the identity of each server that holds a source, by its name."""

    def __init__(self, access: Access, host: str, production: Callable[[], Mapping[str, str]]) -> None:
        self._access = access
        self._mark = hashlib.sha256(host.encode()).hexdigest()[:8]
        self._production = production

    def start(self, recipe: Recipe, run: str, number: int, passfile: Path, alive: Collection[str]) -> Instance:
        """A name for a database that is not there yet, on a server that is surely no source's.

        Databases of this host's runs that are none of ``alive`` are dropped first. Raises NotAllowedError, ScratchError.
        """
        with self._session() as session:
            self._refuse_production(session)
            for orphan in self._runs(session) - {run, *alive}:
                drop_databases(session, self._prefix(orphan))
        try:
            self._access.write(passfile)
        except OSError as failure:
            raise ScratchError(f"the access file {passfile} cannot be written: {failure.strerror}") from failure
        return Instance(
            engine=recipe.engine,
            database=f"{self._prefix(run)}{number}",
            host=self._access.server.host,
            port=self._access.server.port,
            user=self._access.server.user,
            passfile=passfile,
            target=recipe.target,
        )

    def end(self, run: str) -> int:
        """Drops all databases of that run and proves that they are gone. Raises ScratchError."""
        with self._session() as session:
            return drop_databases(session, self._prefix(run))

    def prove(self) -> None:
        """That the server answers and is no source's. Raises NotAllowedError, ScratchError."""
        with self._session() as session:
            self._refuse_production(session)

    def reachable(self) -> bool:
        try:
            with self._session():
                return True
        except ScratchError:
            return False

    def _refuse_production(self, session: Session) -> None:
        here = identity_of(session)
        for name, identity in self._production().items():
            if identity == here:
                raise NotAllowedError(
                    f"the scratch server at {self._access.server.place} is the production server of {name}",
                    hint="name a server of its own as scratch.sqlserver; drmgr never restores onto production",
                )

    def _runs(self, session: Session) -> set[str]:
        """The runs of this host that have databases there."""
        names = [str(row["name"]) for row in session.rows(databases_like(f"drmgr_{self._mark}_"))]
        return {found["run"] for found in map(_OURS.fullmatch, names) if found is not None}

    def _prefix(self, run: str) -> str:
        return f"drmgr_{self._mark}_{run.replace('_', '-')}_"

    @contextmanager
    def _session(self) -> Iterator[Session]:
        place = self._access.server.place
        try:
            session = connect(self._access.server)
        except Complaint as complaint:
            raise ScratchError(
                f"the scratch SQL Server at {place} cannot be reached (error {complaint.number})",
                hint="look at the connection that scratch.sqlserver names in the site file",
            ) from None
        try:
            yield session
        except Complaint as complaint:
            raise ScratchError(
                f"the scratch SQL Server at {place} refused (error {complaint.number})",
                hint="drmgr's login there needs CREATE ANY DATABASE and ALTER ANY DATABASE (dbcreator)",
            ) from None
        finally:
            session.close()
