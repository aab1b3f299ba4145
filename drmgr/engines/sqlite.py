"""SQLite: copied by the online backup API while its programs go on writing; the copy is the view."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from drmgr.engines.answers import single, to_json
from drmgr.engines.sqlite_facts import Groups, newest_value, read_groups
from drmgr.errors import DrmgrError, LoadError, PreflightError, SourceError
from drmgr.interfaces import Capture, Clock, Progress, Sink
from drmgr.model import CheckResult, CheckStatus, Facts, Instance, Json, Level, Recipe, Text, Tree
from drmgr.system.files import private_directory

PART = "database"
MAGIC = b"SQLite format 3\x00"
LOCK_SECONDS = 60
MESSAGE_CHARACTERS = 200
COMPANIONS = ("-wal", "-journal")
"""Files beside a database that hold part of its content while a program has it open."""

FactsMode = Literal["full", "counts"]


@dataclass(frozen=True)
class Scope:
    """What to look at. ``full`` adds fingerprints to the counts; ``newest`` are (table, column)."""

    full: bool
    newest: tuple[tuple[str, str], ...]
    zone: ZoneInfo


class SqliteEngine:
    """See interfaces.SqlEngine. ``path`` is the database's file; ``runtime`` a private directory for the copy of it."""

    name = "sqlite"

    def __init__(
        self,
        source: str,
        path: Path,
        *,
        clock: Clock,
        runtime: Path,
        facts_mode: FactsMode = "full",
        newest: Sequence[tuple[str, str]] = (),
        timezone: str = "UTC",
    ) -> None:
        self._source = source
        self._path = path
        self._clock = clock
        self._runtime = runtime
        self._scope = Scope(facts_mode == "full", tuple(newest), ZoneInfo(timezone))

    def preflight(self) -> None:
        _refuse_other_files(self._path, PreflightError)
        with opened(self._path, PreflightError) as session:
            if not _table_count(session):
                raise PreflightError(
                    f"the database {self._path} has no tables",
                    hint="is this the right file? if it was emptied by mistake, restore the last recovery point",
                )
            for table, column in self._scope.newest:
                newest_value(session, table, column, self._scope.zone, PreflightError)

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """Copies the database at once. The copy is looked through before it is offered: a broken source is an error."""
        _refuse_other_files(self._path, SourceError)
        with private_directory(self._runtime, "sqlite-") as staging:
            consistent_at = self._clock.now()
            copy = staging / self._path.name
            _copy(self._path, copy, self._clock)
            wrong = _problems(copy)
            if wrong:
                raise SourceError(
                    f"the database {self._path} is damaged: integrity_check finds {wrong} problems",
                    hint="restore the last recovery point beside it, and look into the disk",
                )
            yield _Copied(self, staging, consistent_at)

    def recipe(self, facts: Facts) -> Recipe:
        return Recipe(self._source, self.name, database=self._path.name)

    def target(self) -> Instance:
        return Instance(engine=self.name, path=self._path.parent, database=self._path.name)

    def identity(self, of: Instance) -> str:
        return f"{self.name}:{file_of(of).resolve()}"

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        del of
        return {"server": sqlite3.sqlite_version}

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        if into.path is None:
            raise PreflightError("this instance is not a folder")
        source = _the_file(restored / PART)
        target = into.path / (into.database or source.name)
        for path in (target, *(Path(f"{target}{ending}") for ending in COMPANIONS)):
            if path.exists() and path.stat().st_size > 0:
                raise PreflightError(
                    f"the target {path} is not empty", hint="move it away first; a restore writes over nothing"
                )
        _refuse_other_files(source, LoadError)
        progress(0.01, "copying")
        shutil.copyfile(source, target)
        target.chmod(0o600)
        loaded = replace(into, database=target.name)
        with opened(target, LoadError) as session:
            if not _table_count(session):
                raise LoadError("the restored database has no tables")
        progress(1.0, "loaded")
        return loaded

    def facts(self, of: Instance, like: Facts) -> Facts:
        started, now = self._clock.monotonic(), self._clock.now()
        tables = like.groups.get("tables", {})
        full = any("fingerprint" in item for item in tables.values()) if tables else self._scope.full
        parted = (name.rpartition(".") for name in like.groups.get("newest", {}))
        scope = replace(self._scope, full=full, newest=tuple((table, column) for table, _, column in parted))
        groups = self._read(file_of(of), scope)
        return Facts(self.name, now, groups, self._clock.monotonic() - started)

    def integrity(self, of: Instance) -> CheckResult:
        started = self._clock.monotonic()
        with opened(file_of(of)) as session, told("the database could not be looked through"):
            problems = _findings(session)
            orphans = sum(1 for _ in session.execute("PRAGMA foreign_key_check"))
            tables = _table_count(session)
        found = {"problems": problems, "rows_without_parent": orphans}
        failures = [f"{count} {name.replace('_', ' ')}" for name, count in found.items() if count]
        if not tables:
            failures.append("nothing was checked")
        return CheckResult(
            name="integrity",
            status=CheckStatus.FAIL if failures else CheckStatus.PASS,
            level=Level.INTEGRITY,
            expected=dict.fromkeys(found, 0),
            actual={**found, "tables_checked": tables},
            seconds=self._clock.monotonic() - started,
            source=self._source,
            title=Text(zh="数据库引擎完整性（integrity_check）", en="Integrity by the engine (integrity_check)"),
            message=", ".join(failures),
        )

    def scalar(self, of: Instance, sql: str) -> Json:
        return single(self.rows(of, sql))

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        with opened(file_of(of)) as session, told("the query failed"):
            # a question must not open, and so make, another file
            session.set_authorizer(_no_other_files)
            for row in session.execute(sql):
                yield tuple(to_json(value) for value in row)

    def newest(self, of: Instance, table: str, column: str) -> datetime | None:
        with opened(file_of(of)) as session:
            return newest_value(session, table, column, self._scope.zone)

    def _read(self, path: Path, scope: Scope) -> Groups:
        with opened(path) as session, told("the facts could not be read"):
            return read_groups(session, full=scope.full, newest=scope.newest, zone=scope.zone)

    def facts_of_copy(self, copy: Path, consistent_at: datetime) -> Facts:
        """The facts of a copy that was taken at that instant. Raises SourceError."""
        started = self._clock.monotonic()
        groups = self._read(copy, self._scope)
        return Facts(self.name, consistent_at, groups, self._clock.monotonic() - started)


