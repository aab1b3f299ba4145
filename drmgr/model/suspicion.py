"""What is doubtful about a recovery point, as it was judged against its own history when it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DoubtKind(StrEnum):
    """``encrypted``: new data cannot be compressed any more. ``rewritten``: nearly all files were replaced at once.

    ``shrunk``: much smaller than before. ``emptied``: a table or tree lost most of its rows or files. ``canary``: what
    never changes has changed. ``source-gone``: the point before holds the source, and the job has it no more.
    """

    ENCRYPTED = "encrypted"
    REWRITTEN = "rewritten"
    SHRUNK = "shrunk"
    EMPTIED = "emptied"
    CANARY = "canary"
    SOURCE_GONE = "source-gone"


EVENTS = (DoubtKind.ENCRYPTED, DoubtKind.REWRITTEN)
"""Seen only in the backup after which it happened; all others show for as long as they last."""


@dataclass(frozen=True)
class Doubt:
    """One thing about one source. ``subject`` is the table it is about, empty for the source as a whole.

    ``since`` is the id of the recovery point in which it was seen first. ``figures`` are shares (0 to 1), rows or bytes.
    """

    source: str
    kind: DoubtKind
    since: str
    subject: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, DoubtKind, str]:
        """The same for the same doubt about another point."""
        return self.source, self.kind, self.subject


@dataclass(frozen=True)
class Judgement:
    """``compared``: for each source, with how many earlier points; too few, and only old doubts were looked after.

    ``enough`` is how many it takes. ``canaries`` tells for each source that has one whether it was as it should be.
    """

    compared: Mapping[str, int]
    enough: int
    doubts: tuple[Doubt, ...] = ()
    canaries: Mapping[str, bool] = field(default_factory=dict)

    @property
    def short(self) -> bool:
        """Whether the history of any source was too short to judge by."""
        return any(count < self.enough for count in self.compared.values())
