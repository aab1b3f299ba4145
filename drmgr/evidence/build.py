"""From the record of a drill to the in-toto statement that is signed. Pure: no files, no clock, no keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drmgr.errors import EvidenceError
from drmgr.evidence.canonical import digest, plain
from drmgr.model import (
    CheckStatus,
    DrillRecord,
    Facts,
    Json,
    Measure,
    Member,
    Outcome,
    RecoveryPoint,
    Text,
    Timeline,
    Verdict,
    move_to_json,
)
from drmgr.privacy import mask_message, refuse_free_text

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:drmgr:evidence:restore-proof:1"
CIPHER: Final = "AES-256-CTR + Poly1305-AES (restic)"
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
        "backup_set": [builder.backup_set(outcome) for outcome in record.outcomes],
        "steps": builder.steps(),
        "metrics": [builder.metrics(outcome) for outcome in record.outcomes],
        "facts": builder.facts(),
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
        self._zone = zone_of(record.timezone)

    def _time(self, instant: datetime | None) -> str | None:
        return time_in(self._zone, instant)

    def header(self, evidence_id: str, sequence: int, previous: str | None) -> dict[str, Json]:
        record = self._record
        day = record.started_at.astimezone(self._zone).strftime("%Y%m%d")
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

    def backup_set(self, outcome: Outcome) -> dict[str, Json]:
        system = outcome.system
        return {
            "system": system.id,
            "title": text_json(system.title),
            "tier": system.tier,
            "depends_on": list(system.depends_on),
            "point": None if outcome.point is None else self._point(outcome.point),
            "cipher": CIPHER,
            "key_version": self._record.tools.get("key-version"),
        }

    def _point(self, point: RecoveryPoint) -> dict[str, Json]:
        return {
            "id": point.id,
            "run": point.run,
            "host": point.host,
            "tools": dict(point.tools),
            "created_at": self._time(point.created_at),
            "consistent_at": self._time(point.consistent_at),
            "status": point.status.value,
            "members": [self._member(member) for member in point.members],
        }

    def _member(self, member: Member) -> dict[str, Json]:
        return {
            "source": member.source,
            "engine": member.engine,
            "consistent_at": self._time(member.consistent_at),
            "complete": member.complete,
            "unreadable": member.unreadable,
            "files": sum(part.files for part in member.parts),
            "bytes": member.bytes,
            "seconds": _seconds(member.seconds),
            "snapshots": [
                {
                    "part": part.name,
                    "id": part.snapshot,
                    "files": part.files,
                    "bytes": part.bytes,
                    "bytes_added": part.bytes_added,
                }
                for part in member.parts
            ],
        }

    def steps(self) -> list[dict[str, Json]]:
        phases = [(outcome.system.id, phase) for outcome in self._record.outcomes for phase in outcome.phases]
        phases.sort(key=lambda pair: pair[1].started_at)
        return [
            {
                "number": number,
                "action": phase.name,
                "system": phase.system or system,
                "source": phase.source,
                "started_at": self._time(phase.started_at),
                "finished_at": self._time(phase.finished_at),
                "seconds": _seconds(phase.seconds),
                "result": "ok" if phase.ok else "failed",
            }
            for number, (system, phase) in enumerate(phases, start=1)
        ]

    def metrics(self, outcome: Outcome) -> dict[str, Json]:
        return metrics_json(self._zone, outcome.system.id, outcome.timeline, outcome.rto, outcome.rpo)

    def facts(self) -> list[dict[str, Json]]:
        return [
            {
                "system": outcome.system.id,
                "source": member.source,
                "engine": member.facts.engine,
                "taken_at": self._time(member.facts.taken_at),
                "seconds": _seconds(member.facts.seconds),
                "sha256": digest(plain(member.facts.groups)),
                "counts": _counts(member.facts),
            }
            for outcome in self._record.outcomes
            if outcome.point is not None
            for member in outcome.point.members
        ]

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
                "seconds": _seconds(check.seconds),
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
        "total_seconds": _seconds(max(filter(None, waited), default=0.0)) if whole else None,
        "single_seconds": _seconds(sum(span.total_seconds() for span in own)) if whole else None,
    }


def _environment(record: DrillRecord) -> dict[str, Json]:
    environment: dict[str, Json] = {"target": record.target, "tools": dict(record.tools)}
    if record.swap is not None:
        swap = record.swap
        environment["swap"] = {
            "run": swap.run,
            "phase": swap.phase.value,
            "moves": [move_to_json(move) for move in swap.moves],
        }
    if record.laid is not None:
        environment["tables"] = [
            {"source": each.source, "table": each.table, "laid_as": each.laid_as} for each in record.laid
        ]
    return environment


def zone_of(name: str) -> ZoneInfo:
    """Raises EvidenceError for one that this host does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise EvidenceError(
            f"the time zone {name} is not known on this host",
            hint="check site.timezone, and that the package tzdata is installed",
        ) from error


def time_in(zone: ZoneInfo, instant: datetime | None) -> str | None:
    """RFC 3339 with the offset of the zone, to the millisecond. Raises EvidenceError for an instant without a zone."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise EvidenceError("an instant without a zone cannot be put into evidence")
    return instant.astimezone(zone).isoformat(timespec="milliseconds")


def metrics_json(zone: ZoneInfo, system: str, line: Timeline, rto: Measure, rpo: Measure) -> dict[str, Json]:
    """The course of one system, and what it comes to."""
    return {
        "system": system,
        **{name: time_in(zone, getattr(line, name)) for name in TIMES},
        "counted_from": line.counted_from,
        # counted from later than the fault, time within the objective proves nothing
        "rto": _measure(rto) | ({"met": None} if line.t0 is None and rto.met else {}),
        "rpo": _measure(rpo),
    }


def text_json(text: Text) -> dict[str, Json]:
    return {"zh": text.zh, "en": text.en}


def _seconds(seconds: float) -> float:
    return round(seconds, 3)


def _measure(measure: Measure) -> dict[str, Json]:
    measured = None if measure.measured is None else _seconds(measure.measured)
    return {"target": _seconds(measure.target), "measured": measured, "met": measure.met}


def _counts(facts: Facts) -> dict[str, Json]:
    """How much there is, never what: items of each group, and the totals of tables, rows, files and bytes."""
    counts: dict[str, Json] = {"items": {name: len(group) for name, group in facts.groups.items()}}
    tables = facts.groups.get("tables")
    if tables is not None:
        counts["tables"] = len(tables)
        counts["rows"] = sum(_rows(item) for item in tables.values())
    files = facts.groups.get("files", {})
    for name, key in (("files", "count"), ("bytes", "bytes"), ("hashed", "hashed"), ("moving", "moving")):
        if isinstance(files.get(key), int):
            counts[name] = files[key]
    return counts


def _rows(item: Json) -> int:
    rows = item.get("rows", 0) if isinstance(item, Mapping) else item
    return rows if isinstance(rows, int) else 0
