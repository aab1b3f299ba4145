"""Scratch on this host: labelled workspaces, destroyed on every way out, with proof."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.errors import Interrupted, PreflightError, ScratchError
from drmgr.interfaces import Clock
from drmgr.model import Destruction, Instance, Recipe
from drmgr.scratch.folder import start_folder
from drmgr.scratch.label import PREFIX, Label, new_label, read_label, write_label
from drmgr.scratch.processes import end_processes, kill_processes, processes_in
from drmgr.scratch.server import account_of, give_to, remove_tree, short_directory, write_private
from drmgr.system.command import Runner
from drmgr.system.files import free_bytes

if TYPE_CHECKING:
    from drmgr.scratch.sqlserver import SqlServerScratch

POSTGRES, MARIADB = ("postgresql", "postgresql-physical"), ("mariadb", "mariadb-physical")
"""Engines whose instance is a server of this host."""

HEADROOM_SHARE = 10
"""One part in so many more than asked for must be free."""

RESTORING_BYTES = 128 * 1024**2
"""Memory of the programs that fill an instance, restic above all."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ScratchWorkspace:
    """See interfaces.Workspace."""

    def __init__(
        self, path: Path, user: str, runner: Runner, clock: Clock, *, sqlserver: "SqlServerScratch | None" = None
    ) -> None:
        self.path = path
        self._sqlserver = sqlserver
        self._user = user
        self._runner = runner
        self._clock = clock
        self._count = 0

    def start(self, recipe: Recipe) -> Instance:
        self._count += 1
        if recipe.engine in POSTGRES:
            return self._start_postgres(recipe)
        if recipe.engine in MARIADB:
            return self._start_mariadb(recipe)
        if recipe.engine == "sqlserver":
            return self._start_sqlserver(recipe)
        if recipe.engine in {"files", "sqlite"}:
            return start_folder(recipe, self.path / f"{recipe.engine}-{self._count}")
        raise PreflightError(f"there is no scratch for the engine {recipe.engine} of {recipe.source}")

    def stage(self, source: str) -> Path:
        if not _SAFE.fullmatch(source):
            raise ScratchError(f"{source!r} cannot be the name of a staging folder")
        staged = self.path / "staged" / source
        staged.parent.mkdir(mode=0o700, exist_ok=True)
        staged.mkdir(mode=0o700, exist_ok=True)
        return staged

    def drop(self, staged: Path) -> None:
        if (self.path / "staged").resolve() not in staged.resolve().parents:
            raise ScratchError(f"{staged} is not staged data of this run")
        remove_tree(staged)

    def _start_postgres(self, recipe: Recipe) -> Instance:
        # psycopg is heavy, and scratch for files does without
        from drmgr.scratch import postgres

        postgres.check_host(recipe, self.path, self._user, self._runner)
        home = self._home(f"pg-{self._count}")
        socket = home if postgres.fits_socket(home) else self._short_socket()
        plan = postgres.plan_server(recipe, home, socket, self.path / f"pgpass-{self._count}", self._user)
        if recipe.engine == "postgresql-physical":
            from drmgr.scratch import cluster

            write_private(plan.passfile, "")
            return cluster.start_cluster(recipe, plan, self._runner, self._clock)
        return postgres.launch(plan, self._runner, self._clock).instance()

    def _start_mariadb(self, recipe: Recipe) -> Instance:
        from drmgr.scratch import mariadb

        mariadb.check_host(recipe, self.path, self._user, self._runner)
        home = self._home(f"mariadb-{self._count}")
        socket = home if mariadb.fits_socket(home) else self._short_socket()
        plan = mariadb.plan_server(recipe, home, socket, self.path / f"mypass-{self._count}", self._user)
        if recipe.engine == "mariadb-physical":
            from drmgr.scratch import mariadb_copy

            mariadb_copy.check_series(recipe, self._runner)
            return mariadb_copy.start_copy(recipe, plan, self._runner, self._clock)
        return mariadb.launch(plan, self._runner, self._clock).instance()

    def _start_sqlserver(self, recipe: Recipe) -> Instance:
        if self._sqlserver is None:
            raise PreflightError(
                f"there is no scratch server for {recipe.source}, which is SQL Server",
                hint="name a connection of the site file to a server of its own as scratch.sqlserver",
            )
        label = self._label()
        # noted first: from now on the end of this workspace, whoever makes it, looks on that server as well
        write_label(self.path, replace(label, elsewhere=True))
        alive = {path.name.removeprefix(PREFIX) for path in self.path.parent.glob(f"{PREFIX}*")}
        passfile = self.path / f"mssql-{self._count}.json"
        return self._sqlserver.start(recipe, label.run, self._count, passfile, alive)

    def _home(self, name: str) -> Path:
        home = self.path / name
        home.mkdir(mode=0o700)
        give_to(home, self._user)
        return home

    def _short_socket(self) -> Path:
        socket = short_directory(self._user)
        self._note_socket(socket)
        return socket

    def _note_socket(self, socket: Path) -> None:
        label = self._label()
        write_label(self.path, replace(label, sockets=(*label.sockets, str(socket))))

    def _label(self) -> Label:
        label = read_label(self.path)
        if label is None:
            raise ScratchError(f"the label of {self.path} is gone")
        return label


