"""What the copies are worth at the quarter's end: declared is not held."""

from typing import TYPE_CHECKING

from drmgr.cli.repositories.asked_copies import asked_copies
from drmgr.errors import DrmgrError
from drmgr.model import Json

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.quarter import Period


def sound_copies(opened: "Site", period: "Period") -> tuple[int, list[Json]]:
    """How many copies hold every system within their RPO, asked now; what the others lack, as problems."""
    from drmgr.flows.quarter import problem

    if not opened.config.copies:
        return 0, []
    systems = sorted(opened.loaded.jobs)
    with asked_copies(opened, systems) as copies:
        asked = {system: copies(system) for system in systems}
    problems = [
        problem(period, system, "copy-behind", copy=name)
        for system, answers in asked.items()
        for name, held in answers.items()
        if isinstance(held, DrmgrError) or held.problems or not held.met
    ]
    wanting = {row["figures"]["copy"] for row in problems}
    return len(set(opened.config.copies) - wanting), problems
