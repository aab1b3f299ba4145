"""Looks at the site of fakes as status does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from drmgr.flows.status import Health, health
from drmgr.flows.watched import DrillProof, Watched
from drmgr.model import Measure
from tests.unit.flows.conftest import Site

DAY = 86400.0


def look(site: Site, *proofs: DrillProof, **more: Any) -> Health:
    """With these proofs, and more of what Watched holds."""
    watched = Watched(site.wired.system, site.repository, frozenset(), (), proofs, timedelta(days=92))
    return health(replace(watched, **more), site.catalog, site.clock)


def codes(found: Health) -> list[str]:
    return [problem.code for problem in found.problems]


def proof(site: Site, verdict: str = "passed", days: float = 0, **more: Any) -> DrillProof:
    """Of the drill d, that took a minute."""
    found = DrillProof("d", site.clock.now() - timedelta(days=days), verdict, Measure(7200, 60))
    return replace(found, **more)
