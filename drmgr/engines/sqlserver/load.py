"""Brings backups back under a new name: base, differential, logs up to the target, and proof that the target was reached."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drmgr.engines.sqlserver import statements
from drmgr.engines.sqlserver.chain import Chain, chain_of
from drmgr.engines.sqlserver.connection import Endpoint, opened, told
from drmgr.engines.sqlserver.facts import version_of
from drmgr.engines.sqlserver.headers import Header, read_header
from drmgr.engines.sqlserver.storing import PARTS
from drmgr.engines.sqlserver.take import remove_file
from drmgr.errors import LoadError, PreflightError, ScratchError
from drmgr.interfaces import Progress
from drmgr.model import RecoveryTarget
from drmgr.system import mssql
from drmgr.system.mssql import Row
from drmgr.system.mssql_names import folder_of, join

ENDINGS: Mapping[str, str] = {"D": "mdf", "L": "ldf"}
HEADROOM_SHARE = 10
"""One part in so many more than the database's files must be free."""

LOGS = "logs-*"
DONE = "successfully processed"
"""What the server says at the end of each restore; sessions are pinned to its English texts."""

BACKUP_SUFFIXES = frozenset({".bak", ".dif", ".trn"})


@dataclass(frozen=True)
class _File:
    """A file of the database, by its name inside of it, and where it goes."""

    logical: str
    path: str
    size: int


@dataclass(frozen=True)
class Loader:
    """One restore into one database of one server."""

    into: Endpoint
    target: RecoveryTarget | None
    progress: Progress
    like: str = ""
    """The files go where the server keeps those of that database; without one into the server's own folders."""

    def load(self, restored: Path) -> None:
        """Raises PreflightError when the database is there and not empty, LoadError when the backups do not load."""
        backups = _files(restored)
        self._refuse_occupied()
        with self._handed_over(backups) as names:
            chain, files = self._look(names)
            self._refuse_small_disk(files)
            self._replace_empty()
            self._restore(chain, {file.logical: file.path for file in files})
        self._prove_online()
        self.progress(1.0, "loaded")

    # --- before anything is written ---

    def _refuse_occupied(self) -> None:
        with (
            opened(self.into, PreflightError, "master") as session,
            told("the target could not be looked at", PreflightError),
        ):
            if not session.rows(statements.database(self.into.database)):
                return
            count = session.row(statements.occupied(self.into.database))["objects"]
        if count:
            raise PreflightError(
                f"the target database {self.into.database} is not empty: it holds {count} objects",
                hint="restores go into a new or an empty database only; name another one in the site file",
            )

    @contextmanager
    def _handed_over(self, files: Mapping[str, Path]) -> Iterator[tuple[str, ...]]:
        """Copies of the files where the server sees them, removed at the end."""
        share, token = self.into.access.share, secrets.token_hex(6)
        names = {f"drmgr-load-{token}-{number:06}{path.suffix}": path for number, path in enumerate(files.values())}
        done: list[str] = []
        try:
            for name, path in names.items():
                done.append(name)
                try:
                    share.put(path, name)
                except OSError as failure:
                    raise ScratchError(
                        f"the backups cannot be handed to the server in {share.where}: {failure.strerror}",
                        hint="does it answer, may drmgr write there, and is there room in it?",
                    ) from failure
            yield tuple(names)
        finally:
            for name in done:
                remove_file(self.into, name, ScratchError)

    def _look(self, names: tuple[str, ...]) -> tuple[Chain, list[_File]]:
        """The chain by the backups' own headers, and where each file of the database goes."""
        share = self.into.access.share
        with opened(self.into, LoadError, "master") as session:
            with told("the backups could not be read", LoadError):
                headers = [read_header(session, share, name, LoadError) for name in names]
            chain = chain_of(headers)
            with told("the list of files could not be read", LoadError):
                server = session.row(statements.SERVER)
                listed = session.rows(statements.file_list_only(share.device(chain.full.file)))
                homes = session.rows(statements.files(self.like)) if self.like else []
        if not listed:
            raise LoadError("the full backup holds no files")
        if chain.full.version > version_of(server):
            raise LoadError(
                f"the backup is of SQL Server version {chain.full.version}, and this server is {server['version']}",
                hint=f"name a scratch server of version {chain.full.version} or newer in the site file",
            )
        folders = {str(row["logical_name"]): folder_of(str(row["physical_name"])) for row in homes}
        return chain, [_place(self.into.database, row, server, folders) for row in listed]

    def _refuse_small_disk(self, files: list[_File]) -> None:
        """Of each disk that the server tells of, for all files together that go there."""
        disks: dict[str, tuple[int, int]] = {}
        with opened(self.into, ScratchError, "master") as session, told("the disk could not be asked", ScratchError):
            for file in files:
                for row in session.rows(statements.free_space(file.path)):
                    disk = str(row["volume_mount_point"])
                    disks[disk] = (disks.get(disk, (0, 0))[0] + file.size, int(row["available_bytes"]))
        for disk, (size, free) in disks.items():
            needed = size + size // HEADROOM_SHARE
            if free < needed:
                raise ScratchError(
                    f"the restore needs {needed} bytes, and the server has {free} bytes free on {disk}",
                    hint="make room on that server's disk",
                )

    def _replace_empty(self) -> None:
        with opened(self.into, LoadError, "master") as session, told("the empty database", LoadError):
            if session.rows(statements.database(self.into.database)):
                session.act(statements.drop(self.into.database))

    # --- the restore itself ---

    def _restore(self, chain: Chain, moves: Mapping[str, str]) -> None:
        name, share = self.into.database, self.into.access.share
        steps = 1 + (chain.differential is not None) + len(chain.logs)
        act = self._step(steps)
        act(statements.restore_database(name, share.device(chain.full.file), moves), "full backup")
        if chain.differential is not None:
            act(statements.restore_database(name, share.device(chain.differential.file), {}), "differential backup")
        before = chain.base
        for log in chain.logs:
            stop = "" if self.target is None else self._stop(before, log)
            before = log
            act(statements.restore_log(name, share.device(log.file), stop), "log")
            if stop and self._state() == "ONLINE":
                return
        if self.target is not None:
            self._refuse_short(chain)
        act(statements.recover(name), "recover")

    def _step(self, steps: int) -> Callable[[str, str], None]:
        done = 0

        def act(statement: str, word: str) -> None:
            nonlocal done
            start = done

            def hear(text: str) -> None:
                found = re.match(r"(\d+) percent processed", text)
                if found:
                    self.progress(min(1.0, (start + int(found[1]) / 100) / (steps + 1)), word)

            with told(f"the {word} did not load", LoadError):
                said = mssql.act(self.into.server, statement, hear)
            # no error is not enough: one that was broken off in silence gives none either
            if not any(DONE in text for text in said):
                raise LoadError(f"the {word} did not load: the server does not say that it did")
            done += 1

        return act

    def _stop(self, before: Header, log: Header) -> str:
        """The target as the server takes it: a position, or a time by its own clock, which knows no zones."""
        assert self.target is not None
        if self.target.kind == "position":
            return statements.stop_at_position(int(self.target.value.removeprefix("lsn:")))
        if self.target.kind != "time":
            raise LoadError(f"SQL Server cannot be restored to the {self.target.kind} {self.target.value}")
        if log.started < before.started or log.started.tzinfo != before.started.tzinfo:
            raise LoadError(
                f"the server's clock was set to another time between {before.started} and {log.started}",
                hint="times between those two mean two things; choose another one, or a position (lsn:…)",
            )
        local = datetime.fromisoformat(self.target.value).astimezone(log.started.tzinfo).replace(tzinfo=None)
        return statements.stop_at(_stop_text(local))

    def _refuse_short(self, chain: Chain) -> None:
        """The server came to the end of the last log without having seen anything after the target.

        Then the target is reached if, and only if, that log was begun after it: what was committed until then is in it.
        """
        target = self.target
        assert target is not None
        reached = (
            target.kind == "time" and bool(chain.logs) and chain.logs[-1].started > datetime.fromisoformat(target.value)
        )
        if not reached:
            raise LoadError(
                f"the logs end before {target.kind} {target.value}: the restore did not reach it",
                hint="choose an earlier time; see: drmgr points SYSTEM",
            )

    def _state(self) -> str:
        with opened(self.into, LoadError, "master") as session, told("the restored database", LoadError):
            found = session.rows(statements.database(self.into.database))
        if not found:
            raise LoadError("the server restored nothing")
        return str(found[0]["state_desc"])

    def _prove_online(self) -> None:
        """The server is asked, and not believed for having reported success."""
        state = self._state()
        if state != "ONLINE":
            raise LoadError(f"the restored database is {state.lower()}, not online")
        with opened(self.into, LoadError) as session, told("the restored database", LoadError):
            if not session.rows(statements.TABLES):
                raise LoadError("the restored database has no tables")


