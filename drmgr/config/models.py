"""The site file, a job and a drill as pydantic models. The descriptions are what ``drmgr config schema`` shows."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from drmgr import model
from drmgr.config.part import Part
from drmgr.config.references import Mistake, expect_mistakes, job_mistakes, site_mistakes
from drmgr.config.stores import Copy, FolderStore, ObjectLock, Retention, S3Store, Store, VerifyRules
from drmgr.config.values import (
    AnyPath,
    Duration,
    Id,
    Line,
    Number,
    PointChoice,
    Scalar,
    SecretRef,
    Sql,
    Timezone,
    Whole,
    YesNo,
)

__all__ = ["Copy", "FolderStore", "ObjectLock", "Part", "Retention", "S3Store", "Store"]

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


class BilingualText(Part):
    """A name in both languages of the reports."""

    zh: Line = Field(description="the name in Chinese")
    en: Line = Field(description="the name in English")


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


class FilesConnection(Part):
    """A file tree on this host."""

    engine: Literal["files"] = Field(description="the kind of source behind this connection")
    root: AnyPath = Field(description="folder at the top of the tree")


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
        _refuse("site", site_mistakes(self.model_dump(mode="json", exclude_unset=True)))
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


class FilesSource(Part):
    """A file tree of the system."""

    name: Id = Field(description="name of the source within its system")
    kind: Literal["files"] = Field(description="the kind of source")
    connection: Id = Field(description="a connection of the site file whose engine is files")
    facts: Literal["full", "sampled"] = Field(
        default="full", description="full: a hash of every file; sampled: hashes of some, for huge trees"
    )
    exclude: tuple[Line, ...] = Field(default=(), description="restic patterns of what is left out on purpose")
    one_file_system: YesNo = Field(default=False, description="do not follow mounts below the root")


Source = Annotated[DatabaseSource | FilesSource, Field(discriminator="kind")]


class Expect(Part):
    """What the one value of a query must be: exactly one of the four."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    equals: Scalar = Field(default=None, description="the value is equal to this")
    at_least: Number | None = Field(default=None, description="the value is this number or greater")
    at_most: Number | None = Field(default=None, description="the value is this number or smaller")
    equals_sql: Sql | None = Field(default=None, description="the value equals that of this query, on the same source")

    @model_validator(mode="after")
    def _one(self) -> "Expect":
        _refuse("expect", expect_mistakes(dict.fromkeys(self.model_fields_set)))
        return self

    @property
    def rule(self) -> Literal["equals", "at_least", "at_most", "equals_sql"]:
        """Which of the four is given. ``equals: null`` is given too: it expects NULL."""
        for name in ("at_least", "at_most", "equals_sql"):
            if name in self.model_fields_set:
                return name
        return "equals"

    @property
    def value(self) -> model.Json:
        """What is given for ``rule``."""
        return getattr(self, self.rule)


class SqlCheck(Part):
    """A portable query with one value, and what that must be."""

    name: Id = Field(description="name of the check within its system")
    kind: Literal["sql"] = Field(description="the kind of check")
    title: BilingualText = Field(description="what the check proves, as reports print it")
    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives one row of one column")
    expect: Expect = Field(description="what the value must be")


class FreshnessCheck(Part):
    """The newest row is not older than it may be."""

    name: Id = Field(description="name of the check within its system")
    kind: Literal["freshness"] = Field(description="the kind of check")
    title: BilingualText = Field(description="what the check proves, as reports print it")
    source: Id = Field(description="a database source of this job")
    table: Line = Field(description="the table, with its schema: public.study")
    column: Line = Field(description="a column of dates or timestamps")
    within: Duration | None = Field(default=None, description="how old the newest row may be; null means the RPO")


class DicomIndex(Part):
    """Where the list of images comes from."""

    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives path, size, sha256 and SOP instance UID of every image")


class DicomCheck(Part):
    """Every image that the index knows is there, whole, and opens."""

    name: Id = Field(description="name of the check within its system")
    kind: Literal["dicom"] = Field(description="the kind of check")
    title: BilingualText = Field(description="what the check proves, as reports print it")
    index: DicomIndex = Field(description="the list of images")
    files: Id = Field(description="a files source of this job")
    pixels: Whole = Field(default=20, ge=0, description="number of images whose pixel data is measured as well")


Check = Annotated[SqlCheck | FreshnessCheck | DicomCheck, Field(discriminator="kind")]


class Job(Part):
    """jobs/ID.yaml: one business system, its sources and its checks; what, never where."""

    system: Id = Field(description="id of the system; the file has the same name")
    title: BilingualText = Field(description="name of the system, as reports print it")
    tier: Whole = Field(ge=1, le=3, description="importance: 1 is recovered first")
    objectives: Objectives = Field(description="what was promised")
    sources: tuple[Source, ...] = Field(min_length=1, description="the sources, in the order they are captured")
    checks: tuple[Check, ...] = Field(default=(), description="what proves that the system works again")
    retention: Retention | None = Field(default=None, description="which points are kept; null means as the site says")

    @model_validator(mode="after")
    def _references(self) -> "Job":
        _refuse("job", job_mistakes(self.model_dump(mode="json", exclude_unset=True)))
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


def _refuse(title: str, mistakes: Sequence[Mistake]) -> None:
    if mistakes:
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("reference", "{text}", {"text": found.text}), loc=found.loc, input=None
            )
            for found in mistakes
        ]
        raise ValidationError.from_exception_data(title, errors)
