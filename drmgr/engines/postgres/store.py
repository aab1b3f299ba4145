"""The files of a running cluster, into the repository; and the list of them, by which a restore is proven whole."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines import chains
from drmgr.engines.chains import CHAIN
from drmgr.engines.postgres.reread import SteadyClock, doubtful
from drmgr.interfaces import Clock, Sink
from drmgr.model import Part, Tree

CLUSTER_PART, TABLESPACE_PART, REREAD_PART = "cluster", "tablespace-", "reread-"
MANIFEST = "manifest.json"
"""Lies beside the label: every file that was stored, by its place in the data directory, with its size."""

MOST_LISTINGS = 4
"""At the same time; each is a restic that opens the repository."""

LEFT_OUT = (
    *("/pg_wal", "/postmaster.pid", "/postmaster.opts", "/backup_label*", "/tablespace_map*"),
    *("/pg_replslot/*", "/pg_dynshmem/*", "/pg_notify/*", "/pg_serial/*", "/pg_snapshots/*"),
    *("/pg_stat_tmp/*", "/pg_subtrans/*", "pgsql_tmp*", "pg_internal.init*", "*.conf.tmp", "current_logfiles.tmp"),
)
"""What PostgreSQL makes anew at start, and its log, which is stored as a part of its own."""


@dataclass(frozen=True)
class _Place:
    """A folder to be stored as one part; ``prefix`` is where it belongs in the data directory."""

    part: str
    root: Path
    prefix: str = ""
    only: tuple[str, ...] = ()
    left_out: tuple[str, ...] = LEFT_OUT
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """A cluster's files: in each of its ``tablespaces`` only ``folder`` is this server's.

    ``chain`` is the cluster's identifier, which tells it from every other one.
    """

    directory: Path
    tablespaces: Mapping[str, Path]
    folder: str
    chain: str


def refuse_another(sink: Sink, chain: str, *, expected: str | None) -> None:
    """As drmgr.engines.chains says, of a cluster."""
    chains.refuse_another(sink, CLUSTER_PART, chain, expected=expected, kind="cluster")


@dataclass(frozen=True)
class Stored:
    """What was stored of a cluster's files: each part, and where it belongs in the data directory."""

    parts: tuple[tuple[Part, str], ...]

    def manifest(self, sink: Sink) -> bytes:
        """Every file by its place, with its size, as the repository itself lists them. Raises RepositoryError."""
        with ThreadPoolExecutor(max_workers=min(MOST_LISTINGS, len(self.parts))) as pool:
            listed = pool.map(lambda part: _sizes(sink, *part), self.parts)
            sizes: dict[str, int] = {}
            for found in listed:
                sizes |= found
        return json.dumps({"files": sizes}, sort_keys=True).encode()


def _sizes(sink: Sink, part: Part, prefix: str) -> dict[str, int]:
    return {f"{prefix}{entry.path}": entry.size for entry in sink.entries(part) if entry.kind == "file"}


def store_files(sink: Sink, files: Files, clock: Clock) -> Stored:
    """Stores the data directory and its tablespaces. Raises SourceError, RepositoryError."""
    directory, folder = files.directory, files.folder
    places = [_Place(CLUSTER_PART, directory.resolve(), labels=(f"{CHAIN}{files.chain}",))]
    for oid, location in sorted(files.tablespaces.items()):
        loose = tuple(pattern for pattern in LEFT_OUT if not pattern.startswith("/"))
        places.append(
            _Place(f"{TABLESPACE_PART}{oid}", location.resolve(), f"pg_tblspc/{oid}/", only=(folder,), left_out=loose)
        )
    steady = SteadyClock(clock)
    # the start of the backup has just written it
    steady.refuse_another(directory / "global" / "pg_control")
    stored: list[tuple[Part, str]] = []
    for place in places:
        stored += [(part, place.prefix) for part in sink.save_together(*_trees(sink, place))]
    steady.refuse_set_back()
    return Stored(tuple(stored))


def _trees(sink: Sink, place: _Place) -> tuple[Tree, ...]:
    """The folder itself, and what of it cannot be trusted to be unchanged though it looks so."""
    before = sink.previous(place.part)
    again = doubtful(place.root, place.left_out, before)
    if before is None or again is None:
        return (Tree(place.part, place.root, place.left_out, only=place.only, live=True, labels=place.labels),)
    apart = tuple(f"/{name}" for name in again)
    left_out = (*place.left_out, *apart)
    whole = Tree(place.part, place.root, left_out, only=place.only, live=True, parent=before.id, labels=place.labels)
    return (whole, Tree(f"{REREAD_PART}{place.part}", place.root, only=again, live=True)) if again else (whole,)