class ScratchHost:
    """See interfaces.Scratch. ``user`` is the account that servers run as when drmgr is root; ``host`` this machine's name.

    ``sqlserver`` is the server for SQL Server's scratch databases, if the site has one.
    """

    def __init__(
        self,
        directory: Path,
        user: str,
        runner: Runner,
        clock: Clock,
        host: str,
        *,
        sqlserver: "SqlServerScratch | None" = None,
    ) -> None:
        self._sqlserver = sqlserver
        self._directory = directory
        self._user = user
        self._runner = runner
        self._clock = clock
        self._host = host
        self._destructions: list[Destruction] = []
        self._open: set[Path] = set()

    @contextmanager
    def open(self, run: str, needed_bytes: int) -> Iterator[ScratchWorkspace]:
        path = self._workspace(run)
        if path.exists():
            raise ScratchError(f"run {run} has a workspace already at {path}", hint="end the run that holds it")
        self._refuse_full(needed_bytes)
        try:
            self._open.add(path)
            self._make(path, run)
            yield ScratchWorkspace(path, self._user, self._runner, self._clock, sqlserver=self._sqlserver)
        finally:
            try:
                self._end(path)
            except Interrupted:
                # a signal comes only once: the destruction that it broke into is made good before it goes on
                self._end(path)
                raise
            finally:
                self._open.discard(path)

    def memory(self, recipe: Recipe) -> int:
        if recipe.engine in POSTGRES:
            from drmgr.scratch import postgres

            return RESTORING_BYTES + postgres.memory_of()
        if recipe.engine in MARIADB:
            from drmgr.scratch import mariadb

            return RESTORING_BYTES + mariadb.memory_of()
        return RESTORING_BYTES

    def halt(self) -> None:
        for path in tuple(self._open):
            kill_processes(path)

    def _end(self, path: Path) -> None:
        label = read_label(path)
        if label is not None and not label.kept(self._clock.now()):
            self._destroy(path, label)

    def keep(self, run: str, until: datetime) -> None:
        path = self._workspace(run)
        label = read_label(path)
        if label is None:
            raise ScratchError(f"run {run} has no workspace to keep")
        write_label(path, label.keeping(until))

    def destructions(self) -> tuple[Destruction, ...]:
        return tuple(self._destructions)

    def reap(self) -> tuple[Destruction, ...]:
        ended = []
        for path in sorted(self._directory.glob(f"{PREFIX}*")) if self._directory.is_dir() else ():
            label = read_label(path)
            if label is None or label.host != self._host:
                continue
            expired = label.keep_until is not None and not label.kept(self._clock.now())
            over = expired or (label.keep_until is None and label.orphaned())
            # a scratch server that is down must not keep anybody from making a backup: the next call tries again
            if over and not (label.elsewhere and self._sqlserver is not None and not self._sqlserver.reachable()):
                ended.append(self._destroy(path, label))
        return tuple(ended)

    def end_kept(self) -> tuple[Destruction, ...]:
        """Destroys what is kept for people on this host, its time over or not. Raises ScratchError."""
        labels = {path: read_label(path) for path in sorted(self._directory.glob(f"{PREFIX}*"))}
        return tuple(
            self._destroy(path, label)
            for path, label in labels.items()
            if label is not None and label.host == self._host and label.keep_until is not None
        )

    def _workspace(self, run: str) -> Path:
        if not _SAFE.fullmatch(run):
            raise ScratchError(f"{run!r} cannot be the name of a workspace")
        return self._directory.absolute() / f"{PREFIX}{run}"

    def _refuse_full(self, needed_bytes: int) -> None:
        needed, free = needed_bytes + needed_bytes // HEADROOM_SHARE, free_bytes(self._directory.absolute())
        if free < needed:
            raise ScratchError(
                f"scratch needs {needed} bytes, and {self._directory} has {free} bytes free",
                hint="free some space, or name a larger scratch.directory in the site file",
            )

    def _make(self, path: Path, run: str) -> None:
        if os.geteuid() == 0:
            account_of(self._user)
        try:
            self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            # labelled before it has its name: a workspace without label would never be reaped
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self._directory) as fresh:
                made = Path(fresh) / "w"
                made.mkdir()
                made.chmod(0o711)
                write_label(made, new_label(run, self._host, self._clock.now()))
                made.rename(path)
        except OSError as error:
            raise ScratchError(f"no workspace could be made at {path}: {error.strerror}") from error

    def _destroy(self, path: Path, label: Label) -> Destruction:
        """Ends what runs there, counts what lies there, removes it, and looks whether it is gone. Raises ScratchError."""
        if label.elsewhere:
            self._end_elsewhere(label)
        ended = end_processes(path, self._clock)
        files, size = _measure(path)
        for socket in map(Path, label.sockets):
            _remove_sockets(socket)
        # the label goes last: what a second interruption leaves behind is still known as ours
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
        remove_tree(path)
        gone = not path.exists() and not processes_in(path)
        proof = Destruction(str(path), files, size, ended, gone, self._clock.now())
        self._destructions.append(proof)
        return proof

    def _end_elsewhere(self, label: Label) -> None:
        if self._sqlserver is None:
            raise ScratchError(
                f"run {label.run} may have databases on a scratch SQL Server that the site file no longer names",
                hint="name it as scratch.sqlserver again, so that they can be dropped",
            )
        self._sqlserver.end(label.run)


def _measure(path: Path) -> tuple[int, int]:
    """Files below ``path`` and the bytes in them."""
    files = size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.lstat(Path(folder) / name).st_size
                files += 1
    return files, size


def _remove_sockets(directory: Path) -> None:
    """Removes a socket directory and nothing else: a label that somebody changed must not lead us elsewhere."""
    if directory.is_symlink() or not directory.is_dir():
        return
    for entry in directory.iterdir():
        if entry.name.startswith((".s.PGSQL.", "mysqld.sock")):
            entry.unlink()
    with suppress(OSError):
        directory.rmdir()