class _Copied:
    """See interfaces.Capture."""

    frozen = True

    def __init__(self, engine: SqliteEngine, staging: Path, consistent_at: datetime) -> None:
        self.consistent_at = consistent_at
        self._engine = engine
        self._staging = staging
        self._copy = _the_file(staging)

    def store(self, sink: Sink) -> None:
        sink.save(Tree(PART, self._staging))

    def facts(self) -> Facts:
        return self._engine.facts_of_copy(self._copy, self.consistent_at)


def _refuse_other_files(path: Path, error: type[DrmgrError]) -> None:
    try:
        if not path.is_file():
            raise error(f"the database file {path} is not there", hint="is its disk mounted, and its path right?")
        with path.open("rb") as file:
            head, size = file.read(len(MAGIC)), os.fstat(file.fileno()).st_size
    except OSError as failure:
        raise error(
            f"the database file {path} cannot be read: {failure.strerror}",
            hint="give drmgr's account read rights on the file and its folder",
        ) from None
    if size == 0:
        raise error(f"the database file {path} is empty", hint="drmgr does not back up nothing")
    if head != MAGIC:
        raise error(f"the file {path} is not a SQLite database", hint="an encrypted one needs its own program's backup")
    _refuse_lost_log(path, error)


def _refuse_lost_log(path: Path, error: type[DrmgrError]) -> None:
    """Somebody removed the write-ahead log under a program that has it open: what it wrote would be missing.

    Only found in the process table, and so only of programs whose open files we may see.
    """
    log = f"{path.absolute()}-wal"
    if os.path.exists(log):  # noqa: PTH110
        return
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            held = os.readlink(handle)  # noqa: PTH115 - the text itself, which is no path any more
        except OSError:
            continue
        if held == f"{log} (deleted)":
            raise error(
                f"the write-ahead log of {path} was removed while process {handle.parts[2]} has it open",
                hint="end that program in its own way, and do not kill it: at its end it writes its log into the database",
            )


