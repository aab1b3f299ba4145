"""A schedule book and an alarm book in memory, held to the same contract as the real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from drmgr.interfaces import Clock
from drmgr.trouble import Alarm, Delivery, News, Problem


class FakeScheduleBook:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, datetime]] = {}
        self._beats: dict[str, datetime] = {}

    def since(self, key: str, expression: str) -> datetime:
        now = self._clock.now()
        found = self.known_since(key, expression)
        if found is None or found > now:
            self._known[key] = expression, now
            return now
        return found

    def known_since(self, key: str, expression: str) -> datetime | None:
        known, since = self._known.get(key, ("", None))
        return since if known == expression else None

    def beat(self, name: str) -> None:
        self._beats[name] = self._clock.now()

    def beats(self) -> Mapping[str, datetime]:
        return dict(self._beats)


class FakeAlarmBook:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.alarms: dict[str, Alarm] = {}
        self._owed: dict[tuple[str, News, str], Delivery | None] = {}

    def open_alarms(self) -> list[Alarm]:
        return [alarm for alarm in self.alarms.values() if alarm.recovered_at is None]

    def raise_alarm(self, problem: Problem, recipients: Sequence[str]) -> Alarm:
        found = next((alarm for alarm in self.open_alarms() if alarm.key == problem.key), None)
        alarm = found or Alarm(
            str(len(self.alarms)),
            problem.key,
            problem.system,
            problem.code,
            problem.subject,
            dict(problem.figures),
            self._clock.now(),
        )
        alarm = self.alarms[alarm.id] = replace(alarm, seen_at=self._clock.now())
        self._owe(alarm, News.RAISED, recipients)
        return alarm

    def recovered_since(self, key: str, since: datetime) -> bool:
        return any(
            each.key == key and each.recovered_at and each.recovered_at >= since for each in self.alarms.values()
        )

    def recover(self, alarm: Alarm, recipients: Sequence[str]) -> None:
        if self.alarms[alarm.id].recovered_at is None:
            self.alarms[alarm.id] = replace(alarm, recovered_at=self._clock.now())
            self._owe(alarm, News.RECOVERED, recipients)

    def _owe(self, alarm: Alarm, news: News, recipients: Sequence[str]) -> None:
        for name in recipients:
            self._owed.setdefault((alarm.id, news, name), Delivery(alarm, news, name))

    def owed(self) -> list[Delivery]:
        return [replace(each, alarm=self.alarms[each.alarm.id]) for each in self._owed.values() if each is not None]

    def delivered(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            self._owed[each.alarm.id, each.news, each.recipient] = None

    def not_delivered(self, deliveries: Sequence[Delivery], error: str) -> None:
        for each in deliveries:
            key = each.alarm.id, each.news, each.recipient
            self._owed[key] = replace(each, attempts=each.attempts + 1, error=error)

    def forget_recipients(self, known: Sequence[str]) -> None:
        self._owed = {key: each for key, each in self._owed.items() if each is None or key[2] in known}
