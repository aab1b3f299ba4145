"""The state of all systems as OpenMetrics text."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest

from drmgr.cli.watching.health import SiteHealth
from drmgr.flows.status import Health
from drmgr.interfaces import Catalog
from drmgr.model import Run, RunKind, RunStatus

BY_SYSTEM = {
    "drmgr_system_ok": "1 if nothing is wrong with the system",
    "drmgr_repository_up": "1 if the repository could be listed",
    "drmgr_point_timestamp_seconds": "instant up to which data can be brought back",
    "drmgr_point_age_seconds": "age of that instant when this was written; the timestamp does not go stale",
    "drmgr_point_bytes": "size of the newest complete recovery point",
    "drmgr_points": "recovery points in the repository",
    "drmgr_rpo_seconds": "promised RPO",
    "drmgr_rpo_met": "1 if the age is within the promised RPO",
    "drmgr_rto_seconds": "promised RTO",
    "drmgr_drill_timestamp_seconds": "when the last drill ended",
    "drmgr_drill_passed": "1 if the last drill passed and its evidence holds",
    "drmgr_drill_rto_seconds": "RTO that the last drill measured",
    "drmgr_problems": "number of things that are wrong",
}


def exposition(found: SiteHealth, catalog: Catalog, open_alarms: int) -> str:
    """All figures. What is not known is left out, never 0."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_of_site(found, open_alarms), *_of_systems(found), *_of_runs(found, catalog)]))
    content: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return content.decode()


class _Collected:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_site(found: SiteHealth, open_alarms: int) -> list[Metric]:
    return [
        GaugeMetricFamily("drmgr_up", "1: drmgr could look at its systems", value=1),
        GaugeMetricFamily("drmgr_ok", "1 if nothing at all is wrong", value=float(found.ok)),
        GaugeMetricFamily("drmgr_looked_timestamp_seconds", "when this was written", value=found.at.timestamp()),
        GaugeMetricFamily("drmgr_site_problems", "things wrong with the site itself", value=len(found.problems)),
        GaugeMetricFamily("drmgr_alarms_open", "alarms that have not recovered", value=open_alarms),
    ]


def _of_systems(found: SiteHealth) -> list[Metric]:
    families: list[Metric] = []
    for name, help_text in BY_SYSTEM.items():
        family = GaugeMetricFamily(name, help_text, labels=["system"])
        for each in sorted(found.systems, key=lambda health: health.system.id):
            value = _value(name, each)
            if value is not None:
                family.add_metric([each.system.id], value)
        families.append(family)
    return families


def _value(name: str, each: Health) -> float | None:
    objectives, proof = each.system.objectives, each.proof
    measured = proof.rto.measured if proof and proof.rto else None
    known: dict[str, float | None] = {
        "drmgr_system_ok": float(each.ok),
        "drmgr_repository_up": float(each.reachable),
        "drmgr_point_timestamp_seconds": each.newest.timestamp() if each.newest else None,
        "drmgr_point_age_seconds": each.age,
        "drmgr_point_bytes": sum(member.bytes for member in each.point.members) if each.point else None,
        "drmgr_points": _points(each),
        "drmgr_rpo_seconds": objectives.rpo.total_seconds(),
        "drmgr_rpo_met": float(each.rpo_met),
        "drmgr_rto_seconds": objectives.rto.total_seconds(),
        "drmgr_drill_timestamp_seconds": proof.at.timestamp() if proof and not proof.broken else None,
        "drmgr_drill_passed": float(proof.verdict == "passed" and not proof.broken) if proof else None,
        "drmgr_drill_rto_seconds": measured,
        "drmgr_problems": len(each.problems),
    }
    return known[name]


def _points(each: Health) -> float | None:
    return each.points if each.reachable else None


def _of_runs(found: SiteHealth, catalog: Catalog) -> list[Metric]:
    labels = ["kind", "system"]
    seconds = GaugeMetricFamily("drmgr_run_duration_seconds", "how long the last ended run took", labels=labels)
    ended = GaugeMetricFamily("drmgr_run_timestamp_seconds", "when the last ended run ended", labels=labels)
    good = GaugeMetricFamily("drmgr_run_ok", "1 if the last ended run ended ok", labels=labels)
    for each in found.systems:
        for kind in (RunKind.BACKUP, RunKind.SHIP, RunKind.RESTORE):
            last = _last_ended(catalog.runs(each.system.id, kind, limit=20))
            if last is not None and last.finished_at is not None:
                names = [kind.value, each.system.id]
                seconds.add_metric(names, (last.finished_at - last.started_at).total_seconds())
                ended.add_metric(names, last.finished_at.timestamp())
                good.add_metric(names, float(last.status is RunStatus.OK))
    return [seconds, ended, good]


def _last_ended(runs: list[Run]) -> Run | None:
    return next((run for run in runs if run.finished_at is not None), None)
