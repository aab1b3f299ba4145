"""From the record of a drill to the in-toto statement that is signed. Pure: no files, no clock, no keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from drmgr.errors import EvidenceError
from drmgr.evidence.backup_set import backup_set, facts_of, sources
from drmgr.evidence.canonical import digest, plain
from drmgr.evidence.times import seconds_json, text_json, time_in, zone_of
from drmgr.model import (
    CheckStatus,
    DrillRecord,
    Json,
    Measure,
    Outcome,
    Timeline,
    Verdict,
    move_to_json,
)
from drmgr.privacy import mask_message, refuse_free_text

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:drmgr:evidence:restore-proof:1"
GROUPS: Final = (
    "header",
    "environment",
    "backup_set",
    "steps",
    "metrics",
    "facts",
    "checks",
    "verdict",
    "destruction",
    "errors",
)
"""The field groups of a predicate, in the order of the report; each is hashed on its own in the statement's subject."""


TIMES: Final = ("t0", "t1", "t2", "t3", "t4", "t5", "t6", "begun", "brought_back")


def build_document(
    record: DrillRecord, evidence_id: str, sequence: int, previous_sha256: str | None
) -> dict[str, Json]:
    """The statement for ``record``: the predicate's field groups, and in ``subject`` the SHA-256 of each.

    Times carry the offset of the site's zone, durations are seconds to the millisecond. Raises EvidenceError for free
    text among the checks' values, an unknown zone, and a verdict that the record itself contradicts.
    """
    _refuse_contradiction(record)
    for outcome in record.outcomes:
        for check in outcome.checks:
            refuse_free_text(check, outcome.system.id)
    builder = _Builder(record)
    predicate = {
        "header": builder.header(evidence_id, sequence, previous_sha256),
        "environment": _environment(record),
        "backup_set": [backup_set(builder.zone, outcome) for outcome in record.outcomes],
        "steps": builder.steps(),
        "metrics": [builder.metrics(outcome) for outcome in record.outcomes],
        "facts": [each for outcome in record.outcomes for each in facts_of(builder.zone, outcome)],
        "checks": builder.checks(),
        "verdict": builder.verdict(),
        "destruction": builder.destruction(),
        "errors": builder.errors(),
    }
    return statement(PREDICATE_TYPE, predicate)


def statement(kind: str, predicate: Mapping[str, Json]) -> dict[str, Json]:
    """The in-toto statement of that kind, with the SHA-256 of each field group."""
    tree: dict[str, Json] = plain(predicate)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest(group)}} for name, group in tree.items()],
        "predicateType": kind,
        "predicate": tree,
    }


def _refuse_contradiction(record: DrillRecord) -> None:
    if record.verdict is not Verdict.PASSED:
        return
    for outcome in record.outcomes:
        bad = [check.name for check in outcome.checks if check.status in (CheckStatus.FAIL, CheckStatus.ERROR)]
        if outcome.verdict is not Verdict.PASSED or bad:
            raise EvidenceError(
                f"the record says passed, but system {outcome.system.id} did not pass: {', '.join(bad) or 'its verdict'}",
                hint="this is a fault of the program; nothing was signed",
            )


