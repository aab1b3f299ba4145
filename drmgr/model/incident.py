"""What people tell of an incident: when it was noticed and decided on, why it happened, what will be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from drmgr.model.restore import Timeline
from drmgr.model.told import Told
from drmgr.model.words import Json, Text


@dataclass(frozen=True)
class CorrectiveAction:
    """What shall keep it from happening again."""

    text: str
    owner: str
    due: date


@dataclass(frozen=True)
class About:
    """The sealed restore that a note adds to: its evidence, its run, and what it found (its verdict group as sealed)."""

    evidence: str
    number: str
    sequence: int
    sha256: str
    run: str
    name: str
    title: Text
    system: str
    verdict: Mapping[str, Json]


@dataclass(frozen=True)
class IncidentNote:
    """What became known after a restore was sealed. The first document stays as it is; this one stands beside it.

    ``told`` holds only what is told here; ``timeline`` is the whole course as it is known with it, ``rto_target`` and
    ``rpo_target`` are those of the restore, in seconds.
    """

    run: str
    about: About
    told: Told
    timeline: Timeline
    rto_target: float
    rpo_target: float
    cause: str
    words: str
    actions: tuple[CorrectiveAction, ...]
    site: Text
    timezone: str
    host: str
    operator: str
    at: datetime