@contextmanager
def opened(path: Path, error: type[DrmgrError] = SourceError) -> Iterator[sqlite3.Connection]:
    """A session that cannot write. Raises ``error``."""
    with told(f"the database {path} could not be opened", error):
        session = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS)
        session.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
        try:
            session.execute("PRAGMA query_only = ON")
            session.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error:
            session.close()
            raise
    with closing(session):
        yield session


def _copy(path: Path, copy: Path, clock: Clock) -> None:
    """Copies the database as it is at one instant. Raises SourceError.

    All pages in one step: in WAL mode writers go on meanwhile, in the other modes they wait for the length of the copy.
    In several steps every write would begin the copy anew, and on a busy database it would never end.
    """
    deadline = clock.monotonic() + LOCK_SECONDS
    last = -1

    def look(status: int, remaining: int, total: int) -> None:
        nonlocal last
        if remaining == last and clock.monotonic() > deadline:
            raise TimeoutError
        last = remaining

    handle = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.close(handle)
    with opened(path) as source, closing(sqlite3.connect(copy)) as target:
        try:
            source.backup(target, pages=-1, progress=look)
        except TimeoutError:
            raise SourceError(
                f"the database {path} was locked for {LOCK_SECONDS} s", hint="which program holds it? try again later"
            ) from None
        except sqlite3.Error as failure:
            raise SourceError(f"the database {path} could not be copied: {_safe(failure)}") from None


def _problems(copy: Path) -> int:
    """What integrity_check finds in a private copy; the copy is one whole file afterwards. Raises SourceError."""
    with told("the copy could not be looked through"), closing(sqlite3.connect(copy)) as session:
        return _findings(session)


def _findings(session: sqlite3.Connection) -> int:
    try:
        return sum(text != "ok" for (text,) in session.execute("PRAGMA integrity_check"))
    except sqlite3.DatabaseError as failure:
        if failure.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return 1
        raise


def _table_count(session: sqlite3.Connection) -> int:
    (count,) = session.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchone()
    return int(count)


def _no_other_files(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _the_file(folder: Path) -> Path:
    found = [path for path in sorted(folder.glob("*")) if path.is_file()]
    if len(found) != 1:
        raise LoadError(f"one database file was to be loaded, and the restored part holds {len(found)}")
    return found[0]


def file_of(of: Instance) -> Path:
    """The database's file. Raises SourceError for an instance of another kind."""
    if of.path is None or not of.database:
        raise SourceError("this instance is not a database file")
    return of.path / of.database


@contextmanager
def told(what: str, error: type[DrmgrError] = SourceError, *, hint: str | None = None) -> Iterator[None]:
    """Turns SQLite's errors into ``error`` with the message ``what: why``."""
    try:
        yield
    except sqlite3.Error as failure:
        # errors of the module itself have no code
        if getattr(failure, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
            raise error(
                f"{what}: a program ended in the middle of a write and left its journal",
                hint="open the database once with its own program, which takes the half-written change back",
            ) from None
        raise error(f"{what}: {_safe(failure)}", hint=hint) from None


def _safe(failure: sqlite3.Error) -> str:
    """The first words of SQLite's message: what follows a colon or a quote can be a value."""
    text = str(failure).split('"')[0].split(":")[0].strip()
    return text[:MESSAGE_CHARACTERS] or "no reason was given"
