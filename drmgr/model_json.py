"""Recovery points as JSON documents and back: the form of the seal in a repository and of the catalog's memory."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from drmgr.model import (
    ChainHead,
    Change,
    Doubt,
    DoubtKind,
    Facts,
    Json,
    Judgement,
    Member,
    Part,
    PointStatus,
    RecoveryPoint,
    Standstill,
)
from drmgr.system.clock import rfc3339

POINT_SCHEMA = "drmgr/recovery-point/1"
"""Changes with every change of the document that an older drmgr would misread."""

T = TypeVar("T")


def point_to_json(point: RecoveryPoint) -> dict[str, Json]:
    """The point as a JSON document; ``point_from_json`` gives back an equal point.

    Times are RFC 3339 with offset, durations seconds, sizes bytes. Raises ValueError for an instant without a zone.
    """
    return {
        "schema": POINT_SCHEMA,
        "id": point.id,
        "system": point.system,
        "run": point.run,
        "created_at": rfc3339(point.created_at),
        "consistent_at": rfc3339(point.consistent_at),
        "status": point.status.value,
        "members": [_member_to_json(member) for member in point.members],
        "tools": dict(point.tools),
        "host": point.host,
        **({} if point.standstill is None else {"standstill": _standstill_to_json(point.standstill)}),
        **({} if point.judgement is None else {"judgement": _judgement_to_json(point.judgement)}),
        **({} if point.evidence is None else {"evidence": vars(point.evidence).copy()}),
    }


def point_from_json(document: Json) -> RecoveryPoint:
    """The point that ``point_to_json`` wrote.

    Raises ValueError, naming the field, for an unknown schema and for anything missing, superfluous or of a wrong type.
    """
    fields = _Fields(document, "recovery point")
    schema = fields.text("schema")
    if schema != POINT_SCHEMA:
        raise ValueError(f"the document's schema is {schema!r}, and this drmgr reads {POINT_SCHEMA!r}")
    point = RecoveryPoint(
        id=fields.text("id"),
        system=fields.text("system"),
        run=fields.text("run"),
        created_at=fields.instant("created_at"),
        consistent_at=fields.instant("consistent_at"),
        status=fields.status("status"),
        members=fields.several("members", _member_from_json),
        tools=fields.texts("tools"),
        host=fields.text("host"),
        standstill=fields.one_if_there("standstill", _standstill_from_json),
        judgement=fields.one_if_there("judgement", _judgement_from_json),
        evidence=fields.one_if_there("evidence", _head_from_json),
    )
    fields.end()
    return point


def _head_from_json(document: Json, where: str) -> ChainHead:
    fields = _Fields(document, where)
    head = ChainHead(fields.count("sequence"), fields.text("sha256"), fields.text("chain"))
    fields.end()
    return head


def _standstill_to_json(still: Standstill) -> dict[str, Json]:
    return {"pause": still.pause, "since": rfc3339(still.since), "until": rfc3339(still.until)}


def _standstill_from_json(document: Json, where: str) -> Standstill:
    fields = _Fields(document, where)
    still = Standstill(fields.text("pause"), fields.instant("since"), fields.instant("until"))
    fields.end()
    return still


def _judgement_to_json(judgement: Judgement) -> dict[str, Json]:
    return {
        "compared": dict(judgement.compared),
        "enough": judgement.enough,
        "doubts": [
            {
                "source": doubt.source,
                "kind": doubt.kind.value,
                "subject": doubt.subject,
                "since": doubt.since,
                "figures": dict(doubt.figures),
            }
            for doubt in judgement.doubts
        ],
        "canaries": dict(judgement.canaries),
    }


def _judgement_from_json(document: Json, where: str) -> Judgement:
    fields = _Fields(document, where)
    judgement = Judgement(
        compared=fields.each("compared", _Fields.count),
        enough=fields.count("enough"),
        doubts=fields.several("doubts", _doubt_from_json, some=False),
        canaries=fields.each("canaries", _Fields.flag),
    )
    fields.end()
    return judgement


def _doubt_from_json(document: Json, where: str) -> Doubt:
    fields = _Fields(document, where)
    kind = fields.text("kind")
    if kind not in list(DoubtKind):
        raise ValueError(f"{where}.kind must be one of {', '.join(DoubtKind)}")
    doubt = Doubt(
        source=fields.text("source"),
        kind=DoubtKind(kind),
        subject=fields.text("subject"),
        since=fields.text("since"),
        figures=fields.each("figures", _Fields.number),
    )
    fields.end()
    return doubt


def _member_to_json(member: Member) -> dict[str, Json]:
    return {
        "source": member.source,
        "engine": member.engine,
        "consistent_at": rfc3339(member.consistent_at),
        "parts": [_part_to_json(part) for part in member.parts],
        "facts": _facts_to_json(member.facts),
        "complete": member.complete,
        "unreadable": member.unreadable,
        "seconds": member.seconds,
        **({} if member.seen_until is None else {"seen_until": rfc3339(member.seen_until)}),
        **({"connection": member.connection} if member.connection else {}),
        **({"versions": dict(member.versions)} if member.versions else {}),
    }


def _member_from_json(document: Json, where: str) -> Member:
    fields = _Fields(document, where)
    member = Member(
        source=fields.text("source"),
        engine=fields.text("engine"),
        consistent_at=fields.instant("consistent_at"),
        parts=fields.several("parts", _part_from_json),
        facts=_facts_from_json(fields.take("facts"), f"{where}.facts"),
        complete=fields.flag("complete"),
        unreadable=fields.count("unreadable"),
        seconds=fields.number("seconds"),
        seen_until=fields.instant("seen_until") if fields.has("seen_until") else None,
        connection=fields.text("connection") if fields.has("connection") else "",
        versions=fields.texts("versions") if fields.has("versions") else {},
    )
    fields.end()
    return member


def _part_to_json(part: Part) -> dict[str, Json]:
    return {
        "name": part.name,
        "snapshot": part.snapshot,
        "files": part.files,
        "bytes": part.bytes,
        "bytes_added": part.bytes_added,
        "seconds": part.seconds,
        **({} if part.change is None else {"change": vars(part.change).copy()}),
    }


def _part_from_json(document: Json, where: str) -> Part:
    fields = _Fields(document, where)
    part = Part(
        name=fields.text("name"),
        snapshot=fields.text("snapshot"),
        files=fields.count("files"),
        bytes=fields.count("bytes"),
        bytes_added=fields.count("bytes_added"),
        seconds=fields.number("seconds"),
        change=fields.one_if_there("change", _change_from_json),
    )
    fields.end()
    return part


def _change_from_json(document: Json, where: str) -> Change:
    fields = _Fields(document, where)
    change = Change(*map(fields.count, ("new", "changed", "unmodified", "added")))
    fields.end()
    return change


def _facts_to_json(facts: Facts) -> dict[str, Json]:
    return {
        "engine": facts.engine,
        "taken_at": rfc3339(facts.taken_at),
        "groups": {name: dict(items) for name, items in facts.groups.items()},
        "seconds": facts.seconds,
    }


def _facts_from_json(document: Json, where: str) -> Facts:
    fields = _Fields(document, where)
    facts = Facts(
        engine=fields.text("engine"),
        taken_at=fields.instant("taken_at"),
        groups={
            name: _object(items, f"{where}.groups.{name}")
            for name, items in _object(fields.take("groups"), f"{where}.groups").items()
        },
        seconds=fields.number("seconds"),
    )
    fields.end()
    return facts


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{where} must be an object")
    return dict(value)


class _Fields:
    """Takes the fields of one object, each once and of the type asked for; ``end`` refuses what nobody asked for."""

    def __init__(self, document: Json, where: str) -> None:
        self._rest = _object(document, where)
        self._where = where

    def take(self, name: str) -> Json:
        if name not in self._rest:
            raise ValueError(f"{self._where}.{name} is missing")
        return self._rest.pop(name)

    def has(self, name: str) -> bool:
        return name in self._rest

    def one_if_there(self, name: str, read: Callable[[Json, str], T]) -> T | None:
        return read(self.take(name), f"{self._where}.{name}") if self.has(name) else None

    def end(self) -> None:
        for name in self._rest:
            raise ValueError(f"{self._where}.{name} is not known to this drmgr")

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def status(self, name: str) -> PointStatus:
        value = self.text(name)
        if value not in list(PointStatus):
            raise self._wrong(name, f"one of {', '.join(PointStatus)}")
        return PointStatus(value)

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def count(self, name: str) -> int:
        value = self.take(name)
        # other writers of JSON put a whole number as 3.0, and Python counts True as 1
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < 0:
            raise self._wrong(name, "a whole number from 0")
        return int(value)

    def number(self, name: str) -> float:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(name, "a number")
        return float(value)

    def instant(self, name: str) -> datetime:
        text = self.text(name)
        try:
            value = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(name, "a time in RFC 3339") from error
        if value.tzinfo is None:
            raise self._wrong(name, "a time with its offset")
        return value

    def texts(self, name: str) -> dict[str, str]:
        values = _object(self.take(name), f"{self._where}.{name}")
        if not all(isinstance(value, str) for value in values.values()):
            raise self._wrong(name, "an object of texts")
        return values

    def each(self, name: str, read: "Callable[[_Fields, str], T]") -> dict[str, T]:
        """An object whose values are all of one kind."""
        inner = _Fields(self.take(name), f"{self._where}.{name}")
        return {key: read(inner, key) for key in tuple(inner._rest)}

    def several(self, name: str, read: Callable[[Json, str], T], *, some: bool = True) -> tuple[T, ...]:
        values = self.take(name)
        # a point without members, or a member without parts, brings nothing back
        if not isinstance(values, list) or (some and not values):
            raise self._wrong(name, "a list that is not empty" if some else "a list")
        return tuple(read(value, f"{self._where}.{name}[{number}]") for number, value in enumerate(values))

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._where}.{name} must be {wanted}")
