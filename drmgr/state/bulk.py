"""A system's remembered points, read from the catalog in one go, for reports that need them all."""

import json
from collections.abc import Mapping

from sqlalchemy import select

from drmgr.model import RecoveryPoint
from drmgr.model_json import point_from_json
from drmgr.state.catalog import SqlCatalog
from drmgr.state.tables import points


class BulkMemory:
    """A PointMemory as the catalog, one query instead of one for each point."""

    def __init__(self, catalog: SqlCatalog, system: str) -> None:
        self._catalog = catalog
        query = select(points.c.seal, points.c.document).where(points.c.system == system)
        with catalog.database.reading() as connection:
            self._documents = {row.seal: row.document for row in connection.execute(query)}

    def remember_point(self, point: RecoveryPoint, seal: str) -> None:
        """Keeps it in the catalog."""
        self._catalog.remember_point(point, seal)

    def point(self, seal: str) -> RecoveryPoint | None:
        """As the catalog: None also for what this drmgr cannot read."""
        document = self._documents.get(seal)
        try:
            return None if document is None else point_from_json(json.loads(document))
        except ValueError:
            return None

    def seals(self, system: str) -> Mapping[str, str]:
        """As the catalog."""
        return self._catalog.seals(system)

    def forget_points(self, system: str) -> None:
        """In the catalog."""
        self._catalog.forget_points(system)
