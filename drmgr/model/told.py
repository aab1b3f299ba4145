"""What people tell of the times before a restore."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from drmgr.model.words import Json


@dataclass(frozen=True)
class Told:
    """T0 to T3 of an incident as people tell them; None: nobody said, and then nobody knows."""

    fault: datetime | None = None
    noticed: datetime | None = None
    accepted: datetime | None = None
    decided: datetime | None = None

    def stages(self) -> tuple[datetime | None, ...]:
        """T0, T1, T2, T3."""
        return self.fault, self.noticed, self.accepted, self.decided

    def then(self, later: "Told") -> "Told":
        """With what was told later in place of what was told before."""
        pairs = zip(self.stages(), later.stages(), strict=True)
        return Told(*(before if after is None else after for before, after in pairs))


NOTHING_TOLD = Told()


def told_to_json(told: Told) -> dict[str, Json]:
    return {f"t{number}": None if at is None else at.isoformat() for number, at in enumerate(told.stages())}


def told_from_json(body: Mapping[str, Json]) -> Told:
    """Raises ValueError, TypeError for anything else; what is not there nobody told."""
    texts = (body.get(f"t{number}") for number in range(4))
    return Told(*(None if text is None else datetime.fromisoformat(text) for text in texts))
