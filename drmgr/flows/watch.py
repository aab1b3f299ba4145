"""Alarms: each problem is told once when it comes and once when it has gone; what could not be told is tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drmgr.errors import NotifyError
from drmgr.interfaces import Clock
from drmgr.trouble import Alarm, AlarmBook, Delivery, Notifier, Problem

CALM = timedelta(hours=1)
"""A problem that came back within this time after it was over comes and goes: it is over when it stays away for as long."""


@dataclass(frozen=True)
class WatchDone:
    """``failed`` holds, for each recipient that was not reached, why."""

    raised: tuple[Alarm, ...]
    recovered: tuple[Alarm, ...]
    told: int
    failed: dict[str, str]


def watch(book: AlarmBook, problems: Sequence[Problem], notifiers: Sequence[Notifier], clock: Clock) -> WatchDone:
    """Compares what is wrong with what was known to be wrong, and tells the difference.

    One message at most for each recipient, however much there is to tell. A message that may not have arrived counts as
    not told: better twice than never.
    """
    names = [notifier.name for notifier in notifiers]
    book.forget_recipients(names)
    before = {alarm.key: alarm for alarm in book.open_alarms()}
    present = {problem.key: problem for problem in problems}
    alarms = [book.raise_alarm(problem, names) for problem in present.values()]
    now = clock.now()
    recovered = [alarm for key, alarm in before.items() if key not in present and not _comes_and_goes(book, alarm, now)]
    for alarm in recovered:
        book.recover(alarm, names)
    told, failed = _tell(book, notifiers, clock)
    raised = tuple(alarm for alarm in alarms if alarm.key not in before)
    return WatchDone(raised, tuple(recovered), told, failed)


def _comes_and_goes(book: AlarmBook, alarm: Alarm, now: datetime) -> bool:
    """Whether it was over shortly before it was raised, and has not been away for long: nobody is told of each turn."""
    away = now - (alarm.seen_at or alarm.raised_at)
    return timedelta(0) <= away < CALM and book.recovered_since(alarm.key, alarm.raised_at - CALM)


def _tell(book: AlarmBook, notifiers: Sequence[Notifier], clock: Clock) -> tuple[int, dict[str, str]]:
    owed = book.owed()
    told, failed = 0, {}
    for notifier in notifiers:
        theirs = [delivery for delivery in owed if delivery.recipient == notifier.name]
        if not theirs:
            continue
        try:
            notifier.send(theirs, clock.now())
        except NotifyError as error:
            book.not_delivered(theirs, error.message)
            failed[notifier.name] = error.message
        else:
            book.delivered(theirs)
            told += len(theirs)
    return told, failed


def unheard(owed: Sequence[Delivery], configured: Sequence[str]) -> list[Problem]:
    """Recipients who could not be reached when it was tried last: trouble of the site itself."""
    tried: dict[str, list[Delivery]] = {}
    for each in owed:
        if each.attempts and each.recipient in configured:
            tried.setdefault(each.recipient, []).append(each)
    return [
        Problem("", "notify-failed", f"{name} did not get {len(lost)} news: {lost[-1].error}", name)
        for name, lost in sorted(tried.items())
    ]
