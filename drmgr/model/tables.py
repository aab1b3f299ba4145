"""One table laid beside the live one: its shape, the proof of its rows, and what has changed since."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TableShape:
    """A table as its database describes it.

    ``schema`` is empty for engines without. ``columns`` are name → type in the engine's own words, in their order; ``key``
    the columns of the primary key, empty without one. ``parts`` are the names under which the facts of a recovery point
    count its rows: its own, or those of its partitions. ``bytes``: about how much room it takes with its indexes.
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    parts: tuple[str, ...]
    bytes: int = 0

    @property
    def label(self) -> str:
        """For messages and JSON."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class TableProof:
    """How many rows there are, and a fingerprint over all of them that knows no order."""

    rows: int
    fingerprint: str


@dataclass(frozen=True)
class LaidTable:
    """What was laid. ``left_out`` names what did not come along, and why; names of the structure only."""

    shape: TableShape
    proof: TableProof
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaidAs:
    """A table of a source, and the name under which it lies beside the live one; names as a person types them.

    ``place``: see TableStatements.
    """

    source: str
    table: str
    laid_as: str
    place: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableStatements:
    """SQL for a person's own eyes: what to ask for the differences (what it shows → statement), and how to drop the table.

    ``place``: what puts it in the place of a table that is gone, in this order; empty where there is a live one.
    """

    look: Mapping[str, str]
    drop: str
    place: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableChange:
    """The live table against that of the recovery point.

    ``changed`` is None without a primary key: then a changed row counts as one removed and one added. Only columns that
    both have were compared; ``columns_added`` and ``columns_removed`` name the others.
    """

    before: int
    now: int
    added: int
    removed: int
    changed: int | None
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
