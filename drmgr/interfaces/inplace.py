"""A restore in a system's own place: beside what is there, proven, and only then under its name."""

from pathlib import Path
from typing import Protocol

from drmgr.interfaces.sources import Engine
from drmgr.model import Facts, Instance, Member, Move, Swap


class Place(Protocol):
    """Where one source lives. Everything that is there keeps its content, under whatever name.

    What is brought back lies first under a name that holds the run's id; ``discard`` may take away that name and no other.
    """

    @property
    def engine(self) -> Engine:
        """Bound to the place, by an account that may make and rename what lies there."""

    @property
    def by_scratch(self) -> bool:
        """True: the server's own files. They are proven on scratch, and then themselves put in place."""

    @property
    def replays(self) -> bool:
        """Whether its engine goes through shipped logs while it loads, up to the instance's target; by scratch no matter."""

    @property
    def by_hand(self) -> str:
        """What a person types once all is in place, to start the server that drmgr does not start; empty for nothing."""

    def survey(self, member: Member) -> None:
        """Looks whether all that is there can be set aside for that member, and by this account. Changes nothing.

        Raises PreflightError, naming what cannot.
        """

    def users(self) -> int:
        """How many sessions or programs hold what is there open now. Raises SourceError."""

    def programs(self) -> tuple[str, ...]:
        """Those that work in it now and that no session's end sends away, with their pids: drmgr ends no programs."""

    def disk(self) -> Path | None:
        """A folder of this host on whose disk the restored will lie beside; None when drmgr cannot see it."""

    def staging(self, run: str) -> Path | None:
        """Where the stored parts are fetched to, when that saves a copy; None for scratch."""

    def make(self, run: str, facts: Facts) -> Instance:
        """An empty place beside, for Engine.load. Raises PreflightError, SourceError."""

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        """Gives what was proven the owner and rights of its place; server files are stopped and laid beside.

        Raises LoadError, SourceError.
        """

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        """What gets another name, in this order; what is not there is not set aside."""

    def begun(self, move: Move) -> bool:
        """Whether a rename was broken off in its middle, so that only ``rename`` brings it to an end."""

    def done(self, move: Move) -> bool: ...

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        """Does it, or the rest of it. Ends the sessions of others only when told to.

        Raises InUseError before anything is changed when others hold it, SourceError.
        """

    def live(self, run: str) -> Instance | None:
        """What is in place now, for checks; None when it does not answer before a person started it."""

    def lacking(self, run: str) -> tuple[str, ...]:
        """What a person types, for what is in place lacks it and the engine could not give it. Raises SourceError."""

    def tidy(self, run: str) -> None:
        """Takes away what was needed on the way, once all is in place."""

    def discard(self, run: str) -> None:
        """Takes away what this run brought beside and was never put in place."""


class SwapBook(Protocol):
    """Restores in place as they are known on this host, durable before anything is renamed."""

    def write(self, swap: Swap) -> None:
        """Raises EvidenceError when it cannot be made durable; then nothing must be renamed."""

    def read(self, system: str, run: str) -> Swap:
        """The one whose run is or begins with that. Raises UsageError when there is not exactly one."""

    def all(self, system: str = "") -> list[Swap]:
        """Oldest first. Raises EvidenceError for one that cannot be read."""
