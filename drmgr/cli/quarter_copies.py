"""What the copies are worth at the quarter's end: declared is not held."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from drmgr.cli.repo_copy import ask_copies
from drmgr.model import Json

if TYPE_CHECKING:
    from drmgr.cli.wire import Site
    from drmgr.flows.quarter import Period

AT_THE_SAME_TIME = 4


def sound_copies(opened: "Site", period: "Period") -> tuple[int, list[Json]]:
    """How many copies hold every system within their RPO, asked now; what the others lack, as problems."""
    from drmgr.flows.quarter import problem

    if not opened.config.copies:
        return 0, []
    systems = sorted(opened.loaded.jobs)
    with ThreadPoolExecutor(max_workers=AT_THE_SAME_TIME) as pool:
        asked = dict(zip(systems, pool.map(lambda system: ask_copies(opened, system), systems), strict=True))
    problems = [
        problem(period, system, "copy-behind", copy=name)
        for system, copies in asked.items()
        for name, held in copies.held.items()
        if held is None or held.problems or not held.met
    ]
    wanting = {row["figures"]["copy"] for row in problems}
    return len(set(opened.config.copies) - wanting), problems
