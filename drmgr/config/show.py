"""What ``drmgr config show`` and ``drmgr config schema`` print."""

from pydantic import BaseModel

from drmgr.config.load import LoadedSite
from drmgr.config.models import Drill, Job, SiteFile
from drmgr.config.values import format_duration
from drmgr.model import Json

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def show(loaded: LoadedSite, system: str | None = None) -> dict[str, Json]:
    """The effective values: defaults filled in, paths absolute, secrets as references.

    With a system, only its job, the connections of its sources and the drills that play it. Raises UsageError for an
    unknown system.
    """
    jobs = loaded.jobs if system is None else {system: loaded.job(system)}
    drills = {name: drill for name, drill in loaded.drills.items() if system is None or system in drill.systems}
    context = {"base": loaded.base}
    site = loaded.site.model_dump(mode="json", context=context)
    if system is not None:
        used = {source.connection for source in jobs[system].sources}
        site["connections"] = {name: value for name, value in site["connections"].items() if name in used}
    return {
        "file": str(loaded.path),
        "site": site,
        "jobs": {name: {"file": str(loaded.files[name]), **_job(job)} for name, job in jobs.items()},
        "drills": {
            name: {"file": str(loaded.drill_files[name]), **drill.model_dump(mode="json")}
            for name, drill in drills.items()
        },
    }


def schema() -> dict[str, Json]:
    """JSON Schemas (draft 2020-12) of the three kinds of file: ``site``, ``job`` and ``drill``."""
    models: dict[str, type[BaseModel]] = {"site": SiteFile, "job": Job, "drill": Drill}
    return {name: {"$schema": _DIALECT, **model.model_json_schema()} for name, model in models.items()}


def _job(job: Job) -> dict[str, Json]:
    shown = job.model_dump(mode="json")
    for check, dumped in zip(job.checks, shown["checks"], strict=True):
        if check.kind == "freshness" and check.within is None:
            dumped["within"] = format_duration(job.objectives.rpo)
        if check.kind == "sql":
            # the other three are not expectations of null
            dumped["expect"] = {check.expect.rule: dumped["expect"][check.expect.rule]}
    return shown