class _Builder:
    """Turns the record's parts into JSON, with its times in the site's zone."""

    def __init__(self, record: DrillRecord) -> None:
        self._record = record
        self.zone = zone_of(record.timezone)

    def _time(self, instant: datetime | None) -> str | None:
        return time_in(self.zone, instant)

    def header(self, evidence_id: str, sequence: int, previous: str | None) -> dict[str, Json]:
        record = self._record
        day = record.started_at.astimezone(self.zone).strftime("%Y%m%d")
        return {
            "id": evidence_id,
            "number": f"DR-{day}-{sequence:06d}",
            "sequence": sequence,
            "previous": previous,
            "run": record.run,
            "kind": record.kind.value,
            "occasion": record.occasion.value,
            "name": record.name,
            "title": text_json(record.title),
            "scenario": record.scenario,
            "form": record.form,
            "copy": record.copy,
            "site": text_json(record.site),
            "timezone": record.timezone,
            "operator": record.operator,
            "host": record.host,
            "reason": record.reason,
            "approval": record.approval,
            "started_at": self._time(record.started_at),
            "finished_at": self._time(record.finished_at),
        }

    def steps(self) -> list[dict[str, Json]]:
        phases = [(outcome.system.id, phase) for outcome in self._record.outcomes for phase in outcome.phases]
        # those of several systems together are of none of them
        phases += [("", phase) for phase in self._record.phases]
        phases.sort(key=lambda pair: pair[1].started_at)
        return [
            {
                "number": number,
                "action": phase.name,
                "system": phase.system or system,
                "source": phase.source,
                "started_at": self._time(phase.started_at),
                "finished_at": self._time(phase.finished_at),
                "seconds": seconds_json(phase.seconds),
                "result": "ok" if phase.ok else "failed",
            }
            for number, (system, phase) in enumerate(phases, start=1)
        ]

    def metrics(self, outcome: Outcome) -> dict[str, Json]:
        return metrics_json(self.zone, outcome.system.id, outcome.timeline, outcome.rto, outcome.rpo)

    def checks(self) -> list[dict[str, Json]]:
        return [
            {
                "system": outcome.system.id,
                "name": check.name,
                "title": None if check.title is None else text_json(check.title),
                "source": check.source,
                "status": check.status.value,
                "level": int(check.level),
                "expected": check.expected,
                "actual": check.actual,
                "seconds": seconds_json(check.seconds),
                "message": mask_message(check.message),
                "item": check.item,
            }
            for outcome in self._record.outcomes
            for check in outcome.checks
        ]

    def verdict(self) -> dict[str, Json]:
        return {
            "verdict": self._record.verdict.value,
            "level": int(self._record.level),
            **seconds_of_all(self._record.outcomes),
            "systems": [
                {"system": outcome.system.id, "verdict": outcome.verdict.value, "level": int(outcome.level)}
                for outcome in self._record.outcomes
            ],
        }

    def destruction(self) -> list[dict[str, Json]]:
        return [
            {
                "path": proof.path,
                "files": proof.files,
                "bytes": proof.bytes,
                "processes_ended": proof.processes_ended,
                "gone": proof.gone,
                "at": self._time(proof.at),
            }
            for proof in self._record.destruction
        ]

    def errors(self) -> list[dict[str, Json]]:
        return [
            {
                "system": outcome.system.id,
                "code": str(outcome.error.get("code", "")),
                "message": mask_message(str(outcome.error.get("message", ""))),
                "hint": mask_message(str(outcome.error.get("hint") or "")),
            }
            for outcome in self._record.outcomes
            if outcome.error is not None
        ]


def seconds_of_all(outcomes: Sequence[Outcome]) -> dict[str, Json]:
    """From T0 until the last was verified, and the sum of their own T4 to T6, side by side; None where one did not end."""
    waited = [outcome.rto.measured for outcome in outcomes]
    own = [line.t6 - line.t4 for line in (outcome.timeline for outcome in outcomes) if line.t4 and line.t6]
    whole = bool(outcomes) and None not in waited and len(own) == len(outcomes)
    return {
        "total_seconds": seconds_json(max(filter(None, waited), default=0.0)) if whole else None,
        "single_seconds": seconds_json(sum(span.total_seconds() for span in own)) if whole else None,
    }


def _environment(record: DrillRecord) -> dict[str, Json]:
    environment: dict[str, Json] = {
        "target": record.target,
        "tools": dict(record.tools),
        "sources": [each for outcome in record.outcomes for each in sources(outcome)],
    }
    if record.swap is not None:
        swap = record.swap
        environment["swap"] = {
            "run": swap.run,
            "phase": swap.phase.value,
            "moves": [move_to_json(move) for move in swap.moves],
        }
    if record.laid is not None:
        environment["tables"] = [
            {"source": each.source, "table": each.table, "laid_as": each.laid_as, "place": list(each.place)}
            for each in record.laid
        ]
    return environment


def metrics_json(zone: ZoneInfo, system: str, line: Timeline, rto: Measure, rpo: Measure) -> dict[str, Json]:
    """The course of one system, and what it comes to."""
    return {
        "system": system,
        **{name: time_in(zone, getattr(line, name)) for name in TIMES},
        "counted_from": line.counted_from,
        # counted from later than the fault, time within the objective proves nothing
        "rto": _measure(rto) | ({"met": None} if line.t0 is None and rto.met else {}),
        # what is of after the fault may hold its damage, whatever is lost
        "rpo": _measure(rpo) | ({"met": None} if line.after_fault else {}),
        "after_fault": line.after_fault,
    }


def _measure(measure: Measure) -> dict[str, Json]:
    measured = None if measure.measured is None else seconds_json(measure.measured)
    return {"target": seconds_json(measure.target), "measured": measured, "met": measure.met}
