"""How one table is laid beside the live one, and what has changed since is counted."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from drmgr.interfaces.memory import Progress
from drmgr.model import Facts, Instance, LaidTable, TableProof, TableShape, TableStatements


class TableEngine(Protocol):
    """An optional part of a source: bench.Source.tables is None without. Bound to one connection, as its Engine is."""

    def table(self, of: Instance, name: str) -> TableShape | None:
        """The table of that name, with or without its schema, quoted or not; None when there is none.

        Raises UsageError for a name that several tables have, or something that is not a table of rows; SourceError when
        the database cannot be asked.
        """

    def free_name(self, live: Instance, beside: TableShape, ending: str) -> str:
        """A name that nothing in the schema of ``beside`` has: its own, cut if need be, and ``ending``. Raises SourceError."""

    def lay(self, scratch: Instance, table: TableShape, live: Instance, name: str, progress: Progress) -> LaidTable:
        """Copies the table into the same schema of ``live`` under a new name.

        All or nothing: the table is there under that name only once its rows are proven equal to those on scratch, and
        whatever ends the call before leaves nothing (what a killed process left is cleared away by the next call). Columns
        with types and defaults, primary key, indexes and comments come along; triggers, foreign keys and rights do not.
        A default that would draw from a sequence of the live database stays out too. Existing tables are not touched.
        Raises LoadError; PreflightError when there is no room.
        """

    def drop(self, live: Instance, laid: LaidTable) -> None:
        """Takes away what ``lay`` has laid. Raises SourceError."""

    def proof(self, of: Instance, table: TableShape) -> TableProof:
        """Read-only, of all rows that are there now. Raises SourceError."""

    def expected(self, facts: Facts, table: TableShape) -> TableProof | None:
        """What a recovery point's facts say of that table; None when they hold no fingerprint of it."""

    def digests(
        self, of: Instance, table: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> Iterator[tuple[bytes, bytes]]:
        """For each row 16 bytes of its key and 16 of its columns, streamed, in any order, read-only, in one view.

        Without ``key`` the first is that of the row. Equal values have equal digests on servers of one engine and version.
        Raises SourceError.
        """

    def statements(
        self, live: TableShape, laid: TableShape, columns: Sequence[str], key: Sequence[str]
    ) -> TableStatements:
        """SQL with every name quoted, for a person who is in the live database."""

    def into_place(self, scratch: Instance, table: TableShape, laid: TableShape) -> tuple[str, ...]:
        """Statements that put the laid table in the place of ``table``, which is gone, in this order.

        Its name, and what did not come along, as the restored database on scratch has it: owner, rights, foreign keys,
        triggers. What cannot be told as a statement is a comment that begins with ``--``. Raises SourceError.
        """
