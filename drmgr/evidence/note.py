"""What became known of an incident after its restore was sealed, as a statement of its own in the same chain. Pure."""

from typing import Final

from drmgr.evidence.build import metrics_json, statement
from drmgr.evidence.times import text_json, time_in, zone_of
from drmgr.model import IncidentNote, Json, Measure

NOTE_TYPE: Final = "urn:drmgr:evidence:incident-note:1"
NOTE_GROUPS: Final = ("header", "about", "told", "metrics", "words", "actions", "verdict")
"""The field groups of a note; ``verdict`` is that of the restore, which a note does not change."""


def build_note(note: IncidentNote, evidence_id: str, sequence: int, previous_sha256: str | None) -> dict[str, Json]:
    """The statement for ``note``. ``metrics`` is the whole course as it is known now. Raises EvidenceError."""
    zone = zone_of(note.timezone)
    line, about = note.timeline, note.about
    rto = Measure(note.rto_target, line.seconds_to_verified())
    rpo = Measure(note.rpo_target, line.seconds_lost())
    told = zip(("t0", "t1", "t2", "t3"), note.told.stages(), strict=True)
    groups = {
        "header": _header(note, evidence_id, sequence, previous_sha256),
        "about": {
            "id": about.evidence,
            "number": about.number,
            "sequence": about.sequence,
            "sha256": about.sha256,
            "run": about.run,
            "system": about.system,
        },
        "told": {name: time_in(zone, instant) for name, instant in told},
        "metrics": [metrics_json(zone, about.system, line, rto, rpo)],
        "words": {"cause": note.cause, "said": note.words},
        "actions": [
            {"text": action.text, "owner": action.owner, "due": action.due.isoformat()} for action in note.actions
        ],
        "verdict": dict(about.verdict),
    }
    return statement(NOTE_TYPE, {name: groups[name] for name in NOTE_GROUPS})


def _header(note: IncidentNote, evidence_id: str, sequence: int, previous: str | None) -> dict[str, Json]:
    at = time_in(zone_of(note.timezone), note.at)
    assert at is not None
    return {
        "id": evidence_id,
        "number": f"IN-{at[:10].replace('-', '')}-{sequence:06d}",
        "sequence": sequence,
        "previous": previous,
        "run": note.run,
        "kind": "incident-note",
        "occasion": "incident",
        "name": f"note-{note.about.name}",
        "title": text_json(note.about.title),
        "site": text_json(note.site),
        "timezone": note.timezone,
        "operator": note.operator,
        "host": note.host,
        "started_at": at,
        "finished_at": at,
    }