TICKS = 300
"""SQL Server's datetime has so many in a second, and would round a time between two of them up, beyond the target."""


def _stop_text(local: datetime) -> str:
    """The last instant of the server's own type that is not after the target."""
    tick = local.microsecond * TICKS // 1_000_000
    return f"{local:%Y-%m-%dT%H:%M:%S}.{round(tick * 1000 / TICKS):03}"


def _files(restored: Path) -> dict[str, Path]:
    folders = [*(restored / part for part in PARTS), *sorted(restored.glob(LOGS))]
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file()]
    files = {str(path): path for path in found if path.suffix in BACKUP_SUFFIXES}
    if not files:
        raise LoadError("there is no backup file among what was restored")
    return files


def _place(database: str, row: Row, server: Row, folders: Mapping[str, str]) -> _File:
    """Where a file of the database goes: its known folder, or the server's own, under a name that nobody else has."""
    kind, logical = str(row["Type"]).strip(), str(row["LogicalName"])
    folder = folders.get(logical) or (server["log_path"] if kind == "L" else server["data_path"])
    if not folder:
        raise LoadError("the server does not say where it keeps its databases")
    ending = ENDINGS.get(kind, "dir")
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", database)
    if safe != database:
        # names in Chinese would all look alike
        safe = f"{safe}_{hashlib.sha256(database.encode()).hexdigest()[:8]}"
    return _File(logical, join(str(folder), f"{safe}_{int(row['FileId'])}.{ending}"), int(row["Size"]))
