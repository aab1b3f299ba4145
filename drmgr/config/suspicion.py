"""What makes a recovery point suspicious, and canaries, as pydantic models."""

from typing import Annotated

from pydantic import AfterValidator, Field

from drmgr.config.part import Part
from drmgr.config.values import Id, Line, Number, PlainName, Sha256, Whole

DEFAULT_FILE, DEFAULT_TABLE = "drmgr-canary.txt", "drmgr_canary"


def _share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("must be a share, more than 0 and at most 1")
    return value


Share = Annotated[Number, AfterValidator(_share)]


class Suspicion(Part):
    """From where on a new recovery point is suspicious: compared with those before it, source by source."""

    points: Whole = Field(default=30, ge=3, le=1000, description="with so many earlier points a new one is compared")
    after: Whole = Field(default=3, ge=1, le=1000, description="nothing new is doubted before there are so many")
    lost: Share = Field(default=0.5, description="share of rows, files or bytes that are gone at once")
    rows: Whole = Field(default=20, ge=1, description="tables and trees that had fewer rows or files are left alone")
    replaced: Share = Field(
        default=0.5, description="share of files that were replaced at once, and of bytes that are new"
    )
    encrypted: Share = Field(
        default=0.1, description="the same, where new data cannot be compressed and those before could"
    )
    new_bytes: Whole = Field(
        default=1024 * 1024, ge=1, description="with fewer new bytes than this nothing was replaced or encrypted"
    )


class Canary(Part):
    """A row or a file that never changes; looked at in every backup, and byte for byte in every drill."""

    source: Id = Field(description="a source of this job")
    path: Line | None = Field(
        default=None, description=f"of a tree: the file, relative to its root; null means {DEFAULT_FILE}"
    )
    table: PlainName | None = Field(
        default=None, description=f"of a database: the table, with its schema or without; null means {DEFAULT_TABLE}"
    )
    key_column: PlainName = Field(default="id", description="column of whole numbers that tells the row")
    key: Whole = Field(default=1, description="the row's number")
    column: PlainName = Field(default="token", description="column of the text that never changes")
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the file or text; null means that which drmgr canary plant prints for this site",
    )
