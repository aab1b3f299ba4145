"""Builds what belongs to file trees: the engine with its hooks and its cache, and the pause of a whole system."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.config import models
from drmgr.config.trees import FilesConnection, FilesSource
from drmgr.config.trees import Hooks as HooksModel
from drmgr.engines.files import FilesEngine, FileSystemSnapshot, TreeSettings
from drmgr.engines.hooks import BY_HAND, Argv, HookedPause, Hooks
from drmgr.system.process import ProcessIdentity, is_alive, this_process

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site


def make_tree(
    site: "Site", connection: str, where: FilesConnection, source: FilesSource, job: models.Job
) -> FilesEngine:
    """The engine of a file tree."""
    snapshot = None
    if where.snapshot is not None:
        made = where.snapshot
        hooks = _hooks(site, f"snapshot-{connection}", made.create, made.remove, made.timeout.total_seconds())
        snapshot = FileSystemSnapshot(hooks, site.place(made.path))
    settings = TreeSettings(
        root=site.place(where.root),
        excludes=source.exclude,
        one_file_system=source.one_file_system,
        facts=source.facts,
        own=_own_folders(site),
        cache=site.state / "facts-cache" / job.system / f"{source.name}.db",
        hooks=None if where.hooks is None else _named(site, f"hooks-{connection}", where.hooks),
        snapshot=snapshot,
    )
    return FilesEngine(settings, site.clock, site.runtime, site.runner)


def make_pause(site: "Site", job: models.Job) -> HookedPause | None:
    """What keeps the system's writers still while its sources are captured; None: nothing does."""
    if job.pause is None:
        return None
    return HookedPause(_named(site, f"pause-{job.pause}", site.config.pauses[job.pause]), site.clock)


def _named(site: "Site", name: str, model: HooksModel) -> Hooks:
    return _hooks(site, name, model.before, model.after, model.timeout.total_seconds())


def _hooks(site: "Site", name: str, begin: tuple[Argv, ...], end: tuple[Argv, ...], seconds: float) -> Hooks:
    us = this_process()
    return Hooks(
        name=name,
        begin=begin,
        end=end,
        seconds=seconds,
        marks=site.state / "hooks",
        owner={"host": us.host, "pid": str(us.pid), "started": us.started},
        alive=lambda mark: _alive(us.host, mark.get("host"), mark.get("pid", ""), mark.get("started", "")),
        folder=site.loaded.base,
    )


def left_hooks(site: "Site") -> Iterator[tuple[str, str, str, str]]:
    """What runs that were killed have begun and not ended, as lines of ``drmgr doctor``."""
    here = this_process().host
    for path in sorted((site.state / "hooks").glob("*.json")):
        try:
            mark = {key: str(value) for key, value in json.loads(path.read_bytes()).items()}
        except (OSError, ValueError, AttributeError):
            mark = {}
        if not _alive(here, mark.get("host"), mark.get("pid", ""), mark.get("started", "")):
            finding = f"left over from an earlier run; begun at {mark.get('at', 'an unknown time')}"
            by_hand = mark.get(BY_HAND, "see the site file")
            yield path.stem, "warn", finding, f"the next backup ends it; at once, by hand: {by_hand}"


def _alive(here: str, host: str | None, pid: str, started: str) -> bool:
    return host == here and pid.isdigit() and is_alive(ProcessIdentity(here, int(pid), started))


def _own_folders(site: "Site") -> dict[str, Path]:
    """What no tree may hold: a backup of the backup grows for ever, and keys stored under themselves open nothing."""
    own = {
        "keys": site.keys_directory,
        "state": site.state,
        "scratch": site.place(site.config.scratch.directory),
    }
    store = site.config.store
    return {**own, "store": site.place(store.path)} if isinstance(store, models.FolderStore) else own
