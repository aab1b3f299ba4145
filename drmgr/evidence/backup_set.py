"""What evidence says of a recovery point: of what, how, and with what it was made. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from drmgr.evidence.canonical import digest, plain
from drmgr.evidence.times import seconds_json, text_json, time_in
from drmgr.model import Facts, Json, Member, Outcome, RecoveryPoint, Replayed
from drmgr.privacy import is_plain

CIPHER: Final = "AES-256-CTR + Poly1305-AES (restic)"

METHODS: Final = {
    "postgresql": "logical-full",
    "postgresql-physical": "physical-full",
    "mariadb": "logical-full",
    "mariadb-physical": "physical-full",
    "sqlite": "online-copy",
    "files": "files",
}
"""How each engine makes a backup; that of SQL Server says it of each by itself."""


def backup_set(zone: ZoneInfo, outcome: Outcome) -> dict[str, Json]:
    """Of one system. None where nobody noted it."""
    system, origin = outcome.system, outcome.origin
    return {
        "system": system.id,
        "title": text_json(system.title),
        "tier": system.tier,
        "depends_on": list(system.depends_on),
        "point": None if outcome.point is None else _point(zone, outcome.point, origin.seal),
        "replayed": [_replayed(zone, source, each) for source, each in origin.replayed.items()],
        "medium": origin.medium or None,
        "cipher": CIPHER,
        "key_version": origin.key_version or None,
    }


def sources(outcome: Outcome) -> list[dict[str, Json]]:
    """Each source of the point: what it was taken from, and what it was loaded into."""
    members = () if outcome.point is None else outcome.point.members
    return [
        {
            "system": outcome.system.id,
            "source": member.source,
            "engine": member.engine,
            "connection": member.connection or None,
            "from": dict(member.versions) or _as_in_facts(member.facts),
            "into": dict(outcome.origin.into.get(member.source, {})),
        }
        for member in members
    ]


def facts_of(zone: ZoneInfo, outcome: Outcome) -> list[dict[str, Json]]:
    """Of each source, how much there was, never what."""
    return [
        {
            "system": outcome.system.id,
            "source": member.source,
            "engine": member.facts.engine,
            "taken_at": time_in(zone, member.facts.taken_at),
            "seconds": seconds_json(member.facts.seconds),
            "sha256": digest(plain(member.facts.groups)),
            "counts": _counts(member.facts),
        }
        for member in (() if outcome.point is None else outcome.point.members)
    ]


def _as_in_facts(facts: Facts) -> dict[str, str]:
    """What points of an older drmgr tell of their server."""
    for group in ("origin", "server"):
        version = facts.groups.get(group, {}).get("version")
        if version is not None:
            return {"server": str(version)}
    return {}


def _point(zone: ZoneInfo, point: RecoveryPoint, seal: str) -> dict[str, Json]:
    return {
        "id": point.id,
        "run": point.run,
        "host": point.host,
        "tools": dict(point.tools),
        "created_at": time_in(zone, point.created_at),
        "consistent_at": time_in(zone, point.consistent_at),
        "status": point.status.value,
        "bytes": sum(member.bytes for member in point.members),
        "sha256": seal or None,
        "members": [_member(zone, member) for member in point.members],
    }


def _member(zone: ZoneInfo, member: Member) -> dict[str, Json]:
    return {
        "source": member.source,
        "engine": member.engine,
        "method": _method(member),
        "consistent_at": time_in(zone, member.consistent_at),
        "complete": member.complete,
        "unreadable": member.unreadable,
        "files": sum(part.files for part in member.parts),
        "bytes": member.bytes,
        "seconds": seconds_json(member.seconds),
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


def _method(member: Member) -> str | None:
    groups = member.facts.groups
    if member.engine == "files" and "dicom" in groups:
        return "images"
    kinds = groups.get("origin", {}).get("backups") if member.engine == "sqlserver" else None
    if isinstance(kinds, list) and kinds:
        return "native-" + ("differential" if "differential" in kinds else "full")
    return METHODS.get(member.engine)


def _replayed(zone: ZoneInfo, source: str, replayed: Replayed) -> dict[str, Json]:
    target = replayed.target
    value = time_in(zone, datetime.fromisoformat(target.value)) if target.kind == "time" else target.value
    return {
        "source": source,
        "target": {"kind": target.kind, "value": value if is_plain(value) else None},
        "snapshots": replayed.snapshots,
        "files": replayed.files,
        "bytes": replayed.bytes,
    }


def _counts(facts: Facts) -> dict[str, Json]:
    """Items of each group, and the totals of tables, rows, files and bytes."""
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
