"""Where repositories lie, and how they are cared for, as pydantic models."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drmgr.config.part import Part
from drmgr.config.values import AnyPath, Bucket, Duration, Endpoint, Line, PointChoice, Prefix, SecretRef, Whole


class ObjectLock(Part):
    """How long stored objects cannot be deleted by anybody."""

    mode: Literal["governance", "compliance"] = Field(
        description="governance can be lifted by an admin, compliance not"
    )
    days: Whole = Field(ge=1, le=36500, description="days for which a stored object is kept from deletion")


class FolderStore(Part):
    """Repositories in a folder, for instance on a mounted disk."""

    kind: Literal["folder"] = Field(description="the kind of store")
    path: AnyPath = Field(description="folder that holds one repository per system")


class S3Store(Part):
    """Repositories in an S3 bucket."""

    kind: Literal["s3"] = Field(description="the kind of store")
    endpoint: Endpoint = Field(description="address of the S3 service, http:// or https://")
    region: Line = Field(default="us-east-1", description="region name that the service expects")
    bucket: Bucket = Field(description="bucket that holds one repository per system")
    prefix: Prefix = Field(default="", description="path inside the bucket; empty means its top")
    access_key: SecretRef = Field(description="reference to the access key id")
    secret_key: SecretRef = Field(description="reference to the secret access key")
    object_lock: ObjectLock | None = Field(default=None, description="default retention of the bucket; null for none")


Store = Annotated[FolderStore | S3Store, Field(discriminator="kind")]


class _Lag(Part):
    rpo: Duration = Field(
        default=timedelta(days=1), description="at most this much would be lost if only this copy were left"
    )


class FolderCopy(FolderStore, _Lag):
    """A second place: a folder with a repository per system, each with a key of its own."""


class S3Copy(S3Store, _Lag):
    """A second place: a bucket with a repository per system, each with a key of its own."""


Copy = Annotated[FolderCopy | S3Copy, Field(discriminator="kind")]


class Hold(Part):
    """Points that may not expire, whatever their age: one of them, or all that were made within some days."""

    reason: Line = Field(description="why, for instance the number of the court's letter")
    point: PointChoice | None = Field(default=None, description="a recovery point's id")
    since: date | None = Field(default=None, description="the first day of the points that are held")
    before: date | None = Field(default=None, description="the day after the last one")
    until: date | None = Field(default=None, description="the day on which the hold ends; null means never")

    @model_validator(mode="after")
    def _some(self) -> "Hold":
        if (self.point is None) == (self.since is None and self.before is None):
            raise ValueError("must name either a point, or since and before")
        if self.since is not None and self.before is not None and self.since >= self.before:
            raise ValueError("since must be earlier than before")
        if self.point == "latest":
            raise ValueError("point must be an id: the latest is another one tomorrow")
        return self


class Retention(Part):
    """Which recovery points are kept; all others may expire. Days, weeks, months and years are the site's own."""

    within: Duration = Field(default=timedelta(days=2), description="every point younger than this is kept")
    daily: Whole = Field(default=14, ge=0, le=3660, description="the newest point of each of so many days")
    weekly: Whole = Field(default=8, ge=0, le=5300, description="the newest point of each of so many weeks")
    monthly: Whole = Field(default=12, ge=0, le=1200, description="the newest point of each of so many months")
    yearly: Whole = Field(default=30, ge=0, le=200, description="the newest point of each of so many years")
    logs: Duration = Field(
        default=timedelta(days=14), description="any instant of so long ago can be restored where logs are shipped"
    )
    hold: tuple[Hold, ...] = Field(default=(), description="legal holds")


class VerifyRules(Part):
    """How often stored data are read back."""

    period: Duration = Field(default=timedelta(days=28), description="all stored data are read within this time")
