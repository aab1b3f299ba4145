"""Which recovery points are kept, and why, in words. Pure: it looks at nothing and changes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from drmgr.flows.points import SealedPoint
from drmgr.model import PointStatus


@dataclass(frozen=True)
class LegalHold:
    """One point, by its id or the id's beginning, or those of the days from ``since`` to before ``before``."""

    reason: str
    point: str | None = None
    since: date | None = None
    before: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Rules:
    """Grandfather, father, son; ``logs`` is how far back any instant between points can be restored."""

    within: timedelta
    daily: int
    weekly: int
    monthly: int
    yearly: int
    logs: timedelta
    holds: tuple[LegalHold, ...] = ()


Reasons = Mapping[str, tuple[str, ...]]
"""For each point that is kept, by its seal: why, in words."""


def kept_by_rules(points: Sequence[SealedPoint], rules: Rules, now: datetime, zone: ZoneInfo) -> Reasons:
    """What rules and holds keep.

    Days, weeks, months and years are counted back over those that have a point at all, so that nothing expires because
    backups have stopped. An incomplete point stands for its day only where there is no complete one.
    """
    reasons: dict[str, list[str]] = {}
    ordered = sorted(points, key=lambda sealed: sealed.point.consistent_at)
    for sealed in ordered:
        if now - sealed.point.consistent_at < rules.within:
            reasons.setdefault(sealed.seal, []).append(f"younger than {_span(rules.within)}")
        for hold in rules.holds:
            if _held(sealed, hold, now, zone):
                reasons.setdefault(sealed.seal, []).append(f"legal hold: {hold.reason}")
    for count, key, words in (
        (rules.daily, lambda day: day.isoformat(), "newest of the day {}"),
        (rules.weekly, lambda day: "{}-W{:02}".format(*day.isocalendar()), "newest of the week {}"),
        (rules.monthly, lambda day: f"{day:%Y-%m}", "newest of the month {}"),
        (rules.yearly, lambda day: f"{day:%Y}", "newest of the year {}"),
    ):
        for period, sealed in _newest_of_each(ordered, count, key, zone).items():
            reasons.setdefault(sealed.seal, []).append(words.format(period))
    return {seal: tuple(words) for seal, words in reasons.items()}


def _newest_of_each(
    ordered: Sequence[SealedPoint], count: int, key: Callable[[date], str], zone: ZoneInfo
) -> dict[str, SealedPoint]:
    newest: dict[str, SealedPoint] = {}
    for sealed in ordered:
        period = key(_day(sealed, zone))
        before = newest.get(period)
        if before is None or not (_complete(before) and not _complete(sealed)):
            newest[period] = sealed
    return {period: newest[period] for period in sorted(newest)[-count:]} if count else {}


def _held(sealed: SealedPoint, hold: LegalHold, now: datetime, zone: ZoneInfo) -> bool:
    day = _day(sealed, zone)
    if hold.until is not None and now.astimezone(zone).date() >= hold.until:
        return False
    if hold.point is not None:
        return sealed.point.id.startswith(hold.point.upper())
    return (hold.since is None or day >= hold.since) and (hold.before is None or day < hold.before)


def _day(sealed: SealedPoint, zone: ZoneInfo) -> date:
    return sealed.point.consistent_at.astimezone(zone).date()


def _complete(sealed: SealedPoint) -> bool:
    return sealed.point.status is PointStatus.COMPLETE


def _span(span: timedelta) -> str:
    days, hours = span.days, span.seconds / 3600
    return " ".join([*([f"{days} d"] if days else []), *([f"{hours:g} h"] if hours else [])])
