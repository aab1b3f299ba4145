"""A catalog in memory, for the unit tests of flows; held to the same contract as the real ones."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ulid import ULID

from drmgr.errors import PreflightError
from drmgr.interfaces import Clock
from drmgr.model import EvidenceEntry, Json, RecoveryPoint, Run, RunKind, RunStatus
from drmgr.system.clock import SystemClock


class FakeCatalog:
    """Forgets everything when it goes away. ``recorded`` holds the runs in the order they were opened."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.recorded: dict[str, Run] = {}
        self.points: dict[str, RecoveryPoint] = {}
        self.expired: set[str] = set()
        self.entries: dict[str, EvidenceEntry] = {}

    def open_run(self, kind: RunKind, system: str) -> Run:
        now = self._clock.now()
        run = Run(str(ULID.from_datetime(now)), kind, system, RunStatus.RUNNING, now)
        self.recorded[run.id] = run
        return run

    def close_run(
        self, run: str, status: RunStatus, detail: Mapping[str, Json], error: Mapping[str, Json] | None = None
    ) -> Run:
        if status is RunStatus.RUNNING:
            raise ValueError("a run cannot be closed as running")
        found = self.recorded.get(run)
        if found is None or found.status is not RunStatus.RUNNING:
            raise PreflightError(f"the run {run} is not open in the catalog")
        closed = replace(found, status=status, finished_at=self._clock.now(), detail=dict(detail), error=error)
        self.recorded[run] = closed
        return closed

    def runs(
        self,
        system: str | None = None,
        kind: RunKind | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        decided: bool = False,
        limit: int | None = None,
    ) -> list[Run]:
        wanted = [
            run
            for run in reversed(self.recorded.values())
            if system in {None, run.system}
            and kind in {None, run.kind}
            and (since is None or run.started_at >= since)
            and (until is None or run.started_at <= until)
            and not (decided and (run.status is RunStatus.RUNNING or _refused(run)))
        ]
        return sorted(wanted, key=lambda run: run.started_at, reverse=True)[:limit]

    def open_runs(self) -> list[Run]:
        return [run for run in self.runs() if run.status is RunStatus.RUNNING]

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        self.points[seal] = point

    def point(self, seal: str) -> RecoveryPoint | None:
        return self.points.get(seal)

    def seals(self, system: str) -> dict[str, str]:
        mine = {
            seal: point for seal, point in self.points.items() if point.system == system and seal not in self.expired
        }
        return {seal: point.id for seal, point in sorted(mine.items(), key=lambda item: item[1].created_at)}

    def first_points(self) -> dict[str, datetime]:
        return {
            point.system: min(each.created_at for each in self.points.values() if each.system == point.system)
            for point in self.points.values()
        }

    def forget_points(self, system: str) -> None:
        self.points = {seal: point for seal, point in self.points.items() if point.system != system}

    def remember_evidence(self, entry: EvidenceEntry) -> None:
        self.entries[entry.id] = entry

    def evidence(self) -> list[EvidenceEntry]:
        return sorted(self.entries.values(), key=lambda entry: (entry.sequence, entry.id))


def _refused(run: Run) -> bool:
    return run.error is not None and run.error["code"] == "locked"
