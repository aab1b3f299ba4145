"""From a job's canaries to the checks of its drills, and to what its backups look at in the living sources."""

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from drmgr.checks.canary import CanaryCheck, FilePerch, LiveCanary, Perch, RowPerch, token_of
from drmgr.config.models import Canary, Job, Suspicion
from drmgr.config.suspicion import DEFAULT_FILE, DEFAULT_TABLE
from drmgr.flows.suspicion import Sensitivity
from drmgr.interfaces import Engine, SqlEngine
from drmgr.model import Instance

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site

Key = Callable[[], bytes]
"""Gives the site's key, from which the canaries are derived that have no hash of their own."""


def canary_checks(job: Job, engines: Mapping[str, Engine], key: Key) -> tuple[CanaryCheck, ...]:
    """The checks of a drill."""
    return tuple(
        CanaryCheck(canary.source, _perch(job, canary, engines), _expected(job, canary, key)) for canary in job.canary
    )


def live_canaries(opened: "Site", job: Job, engines: Mapping[str, Engine], key: Key) -> tuple[LiveCanary, ...]:
    """The same in the living sources, for a backup."""
    return tuple(
        LiveCanary(
            canary.source,
            _perch(job, canary, engines),
            _expected(job, canary, key),
            _living(opened, job, canary, engines),
        )
        for canary in job.canary
    )


def sensitivity_of(declared: Suspicion) -> Sensitivity:
    """The rules by which a new point is judged."""
    return Sensitivity(**declared.model_dump())


def is_tree(job: Job, canary: Canary) -> bool:
    """Whether it is a file; else it is a row."""
    return any(source.name == canary.source and source.kind == "files" for source in job.sources)


def path_of(canary: Canary) -> str:
    """A file's place, relative to the root of its tree."""
    return canary.path or DEFAULT_FILE


def table_of(canary: Canary) -> str:
    """A row's table."""
    return canary.table or DEFAULT_TABLE


def _living(opened: "Site", job: Job, canary: Canary, engines: Mapping[str, Engine]) -> Callable[[], Instance]:
    if not is_tree(job, canary):
        return engines[canary.source].target
    source = next(each for each in job.sources if each.name == canary.source)
    where = opened.config.connections[source.connection]
    assert where.engine == "files"
    root = opened.place(where.root)
    return lambda: Instance("files", path=root)


def _expected(job: Job, canary: Canary, key: Key) -> Callable[[], str]:
    given = canary.sha256
    if given is not None:
        return lambda: given
    return lambda: hashlib.sha256(token_of(key(), job.system, canary.source).encode()).hexdigest()


def _perch(job: Job, canary: Canary, engines: Mapping[str, Engine]) -> Perch:
    if is_tree(job, canary):
        return FilePerch(path_of(canary))
    engine = cast("SqlEngine", engines[canary.source])
    return RowPerch(engine, table_of(canary), canary.key_column, canary.key, canary.column)
