"""What is wrong, and who was told of it. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong now.

    ``system`` is empty for the site as a whole. ``subject`` tells problems of one code apart, for instance a drill.
    ``message`` is for the screen and may name places; an alarm tells only ``code`` and ``figures``.
    """

    system: str
    code: str
    message: str
    subject: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same trouble at another time."""
        return f"{self.system}:{self.code}:{self.subject}"


class News(StrEnum):
    """What is told of an alarm."""

    RAISED = "raised"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class Alarm:
    """A problem from its first sight until it was gone; ``recovered_at`` None: it is still there.

    ``seen_at`` is when it was seen last; None: not known.
    """

    id: str
    key: str
    system: str
    code: str
    subject: str
    figures: Mapping[str, Any]
    raised_at: datetime
    recovered_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """One piece of news for one recipient that has not got it; ``error`` is why the last try failed, empty before it."""

    alarm: Alarm
    news: News
    recipient: str
    attempts: int = 0
    error: str = ""


class AlarmBook(Protocol):
    """Which alarms there are and who was told; survives restarts."""

    def open_alarms(self) -> list[Alarm]:
        """Those that have not recovered, oldest first."""

    def raise_alarm(self, problem: Problem, recipients: Sequence[str]) -> Alarm:
        """Opens an alarm and owes each recipient the news.

        One that is open already is seen once more; only recipients who are new are owed the news of it.
        """

    def recovered_since(self, key: str, since: datetime) -> bool:
        """Whether an alarm of that key was over since then."""

    def recover(self, alarm: Alarm, recipients: Sequence[str]) -> None:
        """Closes the alarm and owes each recipient the news."""

    def owed(self) -> list[Delivery]:
        """What nobody has got yet, in the order of the alarms."""

    def delivered(self, deliveries: Sequence[Delivery]) -> None: ...

    def not_delivered(self, deliveries: Sequence[Delivery], error: str) -> None: ...

    def forget_recipients(self, known: Sequence[str]) -> None:
        """Drops what is owed to anybody who is not ``known`` any more."""


class Notifier(Protocol):
    """One recipient of alarms."""

    name: str

    def send(self, deliveries: Sequence[Delivery], at: datetime) -> None:
        """One message with all the news. Raises NotifyError when it did not surely arrive."""

    def test(self, at: datetime) -> None:
        """A message that says it is a test. Raises NotifyError."""


class ScheduleBook(Protocol):
    """Since when each schedule is known, and when somebody last looked what is due."""

    def since(self, key: str, expression: str) -> datetime:
        """The first time this schedule was seen with this expression; now, for a new one."""

    def known_since(self, key: str, expression: str) -> datetime | None:
        """As ``since``, without making a note of it."""

    def beat(self, name: str) -> None:
        """Notes that ``name`` looked what is due just now."""

    def beats(self) -> Mapping[str, datetime]: ...
