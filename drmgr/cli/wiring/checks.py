"""From a job's declaration to the checks that a drill runs, in the order of their levels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, tzinfo
from functools import partial
from typing import cast

from drmgr.checks import across
from drmgr.checks.dicom import DicomCheck
from drmgr.checks.facts import FactsCheck
from drmgr.checks.filetree import FilesCheck, IndexedFiles
from drmgr.checks.order import OrderCheck
from drmgr.checks.rows import RowsCheck
from drmgr.checks.sql import Expectation, FreshnessCheck, SqlCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.cli.wiring.canaries import canary_checks, path_of
from drmgr.config import models
from drmgr.config.check_models import Side
from drmgr.config.models import text_of
from drmgr.config.questions import wrong_question
from drmgr.flows.bench import WiredSystem
from drmgr.interfaces import AcrossCheck, Check, Engine, SqlEngine
from drmgr.model import CheckResult, Restored


def checks_of(job: models.Job, engines: Mapping[str, Engine], hash_key: Callable[[], bytes]) -> tuple[Check, ...]:
    """For every source: opens, facts, integrity; then what the job declares. ``hash_key`` is asked when it is needed.

    Facts come before integrity, for the engine's own tools may add an extension while they work.
    """
    technical: list[Check] = []
    sampled = {source.name for source in job.sources if source.facts == "sampled"}
    technical += [OpensCheck(name, engine) for name, engine in engines.items()]
    technical += [FactsCheck(name, engine, sampled=name in sampled) for name, engine in engines.items()]
    technical += [IntegrityCheck(name, engine) for name, engine in engines.items()]
    technical += [OrderCheck(index, files) for index, files in belonging(job)]
    made = (declared(check, engines, hash_key, job.canary) for check in job.checks)
    return (*technical, *made, *canary_checks(job, engines, hash_key))


def belonging(job: models.Job) -> tuple[tuple[str, str], ...]:
    """Each index with the files that its rows name: as the sources say, and as the checks of files against an index do."""
    said = [(index, source.name) for source in job.sources if source.kind == "files" for index in source.follows]
    checked = [
        (check.index.source, check.files)
        for check in job.checks
        if isinstance(check, models.DicomCheck | models.FilesCheck)
    ]
    return tuple(dict.fromkeys([*said, *checked]))


def newest_columns(job: models.Job, source: models.DatabaseSource) -> tuple[tuple[str, str], ...]:
    """Columns whose newest value belongs to the source's facts: those named, and those of its freshness checks."""
    named = [(newest.table, newest.column) for newest in source.newest]
    judged = [check for check in job.checks if isinstance(check, models.FreshnessCheck) and check.source == source.name]
    return tuple(dict.fromkeys([*named, *((check.table, check.column) for check in judged)]))


class _Changed:
    """A check of whose result something more is told."""

    def __init__(self, check: Check, change: Callable[[CheckResult], CheckResult]) -> None:
        self.name = check.name
        self.level = check.level
        self._check = check
        self._change = change

    def run(self, restored: Restored) -> CheckResult:
        return self._change(self._check.run(restored))


def _asks_nothing(why: str, result: CheckResult) -> CheckResult:
    """Any data would pass: it is made and told, and its level does not rest on it."""
    return replace(result, carries=False, message="; ".join(filter(None, (result.message, why))))


def declared(
    check: models.Check,
    engines: Mapping[str, Engine],
    hash_key: Callable[[], bytes],
    canaries: Sequence[models.Canary] = (),
) -> Check:
    """The check that a job declares, bound to the engines of the job's sources. No index names the ``canaries``."""
    made = _made(check, engines, hash_key, canaries)
    for way, text in wrong_question(check.model_dump(mode="json")):
        made = _Changed(made, partial(_asks_nothing, f"{'.'.join(way)} {text}"))
    # which item of the grading, or which clause, it answers to
    item = check.item
    return made if item is None else _Changed(made, lambda result: replace(result, item=item))


def _made(
    check: models.Check,
    engines: Mapping[str, Engine],
    hash_key: Callable[[], bytes],
    canaries: Sequence[models.Canary],
) -> Check:
    name, title = check.name, text_of(check.title)
    if isinstance(check, models.DicomCheck | models.FilesCheck):
        index, engine = check.index.source, _sql(engines, check.index.source)
        of = IndexedFiles(
            index=index,
            sql=check.index.sql,
            files=check.files,
            arriving=check.arriving or timedelta(0),
            beside=frozenset(path_of(canary) for canary in canaries if canary.source == check.files),
        )
        if isinstance(check, models.FilesCheck):
            return FilesCheck(name=name, title=title, engine=engine, of=of)
        return DicomCheck(name=name, title=title, engine=engine, of=of, pixels=check.pixels)
    source, engine = check.source, _sql(engines, check.source)
    if isinstance(check, models.SqlCheck):
        expect = Expectation(check.expect.rule, check.expect.value)
        return SqlCheck(name=name, title=title, source=source, engine=engine, sql=check.sql, expect=expect)
    if isinstance(check, models.RowsCheck):
        return RowsCheck(
            name=name,
            title=title,
            source=source,
            engine=engine,
            sql=check.sql,
            baseline=check.baseline,
            hash_key=hash_key,
        )
    return FreshnessCheck(
        name=name,
        title=title,
        source=source,
        engine=engine,
        table=check.table,
        column=check.column,
        within=check.within,
    )


def _sql(engines: Mapping[str, Engine], source: str) -> SqlEngine:
    """The configuration has proven that this source is a database."""
    return cast("SqlEngine", engines[source])


def across_check(
    check: models.AcrossCheck, systems: Mapping[str, WiredSystem], hash_key: Callable[[], bytes], zone: tzinfo
) -> AcrossCheck:
    """The check that a drill declares, bound to the engines of its systems. Raises UsageError for an unknown source."""

    def side(declared: Side) -> across.Side:
        engine = systems[declared.system].source(declared.source).engine
        return across.Side(declared.system, declared.source, cast("SqlEngine", engine), declared.sql)

    return across.AcrossCheck(
        name=check.name,
        title=text_of(check.title),
        left=side(check.left),
        right=side(check.right),
        skew=check.skew,
        lag=check.lag,
        baseline=check.baseline,
        hash_key=hash_key,
        zone=zone,
        item=check.item or "",
    )
