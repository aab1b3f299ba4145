"""The checks of a job as pydantic models."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from drmgr import model
from drmgr.config.part import Part
from drmgr.config.parts import BilingualText, refuse
from drmgr.config.references import expect_mistakes
from drmgr.config.values import Duration, Id, Line, Number, Scalar, Sql, Whole


class Expect(Part):
    """What the one value of a query must be: exactly one of the four."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    equals: Scalar = Field(default=None, description="the value is equal to this")
    at_least: Number | None = Field(default=None, description="the value is this number or greater")
    at_most: Number | None = Field(default=None, description="the value is this number or smaller")
    equals_sql: Sql | None = Field(
        default=None, description="the value equals that of this other query, on the same source"
    )

    @model_validator(mode="after")
    def _one(self) -> "Expect":
        refuse("expect", expect_mistakes(dict.fromkeys(self.model_fields_set)))
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


class _Check(Part):
    """What every check has."""

    name: Id = Field(description="name of the check within its system")
    title: BilingualText = Field(description="what the check proves, as reports print it")
    item: Line | None = Field(
        default=None, description="what the check answers to: an item of the EMR grading, a clause of a contract"
    )


class SqlCheck(_Check):
    """A portable query with one value, and what that must be."""

    kind: Literal["sql"] = Field(description="the kind of check")
    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives one row of one column, read from a table")
    expect: Expect = Field(description="what the value must be")


class RowsCheck(_Check):
    """A portable query that gives the key of every row that is wrong; those known from before are no new mistake."""

    kind: Literal["rows"] = Field(description="the kind of check")
    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives the key of each wrong row, in one column or several")
    baseline: tuple[int | Line, ...] = Field(
        default=(),
        description="keys of wrong rows that are known and accepted: as the query gives them (columns joined by |, NULL "
        "as \\N, a value with | in double quotes), or their hash",
    )


class FreshnessCheck(_Check):
    """The newest row is not older than it may be."""

    kind: Literal["freshness"] = Field(description="the kind of check")
    source: Id = Field(description="a database source of this job")
    table: Line = Field(description="the table, with its schema: public.study")
    column: Line = Field(description="a column of dates or timestamps")
    within: Duration | None = Field(default=None, description="how old the newest row may be; null means the RPO")


class DicomIndex(Part):
    """Where the list of images comes from."""

    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives path, size, sha256 and SOP instance UID of every image")


class DicomCheck(_Check):
    """Every image that the index knows is there, whole, and opens."""

    kind: Literal["dicom"] = Field(description="the kind of check")
    index: DicomIndex = Field(description="the list of images")
    files: Id = Field(description="a files source of this job")
    pixels: Whole = Field(default=20, ge=0, description="number of images whose pixel data is measured as well")
    arriving: Duration | None = Field(
        default=None, description="how long a file may lie there before its row is written; null: no time at all"
    )


class FileIndex(Part):
    """Where the list of files comes from."""

    source: Id = Field(description="a database source of this job")
    sql: Sql = Field(description="a query that gives path, size and sha256 of every file")


class FilesCheck(_Check):
    """Every file that the index knows is there and whole, and no other."""

    kind: Literal["files"] = Field(description="the kind of check")
    index: FileIndex = Field(description="the list of files")
    files: Id = Field(description="a files source of this job")
    arriving: Duration | None = Field(
        default=None, description="how long a file may lie there before its row is written; null: no time at all"
    )


Check = Annotated[SqlCheck | RowsCheck | FreshnessCheck | DicomCheck | FilesCheck, Field(discriminator="kind")]


class Side(Part):
    """One system's part of a check across systems."""

    system: Id = Field(description="a system of this drill")
    source: Id = Field(description="a database source of that system")
    sql: Sql = Field(
        description="a query that gives keys, in which NULL equals nothing; on the left, the instant of each row comes last"
    )


class AcrossCheck(_Check):
    """Every row of the left system has its key in the right one."""

    left: Side = Field(description="whose rows must be known to the other")
    right: Side = Field(description="the other")
    skew: Literal["none", "left-newer"] = Field(
        default="none",
        description="left-newer: rows made after what the right was brought to, and not after what the left was, may be "
        "missing there; none: no row may",
    )
    lag: Duration = Field(default=timedelta(0), description="how long the interface between the two may take")
    baseline: tuple[int | Line, ...] = Field(
        default=(),
        description="keys that are known to be missing: columns joined by |, NULL as \\N, a value with | in double quotes, "
        "or their hash",
    )
