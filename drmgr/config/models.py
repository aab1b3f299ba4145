"""The site file, a job and a drill as pydantic models. The descriptions are what ``drmgr config schema`` shows."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drmgr import model
from drmgr.config.check_models import Check, DicomCheck, Expect, FilesCheck, FreshnessCheck, RowsCheck, SqlCheck
from drmgr.config.part import Part
from drmgr.config.parts import BilingualText, refuse
from drmgr.config.references import job_mistakes, site_mistakes
from drmgr.config.stores import Copy, FolderStore, ObjectLock, Retention, S3Store, Store, VerifyRules
from drmgr.config.trees import FilesConnection, FilesSource, Hooks
from drmgr.config.values import (
    AnyPath,
    Duration,
    Id,
    Line,
    PointChoice,
    SecretRef,
    Timezone,
    Whole,
)

__all__ = [
    "BilingualText",
    "Check",
    "Copy",
    "DicomCheck",
    "Expect",
    "FilesCheck",
    "FolderStore",
    "FreshnessCheck",
    "ObjectLock",
    "Part",
    "Retention",
    "RowsCheck",
    "S3Store",
    "SqlCheck",
    "Store",
]

Scenario = Literal[
    "server-lost",
    "storage-lost",
    "ransomware",
    "rows-changed-by-mistake",
    "database-corrupted",
    "site-lost",
    "keys-lost",
    "drmgr-host-lost",
    "chain-broken",
]


# --- site file --------------------------------------------------------------------------------------------------------


class Site(Part):
    """Who this site is."""

    id: Id = Field(description="short name of the site, used in paths")
    name: BilingualText = Field(description="name of the hospital, as reports print it")
    timezone: Timezone = Field(description="time zone of reports and schedules, for instance Asia/Shanghai")


class Keys(Part):
    """Where the wrapped keys of this site lie, and what opens them."""

    directory: AnyPath = Field(default=Path("keys"), description="folder of the wrapped keys")
    passphrase: SecretRef = Field(description="the passphrase that opens the keys: env:NAME or file:PATH")

    @field_validator("passphrase")
    @classmethod
    def _outside(cls, value: SecretRef) -> SecretRef:
        if value.scheme == "keystore":
            raise ValueError("must be env:NAME or file:PATH, for it is what opens the keystore")
        return value


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
        default=None, description="the server's data directory on this host; needed for physical"
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


class SqliteConnection(Part):
    """A SQLite database file on this host."""

    engine: Literal["sqlite"] = Field(description="the kind of source behind this connection")
    path: AnyPath = Field(description="the database's file")


Connection = Annotated[
    PostgresqlConnection | MariadbConnection | SqliteConnection | FilesConnection, Field(discriminator="engine")
]


class Allow(Part):
    """Where restores may write, apart from scratch. Empty means nowhere."""

    connections: tuple[Id, ...] = Field(default=(), description="connections that may be restored into")
    folders: tuple[AnyPath, ...] = Field(default=(), description="folders below which files may be restored")


class RestoreRules(Part):
    """What restores may do."""

    allow: Allow = Field(default=Allow(), description="targets that restores may write to")


class Scratch(Part):
    """Where drills and test restores happen."""

    directory: AnyPath = Field(default=Path("scratch"), description="folder of throw-away instances")
    user: Line = Field(default="postgres", description="account the scratch servers run as when drmgr is root")


class Restic(Part):
    """The restic program."""

    program: Line = Field(default="restic", description="name or path of the restic program")
    patience: Duration = Field(
        default=timedelta(minutes=2), description="how long the object store may give only errors before a run ends"
    )


class SiteFile(Part):
    """drmgr.yaml: who the site is, where things lie, and what drmgr may do."""

    site: Site = Field(description="who this site is")
    state: AnyPath = Field(default=Path("state"), description="folder of catalog, locks and cache")
    evidence: AnyPath = Field(default=Path("evidence"), description="folder of signed evidence")
    jobs: AnyPath = Field(default=Path("jobs"), description="folder with one file per system")
    drills: AnyPath = Field(default=Path("drills"), description="folder with one file per drill")
    keys: Keys = Field(description="the wrapped keys of this site")
    catalog: SecretRef | None = Field(
        default=None, description="reference to the SQLAlchemy URL of a PostgreSQL catalog; null for SQLite in state"
    )
    store: Store = Field(description="where the repositories lie")
    connections: dict[Id, Connection] = Field(default_factory=dict, description="where sources live, by name")
    pauses: dict[Id, Hooks] = Field(
        default_factory=dict, description="commands that keep a system's writers still while it is captured, by name"
    )
    restore: RestoreRules = Field(default=RestoreRules(), description="what restores may do")
    scratch: Scratch = Field(default=Scratch(), description="where drills happen")
    restic: Restic = Field(default=Restic(), description="the restic program")
    copies: dict[Id, Copy] = Field(default_factory=dict, description="further repositories of every system, by name")
    retention: Retention | None = Field(
        default=None, description="which points are kept, unless a job says otherwise; null means all of them"
    )
    verify: VerifyRules = Field(default=VerifyRules(), description="how often stored data are read back")

    @model_validator(mode="after")
    def _references(self) -> "SiteFile":
        refuse("site", site_mistakes(self.model_dump(mode="json", exclude_unset=True)))
        return self


# --- jobs -------------------------------------------------------------------------------------------------------------


class Objectives(Part):
    """What was promised to the hospital."""

    rpo: Duration = Field(description="at most this much of the newest data may be lost")
    rto: Duration = Field(description="the system is usable again within this time")


class Newest(Part):
    """A column whose newest value is recorded among the facts."""

    table: Line = Field(description="the table, with its schema: public.study")
    column: Line = Field(description="a column of dates or timestamps")


class DatabaseSource(Part):
    """A database of the system."""

    name: Id = Field(description="name of the source within its system")
    kind: Literal["database"] = Field(description="the kind of source")
    connection: Id = Field(description="a connection of the site file")
    facts: Literal["full", "counts"] = Field(
        default="full", description="full: count and fingerprint of every table; counts: counts only, for huge tables"
    )
    newest: tuple[Newest, ...] = Field(default=(), description="columns whose newest value is recorded")


Source = Annotated[DatabaseSource | FilesSource, Field(discriminator="kind")]


class Job(Part):
    """jobs/ID.yaml: one business system, its sources and its checks; what, never where."""

    system: Id = Field(description="id of the system; the file has the same name")
    title: BilingualText = Field(description="name of the system, as reports print it")
    tier: Whole = Field(ge=1, le=3, description="importance: 1 is recovered first")
    objectives: Objectives = Field(description="what was promised")
    sources: tuple[Source, ...] = Field(min_length=1, description="the sources, in the order they are captured")
    pause: Id | None = Field(
        default=None, description="a pause of the site file that is held while the sources are read"
    )
    checks: tuple[Check, ...] = Field(default=(), description="what proves that the system works again")
    retention: Retention | None = Field(default=None, description="which points are kept; null means as the site says")

    @model_validator(mode="after")
    def _references(self) -> "Job":
        refuse("job", job_mistakes(self.model_dump(mode="json", exclude_unset=True)))
        return self


# --- drills -----------------------------------------------------------------------------------------------------------


class Drill(Part):
    """drills/NAME.yaml: a scenario that is played on scratch."""

    drill: Id = Field(description="name of the drill")
    title: BilingualText = Field(description="name of the drill, as reports print it")
    scenario: Scenario = Field(description="what is played")
    systems: tuple[Id, ...] = Field(min_length=1, description="the systems that are brought back")
    point: PointChoice = Field(default="latest", description="the recovery point: latest, or an id")
    from_copy: Id | None = Field(default=None, description="a copy of the site file to bring it back from")
    at: Line = Field(
        default="", description="go on by the shipped logs: newest, or a time; empty stays at the recovery point"
    )
    level: Whole = Field(default=3, ge=0, le=6, description="the least verification level for passed")
    form: Literal["hands-on", "tabletop"] = Field(default="hands-on", description="how the drill is held")
    approval: str = Field(default="", description="approval number, filled in by the hospital")


def text_of(text: BilingualText) -> model.Text:
    """The text as the rest of drmgr knows it."""
    return model.Text(text.zh, text.en)


def system_of(job: Job) -> model.System:
    """The system that the job declares."""
    objectives = model.Objectives(job.objectives.rpo, job.objectives.rto)
    return model.System(job.system, text_of(job.title), job.tier, objectives)
