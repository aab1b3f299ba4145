"""Where the evidence stood when recovery points were sealed: so documents that were taken away show without a bucket."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from drmgr.errors import DrmgrError
from drmgr.model import RecoveryPoint
from drmgr.system.clock import rfc3339

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.evidence.anchor import Anchored
    from drmgr.evidence.chain import Gap

AT_THE_SAME_TIME = 4


def anchors_of(points: Iterable[RecoveryPoint], host: str, chain: str) -> "list[Anchored]":
    """What the points know of this host's evidence, each document once, by the oldest point that knows it.

    Those that this host sealed, and those of the same chain, whatever the host was called then. Another host, such as one
    that only plays drills, has evidence of its own.
    """
    from drmgr.evidence.anchor import Anchored

    found: dict[tuple[int, str], Anchored] = {}
    for point in sorted(points, key=lambda each: each.created_at):
        head = point.evidence
        if head is not None and (point.host == host or (chain and head.chain == chain)):
            where = f"the recovery point {point.id}"
            anchored = Anchored(head.sequence, head.sha256, rfc3339(point.created_at.replace(microsecond=0)), where)
            found.setdefault((head.sequence, head.sha256), anchored)
    return list(found.values())


def shortened(opened: "Site", points: Iterable[RecoveryPoint]) -> "list[Gap]":
    """Evidence that the points know and that is not there as it was. Raises EvidenceError."""
    from drmgr.evidence.chain import against_anchors, first_id, links

    folder = opened.evidence_directory
    anchored = anchors_of(points, opened.host, first_id(folder))
    if not anchored:
        return []
    return against_anchors(links(folder) if folder.is_dir() else [], anchored)


def asked_points(opened: "Site") -> tuple[list[RecoveryPoint], list[str]]:
    """The points of all systems and copies, as these tell them; and which could not be asked."""
    from drmgr.cli.repositories.repo_copy import ask_copies
    from drmgr.flows.points import find

    def ask(system: str) -> tuple[list[RecoveryPoint], list[str]]:
        points, silent = [], []
        try:
            found = find(opened.repository(system), opened.catalog, system)
            points += [sealed.point for sealed in found.points]
        except DrmgrError as error:
            silent.append(f"{system}: {error.message}")
        copies = ask_copies(opened, system)
        points += [sealed.point for held in copies.held.values() if held for sealed in held.points]
        silent += [f"{system} in {name}: {error.message}" for name, error in copies.errors.items()]
        return points, silent

    # opened once, before the threads ask for them
    _ = opened.catalog, opened.bucket
    with ThreadPoolExecutor(max_workers=AT_THE_SAME_TIME) as pool:
        answers = list(pool.map(ask, sorted(opened.loaded.jobs)))
    return [point for points, _ in answers for point in points], [text for _, silent in answers for text in silent]
