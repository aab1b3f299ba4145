"""The site file, a job and a drill as pydantic models. The descriptions are what ``drmgr config schema`` shows."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drmgr import model
from drmgr.config.check_models import (
    AcrossCheck,
    Check,
    DicomCheck,
    Expect,
    FilesCheck,
    FreshnessCheck,
    RowsCheck,
    SqlCheck,
)
from drmgr.config.connections import (
    Connection,
    MariadbConnection,
    PostgresqlConnection,
    SharedPlace,
    SqliteConnection,
    SqlServerConnection,
)
from drmgr.config.nightly import JobSchedule, Metrics, Notify, ScheduleRules
from drmgr.config.part import Part
from drmgr.config.parts import BilingualText, refuse
from drmgr.config.references import job_mistakes, site_mistakes
from drmgr.config.stores import Copy, FolderStore, ObjectLock, Retention, S3Store, Store, VerifyRules
from drmgr.config.suspicion import Canary, Suspicion
from drmgr.config.trees import FilesConnection, FilesSource, Hooks
from drmgr.config.values import (
    AnyPath,
    CronText,
    Duration,
    Id,
    Line,
    PointChoice,
    SecretRef,
    Size,
    Timezone,
    Whole,
    YesNo,
)

__all__ = [
    "AcrossCheck",
    "BilingualText",
    "Canary",
    "Check",
    "Connection",
    "Copy",
    "DicomCheck",
    "Expect",
    "FilesCheck",
    "FilesConnection",
    "FolderStore",
    "FreshnessCheck",
    "MariadbConnection",
    "ObjectLock",
    "Part",
    "PostgresqlConnection",
    "Retention",
    "RowsCheck",
    "S3Store",
    "SharedPlace",
    "SqlCheck",
    "SqlServerConnection",
    "SqliteConnection",
    "Store",
    "Suspicion",
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


class Allow(Part):
    """Where restores may write, apart from scratch. Empty means nowhere."""

    connections: tuple[Id, ...] = Field(default=(), description="connections that may be restored into")
    folders: tuple[AnyPath, ...] = Field(default=(), description="folders below which files may be restored")
    original: tuple[Id, ...] = Field(
        default=(), description="systems that may be restored in their own place; what is there is set aside and kept"
    )
    tables: tuple[Id, ...] = Field(
        default=(), description="connections into whose databases single tables may be laid, under a new name"
    )


class RestoreRules(Part):
    """What restores may do."""

    allow: Allow = Field(default=Allow(), description="targets that restores may write to")
    through: dict[Id, Id] = Field(
        default_factory=dict,
        description="for a restore in a system's own place or beside it, by the connection of its source: a connection to the "
        "same database with an account that may create and rename databases",
    )


class Scratch(Part):
    """Where drills and test restores happen."""

    directory: AnyPath = Field(default=Path("scratch"), description="folder of throw-away instances")
    user: Line = Field(default="postgres", description="account the scratch servers run as when drmgr is root")
    sqlserver: Id | None = Field(
        default=None, description="a connection to a SQL Server for drills alone, no source's; null for none"
    )
    parallel: Whole | None = Field(
        default=None, ge=1, le=64, description="systems of one drill that are brought back at once; null: one per core"
    )
    memory: Size | None = Field(
        default=None,
        description="what the servers of one drill may take together; null: four fifths of what is available",
    )
    disk: Size | None = Field(
        default=None, description="what the restored data of one drill may take together; null: what is free"
    )


class Restic(Part):
    """The restic program."""

    program: Line = Field(default="restic", description="name or path of the restic program")
    patience: Duration = Field(
        default=timedelta(minutes=2), description="how long the object store may give only errors before a run ends"
    )
    read_only: YesNo = Field(
        default=False,
        description="true for a drill host whose keys may only read: no locks in the repository, nothing kept beside it",
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
    suspicion: Suspicion = Field(
        default=Suspicion(), description="when a new point is suspicious, unless a job says so"
    )
    schedule: ScheduleRules = Field(default=ScheduleRules(), description="what scheduled runs may do")
    notify: Notify = Field(default=Notify(), description="who hears of trouble")
    metrics: Metrics = Field(default=Metrics(), description="figures for monitoring")
    retired: list[Id] = Field(
        default_factory=list, description="systems that were backed up once and are no more; their job files are gone"
    )

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
    depends_on: tuple[Id, ...] = Field(
        default=(), description="systems that this one cannot work without; a drill brings them back before it"
    )
    objectives: Objectives = Field(description="what was promised")
    schedule: JobSchedule = Field(default=JobSchedule(), description="when the system is backed up")
    sources: tuple[Source, ...] = Field(min_length=1, description="the sources, in the order they are captured")
    pause: Id | None = Field(
        default=None, description="a pause of the site file that is held while the sources are read"
    )
    checks: tuple[Check, ...] = Field(default=(), description="what proves that the system works again")
    retention: Retention | None = Field(default=None, description="which points are kept; null means as the site says")
    canary: tuple[Canary, ...] = Field(default=(), description="rows and files that were planted to stay as they are")
    suspicion: Suspicion | None = Field(
        default=None, description="when a new point is suspicious; null means as the site says"
    )

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
        default="",
        description="go on by the shipped logs: newest, or a time; empty stays at the recovery point. Of several systems, "
        "one that ships no logs comes back to its newest point before that",
    )
    across: tuple[AcrossCheck, ...] = Field(
        default=(), description="what proves that the systems agree; they all stay up on scratch until then"
    )
    level: Whole = Field(default=3, ge=0, le=6, description="the least verification level for passed")
    form: Literal["hands-on", "tabletop"] = Field(default="hands-on", description="how the drill is held")
    approval: str = Field(default="", description="approval number, filled in by the hospital")
    schedule: CronText | None = Field(
        default=None, description="cron expression in the site's time zone; null means only by hand"
    )


def text_of(text: BilingualText) -> model.Text:
    """The text as the rest of drmgr knows it."""
    return model.Text(text.zh, text.en)


def system_of(job: Job) -> model.System:
    """The system that the job declares."""
    objectives = model.Objectives(job.objectives.rpo, job.objectives.rto)
    return model.System(job.system, text_of(job.title), job.tier, objectives, job.depends_on)
