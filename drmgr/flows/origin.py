"""Where what is brought back came from, and what is at work where it lies: what evidence says of a backup set."""

from collections.abc import Mapping

from drmgr.errors import DrmgrError
from drmgr.flows.aim import Replay
from drmgr.flows.bench import Source, WiredSystem
from drmgr.flows.bringback import NOTHING
from drmgr.flows.points import sha256_of
from drmgr.model import Instance, Origin, RecoveryPoint, Replayed


def versions_of(source: Source, of: Instance | None = None) -> Mapping[str, str]:
    """What is at work there; empty when it does not tell: no backup and no drill is worth less for that."""
    try:
        return source.engine.versions(of)
    except DrmgrError:
        return {}


def versions_of_all(wired: WiredSystem, instances: Mapping[str, Instance]) -> dict[str, Mapping[str, str]]:
    """The same of every source that was brought back, by its name."""
    return {name: versions_of(wired.source(name), instance) for name, instance in instances.items()}


def origin_of(
    wired: WiredSystem,
    point: RecoveryPoint | None,
    replays: Mapping[str, Replay] = NOTHING,
    into: Mapping[str, Mapping[str, str]] | None = None,
) -> Origin:
    """``into``: as ``versions_of_all`` told while it could still be asked."""
    return Origin(
        medium=wired.medium,
        key_version=wired.key_version,
        seal="" if point is None else sha256_of(point),
        replayed={name: _replayed(each) for name, each in replays.items()},
        into=into or {},
    )


def _replayed(replay: Replay) -> Replayed:
    stored = [each.snapshot for each in replay.ranges]
    files, size = sum(each.files for each in stored), sum(each.bytes for each in stored)
    return Replayed(replay.target, len(stored), files, size)
