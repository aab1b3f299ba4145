"""From a job's declaration to the checks that a drill runs, in the order of their levels."""

from collections.abc import Mapping
from typing import cast

from drmgr.checks.dicom import DicomCheck
from drmgr.checks.facts import FactsCheck
from drmgr.checks.sql import Expectation, FreshnessCheck, SqlCheck
from drmgr.checks.technical import IntegrityCheck, OpensCheck
from drmgr.config import models
from drmgr.config.models import text_of
from drmgr.interfaces import Check, Engine, SqlEngine


def checks_of(job: models.Job, engines: Mapping[str, Engine]) -> tuple[Check, ...]:
    """For every source: opens, facts, integrity; then what the job declares.

    Facts come before integrity, for the engine's own tools may add an extension while they work.
    """
    technical: list[Check] = []
    for maker in (OpensCheck, FactsCheck, IntegrityCheck):
        technical += [maker(name, engine) for name, engine in engines.items()]
    return (*technical, *(_declared(check, engines) for check in job.checks))


def newest_columns(job: models.Job, source: models.DatabaseSource) -> tuple[tuple[str, str], ...]:
    """Columns whose newest value belongs to the source's facts: those named, and those of its freshness checks."""
    named = [(newest.table, newest.column) for newest in source.newest]
    judged = [check for check in job.checks if isinstance(check, models.FreshnessCheck) and check.source == source.name]
    return tuple(dict.fromkeys([*named, *((check.table, check.column) for check in judged)]))


def _declared(check: models.Check, engines: Mapping[str, Engine]) -> Check:
    title = text_of(check.title)
    if isinstance(check, models.DicomCheck):
        return DicomCheck(
            name=check.name,
            title=title,
            index=check.index.source,
            engine=_sql(engines, check.index.source),
            sql=check.index.sql,
            files=check.files,
            pixels=check.pixels,
        )
    engine = _sql(engines, check.source)
    if isinstance(check, models.SqlCheck):
        expect = Expectation(check.expect.rule, check.expect.value)
        return SqlCheck(name=check.name, title=title, source=check.source, engine=engine, sql=check.sql, expect=expect)
    return FreshnessCheck(
        name=check.name,
        title=title,
        source=check.source,
        engine=engine,
        table=check.table,
        column=check.column,
        within=check.within,
    )


def _sql(engines: Mapping[str, Engine], source: str) -> SqlEngine:
    """The configuration has proven that this source is a database."""
    return cast("SqlEngine", engines[source])
