"""Builds the concrete parts from the configuration: the one place that knows every maker."""

import getpass
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from drmgr import __version__
from drmgr.cli.repositories.lost import lost_hint
from drmgr.cli.wiring.canaries import live_canaries, sensitivity_of
from drmgr.cli.wiring.checks import checks_of
from drmgr.cli.wiring.engines import make_engine, make_source, make_spool, ships_log, sqlserver_scratch
from drmgr.cli.wiring.stores import StorePlace
from drmgr.cli.wiring.trees import make_pause
from drmgr.config import models
from drmgr.config.load import LoadedSite, load_site
from drmgr.config.models import system_of, text_of
from drmgr.config.secrets import SecretSource
from drmgr.errors import ConfigError, KeystoreError, ToolError, UsageError
from drmgr.flows.bench import Bench, ProgressFor, WiredSystem
from drmgr.interfaces import Engine
from drmgr.repository.restic import ResticRepository, ResticSettings, restic_version
from drmgr.repository.restic_care import CaredRepository
from drmgr.state.runtime import runtime_directory
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.files import free_bytes

if TYPE_CHECKING:
    from drmgr.evidence.store import FileEvidenceStore
    from drmgr.flows.ship_logs import Spool
    from drmgr.flows.turns import Limits
    from drmgr.keystore.store import FileKeystore
    from drmgr.repository.bucket import Bucket
    from drmgr.scratch.workspace import ScratchHost
    from drmgr.state.alarm_book import SqlAlarmBook
    from drmgr.state.audit import AuditLog
    from drmgr.state.care import SqlCareBook
    from drmgr.state.catalog import SqlCatalog
    from drmgr.state.locks import FileLocks
    from drmgr.state.rest_book import FileRestBook
    from drmgr.state.schedule_book import SqlScheduleBook
    from drmgr.state.swap_book import FileSwapBook


Kind = TypeVar("Kind", bound=ResticRepository)


