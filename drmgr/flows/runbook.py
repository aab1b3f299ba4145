"""What a system's runbook says: which commands there are for it, and which of them belong to which kind of incident. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from drmgr.model import System

ALL_KINDS = (
    "rows-changed-by-mistake",
    "database-corrupted",
    "server-lost",
    "storage-lost",
    "ransomware",
    "chain-broken",
    "site-lost",
    "keys-lost",
    "drmgr-host-lost",
)

TIME = "2026-01-31T08:55:00"
"""Stands where a person writes a time; the runbook says so."""


@dataclass(frozen=True)
class Surroundings:
    """What of the site bears on one system's recovery. Nothing here is secret.

    ``config`` is the site file, ``repository`` the base of the store in the notation of ``recover``; ``logged``: an instant
    between recovery points can be reached; ``bucket``: old versions of objects can be brought back; ``trees``: a source is a
    file tree; ``tables``: the sources beside whose live tables one may be laid; ``passphrase``: the reference by which the site
    file finds the keystore's.
    """

    system: System
    config: str
    sources: tuple[str, ...]
    repository: str
    folders: tuple[str, ...] = ()
    connections: tuple[tuple[str, str], ...] = ()
    """(source, connection) that the site allows to restore into."""
    original: bool = False
    copies: tuple[str, ...] = ()
    logged: bool = False
    bucket: bool = False
    trees: bool = False
    tables: tuple[str, ...] = ()
    passphrase: str = "file:secrets/passphrase"


def commands(place: Surroundings) -> dict[str, str]:
    """Every command line of the runbook, by what it is for; each runs as it stands once the times in it are changed."""
    name = place.system.id
    restore, sure = f"drmgr restore {name}", f'--confirm {name} --reason "INC-000"'
    found = {
        "config": f"export DRMGR_CONFIG={place.config}",
        "status": f"drmgr status {name}",
        "points": f"drmgr points {name}",
        "dry_run": f"{restore} --to scratch --dry-run",
        "scratch": f"{restore} --to scratch --keep 4h --occasion incident --fault-at {TIME}",
        "older": f"{restore} --to scratch --keep 4h --point 01ABCDEF",
    }
    if len(place.sources) > 1:
        found["source"] = f"{restore} --to scratch --keep 4h --source {place.sources[0]}"
    if place.logged:
        found["at"] = f"{restore} --to scratch --keep 4h --at {TIME}"
    found |= _one_table(place, restore, sure)
    for folder in place.folders[:1]:
        found["folder"] = f"{restore} --to folder:{folder}/{name}-inc --occasion incident"
    for folder in place.folders[:1] if place.trees else ():
        found["newest"] = f"{restore} --to folder:{folder}/{name}-newest --newer-than 1y --background"
    for source, connection in place.connections:
        key = "connection" if "connection" not in found else f"connection_{connection}"
        found[key] = f"{restore} --to connection:{connection} --source {source} {sure} --fault-at {TIME}"
    if place.original:
        found["original_dry"] = f"{restore} --to original --dry-run"
        found["original"] = f"{restore} --to original --end-sessions {sure} --fault-at {TIME}"
        found["undo"] = f"{restore} --undo RUN {sure}"
    for copy in place.copies:
        key = "copy" if "copy" not in found else f"copy_{copy}"
        found[key] = f"{restore} --to scratch --keep 4h --from-copy {copy} --occasion incident"
    found["repo_check"] = f"drmgr repo check {name} --read-data"
    if place.copies:
        found["repair"] = f"drmgr repo check {name} --repair-from {place.copies[0]}"
    if place.bucket:
        found["rewind_dry"] = f"drmgr repo rewind {name} --to {TIME} --dry-run"
        found["rewind"] = f"drmgr repo rewind {name} --to {TIME} {sure}"
    found |= {
        "combine": f"drmgr keys combine --new-passphrase {place.passphrase}",
        "keys": "drmgr keys status --verify",
        "recover": f"drmgr recover --repository {place.repository} --into /srv/drmgr-recovered",
        "doctor": "drmgr doctor",
        "note": 'drmgr incident note RUN --cause "..." --action "..." --owner "..." --due 2026-02-28',
        "report": "drmgr report incident RUN",
        "verify": "drmgr evidence verify --all",
    }
    return found


def _one_table(place: Surroundings, restore: str, sure: str) -> dict[str, str]:
    if not place.tables:
        return {}
    which = f" --source {place.tables[0]}" if len(place.sources) > 1 else ""
    at = f" --at {TIME}" if place.logged else ""
    return {"table": f"{restore}{which} --table TABLE{at} --to original {sure} --fault-at {TIME}"}


_BACK = ("original_dry", "original", "connection", "folder")
_STEPS: Mapping[str, tuple[str, ...]] = {
    "rows-changed-by-mistake": ("points", "at", "older", "table"),
    "database-corrupted": ("points", "scratch", *_BACK),
    "server-lost": ("points", "scratch", *_BACK),
    "storage-lost": ("points", "repo_check", "scratch", *_BACK),
    "ransomware": ("rewind_dry", "rewind", "repo_check", "points", "scratch", *_BACK),
    "chain-broken": ("repo_check", "repair", "points", "older", "copy"),
    "site-lost": ("recover", "doctor", "copy", *_BACK),
    "keys-lost": ("combine", "keys", "scratch"),
    "drmgr-host-lost": ("recover", "doctor", "points", "scratch"),
}
_NEEDED = {"rows-changed-by-mistake": "at", "ransomware": "rewind", "site-lost": "copy", "chain-broken": "copy"}
"""Without this one, that kind of incident is not fully covered, and the runbook has to say so."""
_INTO_USE = ("original", "connection")
"""Each of these ends with data that people work with; a folder of dumps does not."""


def decisions(found: Mapping[str, str]) -> list[dict[str, object]]:
    """For each kind of incident the commands in their order; ``lacking`` is what this site has not set up for it.

    ``back``: it allows no way to put the system's data into use again.
    """
    return [{"kind": kind, "steps": _steps(kind, found), "lacking": _lacking(kind, found)} for kind in ALL_KINDS]


def _steps(kind: str, found: Mapping[str, str]) -> list[str]:
    # dumps in a folder would look like an end of the way, and bring nothing into use
    passed_over = {"folder"} if _is_stuck(kind, found) and "newest" not in found else set()
    return [step for step in _STEPS[kind] if step in found and step not in passed_over]


def _lacking(kind: str, found: Mapping[str, str]) -> str:
    needed = _NEEDED.get(kind, "")
    if needed and needed not in found:
        return needed
    return "back" if _is_stuck(kind, found) else ""


def _is_stuck(kind: str, found: Mapping[str, str]) -> bool:
    return set(_BACK) <= set(_STEPS[kind]) and not any(way in found for way in _INTO_USE)
