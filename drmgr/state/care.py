"""What drmgr remembers of the care of repositories: copies, expired points, data that were read back."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select

from drmgr.interfaces import Clock
from drmgr.model import Readback, RecoveryPoint
from drmgr.model_json import point_from_json, point_to_json
from drmgr.state.catalog import SqlCatalog, to_text
from drmgr.state.tables import copied, expired, points, readbacks


class SqlCareBook:
    """The book of interfaces.CareBook, in the catalog's database. Raises PreflightError when that cannot be used."""

    def __init__(self, catalog: SqlCatalog, clock: Clock) -> None:
        self._catalog = catalog
        self._database = catalog.database
        self._clock = clock

    def expire(self, place: str, system: str, seals: Mapping[str, str]) -> None:
        """Notes that these points, seal → id, are about to be taken away from a place on purpose."""
        now = to_text(self._clock.now())
        with self._database.writing() as connection:
            for seal, point in seals.items():
                values = {"system": system, "point": point, "expired_at": now}
                self._catalog.put(connection, expired, {"place": place, "seal": seal}, values)

    def expired(self, place: str, system: str) -> list[RecoveryPoint]:
        """The points that were taken away from a place on purpose, as far as the catalog still holds what they were."""
        query = (
            select(points.c.document)
            .join(expired, expired.c.seal == points.c.seal)
            .where(expired.c.place == place, expired.c.system == system)
        )
        with self._database.reading() as connection:
            documents = [row.document for row in connection.execute(query)]
        found = []
        for document in documents:
            try:
                found.append(point_from_json(json.loads(document)))
            except ValueError:
                # written by another drmgr: then it proves nothing here
                continue
        return found

    def readbacks(self, place: str, system: str, groups: int) -> dict[int, Readback]:
        """When each group of a repository's data was last read, by its number; 0 is when that was begun."""
        query = select(readbacks).where(
            readbacks.c.place == place, readbacks.c.system == system, readbacks.c.groups == groups
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {row.number: Readback(datetime.fromisoformat(row.read_at), bool(row.sound)) for row in rows}

    def remember_readback(self, place: str, system: str, groups: int, number: int, read: Readback) -> None:
        """Takes the place of the one before it."""
        key = {"place": place, "system": system, "groups": groups, "number": number}
        with self._database.writing() as connection:
            self._catalog.put(connection, readbacks, key, {"read_at": to_text(read.at), "sound": int(read.sound)})

    def memory(self, copy: str) -> "CopyMemory":
        """What is known of the points in that copy."""
        return CopyMemory(self._catalog, self._clock, copy)


class CopyMemory:
    """The points of one copy; implements interfaces.PointMemory."""

    def __init__(self, catalog: SqlCatalog, clock: Clock, copy: str) -> None:
        self._catalog = catalog
        self._database = catalog.database
        self._clock = clock
        self._copy = copy

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        """Keeps a point that was found whole in the copy; once more is the same as once."""
        values = {
            "id": point.id,
            "system": point.system,
            "created_at": to_text(point.created_at),
            "document": json.dumps(point_to_json(point)),
            "copied_at": to_text(self._clock.now()),
        }
        with self._database.writing() as connection:
            self._catalog.put(connection, copied, {"copy": self._copy, "seal": seal}, values)

    def point(self, seal: str) -> RecoveryPoint | None:
        """The point kept under that seal; None also for one that this drmgr cannot read."""
        query = select(copied.c.document).where(copied.c.copy == self._copy, copied.c.seal == seal)
        with self._database.reading() as connection:
            document = connection.execute(query).scalar()
        try:
            return None if document is None else point_from_json(json.loads(document))
        except ValueError:
            return None

    def seals(self, system: str) -> dict[str, str]:
        """The points that the copy is to hold: seal → id, oldest first."""
        gone = select(expired.c.seal).where(expired.c.place == self._copy)
        query = (
            select(copied.c.seal, copied.c.id)
            .where(copied.c.copy == self._copy, copied.c.system == system, copied.c.seal.not_in(gone))
            .order_by(copied.c.created_at)
        )
        with self._database.reading() as connection:
            return {row.seal: row.id for row in connection.execute(query)}

    def forget_points(self, system: str) -> None:
        """For a copy that is begun anew."""
        with self._database.writing() as connection:
            connection.execute(delete(copied).where(copied.c.copy == self._copy, copied.c.system == system))