class Site:
    """One site's parts, each made when it is first asked for."""

    def __init__(self, loaded: LoadedSite, runtime: Path, stack: ExitStack) -> None:
        self.loaded = loaded
        self.config = loaded.site
        self.clock = SystemClock()
        self.runner = Runner()
        self.runtime = runtime
        self.host = socket.gethostname()
        self.zone = ZoneInfo(loaded.site.site.timezone)
        self._stack = stack
        self._colds = count(1)

    # --- places ---

    def place(self, path: Path) -> Path:
        """An absolute path for one of the site file's."""
        return self.loaded.resolve(path)

    @property
    def state(self) -> Path:
        return self.place(self.config.state)

    @property
    def keys_directory(self) -> Path:
        return self.place(self.config.keys.directory)

    @property
    def evidence_directory(self) -> Path:
        return self.place(self.config.evidence)

    @property
    def audit_file(self) -> Path:
        return self.state / "audit" / "audit.jsonl"

    @property
    def audit_note(self) -> Path:
        """How far the audit log was proven."""
        return self.state / "audit" / "proven.json"

    # --- secrets ---

    @cached_property
    def keystore(self) -> "FileKeystore":
        from drmgr.keystore.store import FileKeystore

        outside = SecretSource(self.loaded.base)
        return FileKeystore(self.keys_directory, lambda: outside.get(self.config.keys.passphrase), clock=self.clock)

    @cached_property
    def secrets(self) -> SecretSource:
        return SecretSource(self.loaded.base, self.keystore.secret)

    # --- what drmgr remembers ---

    @cached_property
    def catalog(self) -> "SqlCatalog":
        from drmgr.state.catalog import open_catalog

        url = None if self.config.catalog is None else self.secrets.get(self.config.catalog).reveal()
        catalog = open_catalog(url, self.state, self.clock)
        self._stack.callback(catalog.close)
        return catalog

    @cached_property
    def swap_book(self) -> "FileSwapBook":
        """Restores in place as this host knows them."""
        from drmgr.state.swap_book import FileSwapBook

        return FileSwapBook(self.state / "restores")

    @cached_property
    def rest_book(self) -> "FileRestBook":
        from drmgr.state.rest_book import FileRestBook

        return FileRestBook(self.state / "rests")

    @cached_property
    def care_book(self) -> "SqlCareBook":
        from drmgr.state.care import SqlCareBook

        return SqlCareBook(self.catalog, self.clock)

    @cached_property
    def audit(self) -> "AuditLog":
        from drmgr.keystore.evidence_keys import audit_private_key
        from drmgr.state.audit import Actor, AuditLog

        actor = Actor(operator(), self.host)
        return AuditLog(self.audit_file, actor, lambda: audit_private_key(self.keystore), self.catalog, self.clock)

    @cached_property
    def evidence(self) -> "FileEvidenceStore":
        from drmgr.evidence.store import FileEvidenceStore
        from drmgr.keystore.evidence_keys import evidence_private_key

        key, folder = (lambda: evidence_private_key(self.keystore)), self.evidence_directory
        return FileEvidenceStore(folder, key, self.catalog, self.clock)

    @cached_property
    def schedule_book(self) -> "SqlScheduleBook":
        from drmgr.state.schedule_book import SqlScheduleBook

        return SqlScheduleBook(self.catalog.database, self.clock)

    @cached_property
    def alarm_book(self) -> "SqlAlarmBook":
        from drmgr.state.alarm_book import SqlAlarmBook

        return SqlAlarmBook(self.catalog.database, self.clock)

    @property
    def locks(self) -> "FileLocks":
        from drmgr.state.locks import FileLocks

        return FileLocks(self.state / "locks", clock=self.clock)

    @cached_property
    def scratch(self) -> "ScratchHost":
        from drmgr.scratch.workspace import ScratchHost

        directory = self.place(self.config.scratch.directory)
        user, sqlserver = self.config.scratch.user, sqlserver_scratch(self)
        return ScratchHost(directory, user, self.runner, self.clock, self.host, sqlserver=sqlserver)

    def row_key(self) -> bytes:
        """The key of the hashes that stand for rows of data. Raises KeystoreError."""
        from drmgr.keystore.evidence_keys import ROWS_ENTRY

        return self.keystore.secret(ROWS_ENTRY)

    # --- repositories ---

    @cached_property
    def stores(self) -> Mapping[str, StorePlace]:
        """Where repositories lie: the site's own store under the empty name, then its copies."""
        declared = {"": self.config.store, **self.config.copies}
        return {
            name: StorePlace(name, store, self.place, self.secrets, self.runtime) for name, store in declared.items()
        }

    @property
    def bucket(self) -> "Bucket | None":
        """The bucket of the repositories; None when they lie in a folder."""
        return self.stores[""].bucket

    @property
    def store_prefix(self) -> str:
        """The folder of the bucket that all of this site's objects lie in; empty for the bucket itself."""
        return self.stores[""].prefix

    def repository(self, system: str, *, cold: bool = False, at: str | None = None) -> ResticRepository:
        """The repository of one system. ``cold``: without what restic remembers on this host, as after its loss.

        Each cold one has a cache of its own: a second drill of this process begins as cold as the first.

        ``at`` is another location of it in the same store, in restic's notation.
        """
        return self._repository(ResticRepository, system, "", cold=cold, at=at)

    def cared(self, system: str, copy: str = "", *, cold: bool = False) -> CaredRepository:
        """The repository of one system, or that of one of its copies, with all that its care needs."""
        return self._repository(CaredRepository, system, copy, cold=cold)

    def copy(self, name: str) -> "StorePlace":
        """The place of that copy. Raises UsageError when the site file has no such one."""
        if name not in self.stores:
            raise UsageError(f"there is no copy {name}", hint="copies are named in the site file")
        return self.stores[name]

    def _repository(self, kind: type[Kind], system: str, copy: str, *, cold: bool, at: str | None = None) -> Kind:
        place = self.copy(copy)
        settings = ResticSettings(
            location=at or place.location(system),
            host=self.config.site.id,
            cache=self._cold_cache(system) if cold else self.state / "restic-cache",
            files=place.files(system),
            program=self.config.restic.program,
            env=place.environment,
            options=(*place.options, *(("--no-lock",) if self.config.restic.read_only else ())),
            patience=self.config.restic.patience.total_seconds(),
            account=place.account,
            gate=lambda: place.gate(system),
            lost=lambda: lost_hint(self, system, copy),
        )
        ask = (lambda: None) if place.bucket is None else place.bucket.probe
        return kind(settings, lambda: self.keystore.repository_password(system, copy), self.runner, ask)

    def _cold_cache(self, system: str) -> Path:
        return self.runtime / "restic-cache" / f"{next(self._colds)}-{system}"

    def location(self, system: str) -> str:
        """Where the system's repository lies, in restic's notation."""
        return self.stores[""].location(system)

    # --- systems ---

    def systems(self, names: list[str], *, everything: bool = False) -> list[str]:
        """The named systems, or all by tier. Raises UsageError for none and for unknown ones."""
        if bool(names) == everything:
            raise UsageError("name the systems, or say --all")
        jobs = self.loaded.jobs
        if everything:
            if not jobs:
                raise ConfigError("there is no job", hint="write one file per system into jobs/")
            return sorted(jobs, key=lambda name: (jobs[name].tier, name))
        return [self.loaded.job(name).system for name in dict.fromkeys(names)]

    def system(self, name: str, *, cold: bool = False, copy: str = "") -> WiredSystem:
        """One system with its engines, checks and repository (see there for ``cold``), or that of a copy."""
        job = self.loaded.job(name)
        engines = {source.name: self.engine(source.connection, source, job) for source in job.sources}
        sources = tuple(make_source(self, job.system, source, engines[source.name]) for source in job.sources)
        repository = self.cared(name, copy, cold=cold) if copy else self.repository(name, cold=cold)
        memory = self.care_book.memory(copy) if copy else None
        checks, pause = checks_of(job, engines, self.row_key), make_pause(self, job)
        canaries = live_canaries(self, job, engines, self.row_key)
        sensitivity = sensitivity_of(job.suspicion or self.config.suspicion)
        place = (copy, memory)
        return WiredSystem(
            *(system_of(job), repository, sources, checks, *place, pause, sensitivity, canaries),
            medium=self.copy(copy).store.kind,
            key_version=self._key_version(name, copy),
        )

    def engine(self, connection: str, source: models.Source, job: models.Job) -> Engine:
        """The engine for a source, bound to that connection (its own, or a restore's target)."""
        return make_engine(self, connection, source, job)

    def has_log(self, source: models.Source) -> bool:
        """Whether what happens in the source between two backups can be shipped."""
        return ships_log(self.config.connections[source.connection])

    def spool(self, system: str, source: models.Source) -> "Spool":
        """Where the logs of that source wait for the store, and how many bytes of them."""
        return make_spool(self, system, source)

    # --- everything a flow needs ---

    def tools(self) -> dict[str, str]:
        """Versions of the programs that do the work, for the records."""
        try:
            restic = restic_version(self.runner, self.config.restic.program)
        except ToolError:
            # the first use of a repository raises it, inside the run that it ends
            restic = "none that can be used"
        return {
            "drmgr": __version__,
            "restic": restic,
            "key-version": self._newest_key_version(),
        }

    def _newest_key_version(self) -> str:
        """The highest that a repository's password has reached, whichever it is."""
        versions = self._key_versions()
        if versions is None:
            return "unknown"
        return str(max((version for name, version in versions.items() if name.startswith("repository/")), default=1))

    def _key_version(self, system: str, copy: str) -> str:
        """Of the repository's own password; empty when nobody knows."""
        from drmgr.keystore.store import repository_entry

        return str((self._key_versions() or {}).get(repository_entry(system, copy), ""))

    def _key_versions(self) -> Mapping[str, int] | None:
        """1 at first, one more each time a key is renewed. None when the keystore cannot be read."""
        try:
            return {info.name: info.version for info in self.keystore.status()} if self.keystore.exists() else {}
        except KeystoreError:
            # the first use of a key raises it, inside the run that it ends
            return None

    def bench(self, progress: ProgressFor) -> Bench:
        """The flows' workbench. Workspaces that dead runs left are destroyed first."""
        self.scratch.reap()
        return Bench(
            site=text_of(self.config.site.name),
            timezone=self.config.site.timezone,
            host=self.host,
            operator=operator(),
            catalog=self.catalog,
            audit=self.audit,
            locks=self.locks,
            clock=self.clock,
            scratch=self.scratch,
            evidence=self.evidence,
            tools=self.tools(),
            progress=progress,
            work=self.runner,
        )

    def limits(self) -> "Limits":
        """What one drill may take of this host, as the site file says or else by what is free now."""
        from drmgr.flows.turns import Limits
        from drmgr.system.capacity import available_memory, cores

        declared = self.config.scratch
        free = free_bytes(self.place(declared.directory))
        return Limits(
            parallel=declared.parallel or cores(),
            memory=declared.memory or available_memory() * 4 // 5,
            disk=free if declared.disk is None else min(declared.disk, free),
            memory_is_set=declared.memory is not None,
        )


def operator() -> str:
    """Who runs this: the person behind sudo where there is one."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


@contextmanager
def open_site(config: Path) -> Iterator[Site]:
    """The site of that site file; private files and connections are given back at the end. Raises ConfigError."""
    loaded = load_site(config)
    with ExitStack() as stack:
        state = loaded.resolve(loaded.site.state)
        try:
            runtime = stack.enter_context(runtime_directory(state / "runtime"))
        except OSError as error:
            raise ConfigError(
                f"the state folder {state} cannot be written: {error.strerror}", hint="look at state in the site file"
            ) from error
        yield Site(loaded, runtime, stack)
