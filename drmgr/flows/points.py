"""Recovery points: sealing them, and finding them again. The repository is the truth, the catalog only remembers."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from drmgr.errors import PointNotFoundError, PreflightError, RepositoryDamagedError, RepositoryError
from drmgr.interfaces import PointMemory, Repository
from drmgr.model import Json, PointStatus, RecoveryPoint, Snapshot
from drmgr.model_json import point_from_json, point_to_json

SEAL_NAME = "recovery-point.json"
MARK = "drmgr"
SEAL_TAG = "seal"


@dataclass(frozen=True)
class SealedPoint:
    """A recovery point with the full id of its seal's snapshot."""

    point: RecoveryPoint
    seal: str


@dataclass(frozen=True)
class Found:
    """What a repository offers; ``problems`` name seals that cannot be believed or whose members are gone.

    ``snapshots`` are all of the system's that can be read, whether they belong to a point or not.
    """

    points: tuple[SealedPoint, ...]
    problems: tuple[str, ...]
    snapshots: tuple[Snapshot, ...] = ()


def snapshots_of(sealed: SealedPoint) -> tuple[str, ...]:
    """All that the point is made of, its seal last."""
    return (*(part.snapshot for member in sealed.point.members for part in member.parts), sealed.seal)


def tags(point: str, system: str, *more: str) -> tuple[str, ...]:
    """The tags of every snapshot that belongs to a recovery point."""
    return (MARK, f"point={point}", f"system={system}", *more)


def point_of(snapshot: Snapshot) -> str:
    """The recovery point that the snapshot's tags name; empty for none."""
    return next((tag.removeprefix("point=") for tag in snapshot.tags if tag.startswith("point=")), "")


def seal(repository: Repository, catalog: PointMemory, point: RecoveryPoint) -> str:
    """Writes the seal; from its return on the recovery point exists. Returns the seal's snapshot id."""
    body = point_to_json(point)
    document: Json = {"point": body, "sha256": _digest(body)}
    snapshot = repository.store_bytes(SEAL_NAME, _canonical(document), tags(point.id, point.system, SEAL_TAG))
    if not snapshot.complete:
        raise RepositoryError("the seal was not stored whole")
    catalog.remember_point(point, snapshot.id)
    return snapshot.id


def find(repository: Repository, catalog: PointMemory, system: str) -> Found:
    """All recovery points of the system, oldest first, as the repository itself tells them."""
    listing = repository.snapshots((MARK, f"system={system}"))
    present = {snapshot.id for snapshot in listing.snapshots}
    points: list[SealedPoint] = []
    problems = [f"snapshot {snapshot[:8]} cannot be read" for snapshot in listing.damaged]
    for snapshot in listing.snapshots:
        if SEAL_TAG not in snapshot.tags:
            continue
        try:
            point = catalog.point(snapshot.id) or _read(repository, catalog, snapshot.id)
        except RepositoryError as error:
            problems.append(f"seal {snapshot.id[:8]}: {error.message}")
            continue
        missing = [part.snapshot for member in point.members for part in member.parts if part.snapshot not in present]
        if missing:
            problems.append(f"recovery point {point.id}: {len(missing)} of its snapshots are gone")
            continue
        points.append(SealedPoint(point, snapshot.id))
    known = {*present, *listing.damaged}
    problems += [
        f"recovery point {point} was sealed, and its seal is gone"
        for seal, point in catalog.seals(system).items()
        if seal not in known
    ]
    return Found(tuple(points), tuple(problems), listing.snapshots)


def read(repository: Repository, snapshot: str) -> RecoveryPoint:
    """The seal, read from the repository and proven by its hash. Raises RepositoryDamagedError."""
    content = repository.read_bytes(snapshot, SEAL_NAME)
    try:
        document = json.loads(content)
        body = document["point"]
        if _digest(body) != document["sha256"]:
            raise RepositoryDamagedError(f"seal {snapshot[:8]}: its content does not match its hash")
        return point_from_json(body)
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryDamagedError(f"seal {snapshot[:8]}: not a readable recovery point") from error


def believed(repository: Repository, sealed: SealedPoint) -> RecoveryPoint:
    """The point, read once more from its seal: only then are its members and facts to be believed.

    Raises RepositoryDamagedError, and PreflightError when the catalog remembers another point than the seal tells.
    """
    point = read(repository, sealed.seal)
    if point != sealed.point:
        raise PreflightError(
            f"the catalog does not remember recovery point {point.id} as its seal in the repository tells it",
            hint="the repository is right: find out who changed the catalog, put it aside, and a new one is made from the seals",
        )
    return point


def sha256_of(point: RecoveryPoint) -> str:
    """The hash that stands beside the point in its seal."""
    return _digest(point_to_json(point))


def _canonical(document: Json) -> bytes:
    """One byte form for one document. Not RFC 8785: that has no form for a sequence beyond 2**53."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(body: Json) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _read(repository: Repository, catalog: PointMemory, snapshot: str) -> RecoveryPoint:
    point = read(repository, snapshot)
    catalog.remember_point(point, snapshot)
    return point


def choose(points: Iterable[SealedPoint], system: str, wanted: str) -> SealedPoint:
    """``latest`` (the newest complete one) or the point whose id is or begins with ``wanted``.

    Raises PointNotFoundError.
    """
    offered = list(points)
    if wanted == "latest":
        complete = [sealed for sealed in offered if sealed.point.status is PointStatus.COMPLETE]
        if not complete:
            raise PointNotFoundError(f"{system} has no complete recovery point")
        return complete[-1]
    matching = [sealed for sealed in offered if wanted and sealed.point.id.startswith(wanted.upper())]
    if len(matching) != 1:
        raise PointNotFoundError(f"{system}: {len(matching)} recovery points begin with {wanted}")
    return matching[0]
