"""``drmgr report runbook``: a system's way back on paper, from the configuration and from what was measured."""

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import config_path, output, site
from drmgr.cli.reports.report import Language, sign_report
from drmgr.cli.restoring.measured import command_seconds, ways_back
from drmgr.cli.restoring.ways import Wish, pairs, ways
from drmgr.model import Json
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job
    from drmgr.flows.runbook import Surroundings

NEWEST = 5
"""How many measured ways back the runbook shows."""


def runbook(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="The system.")],
    lang: Annotated[Language, typer.Option(help="zh or en.")] = "zh",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: beside the evidence.")] = None,
) -> None:
    """The system's runbook (恢复手册) as a signed PDF, and its commands as a text to copy from. Print it, keep it apart."""
    from drmgr.evidence.render import render

    answers = output(context)
    with site(context) as opened:
        job = opened.loaded.job(system)
        data = gather(opened, job, config_path(context).absolute())
        folder = out.absolute() if out else opened.evidence_directory / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        pdf = render("runbook", lang, data, folder / f"runbook-{system}-{lang}.pdf", name=f"runbook {system}")
        sign_report(opened, pdf)
        text = folder / f"runbook-{system}-{lang}.txt"
        write_atomically(text, _as_text(data["runbook"]["commands"], lang).encode(), mode=0o644)
    lines = [each["line"] for each in data["runbook"]["commands"]]
    answers.answer(
        {"report": str(pdf), "text": str(text), "commands": lines},
        lambda console: console.print(f"{pdf}\n{text}", soft_wrap=True, markup=False),
    )


def gather(opened: "Site", job: "Job", config: Path) -> Json:
    """Everything that the template reads; no secret is among it."""
    from drmgr.config.models import text_of
    from drmgr.flows.runbook import commands, decisions
    from drmgr.system.clock import rfc3339

    now = opened.clock.now().astimezone(opened.zone)
    found = commands(surroundings(opened, job, config))
    name = text_of(opened.config.site.name)
    header = {
        "number": f"RB-{job.system}-{now:%Y%m%d}",
        "site": {"zh": name.zh, "en": name.en},
        "timezone": str(opened.zone),
        "host": opened.host,
        "finished_at": rfc3339(now.replace(microsecond=0)),
        **{"occasion": "", "scenario": "", "form": ""},
    }
    told = {
        "system": _system_json(job),
        "sources": [_source_json(opened, source) for source in job.sources],
        "commands": [{"key": key, "line": line} for key, line in found.items()],
        "decisions": decisions(found),
        "measured": list(_measured(opened, job.system)),
        "checks": [
            {"name": check.name, "zh": text_of(check.title).zh, "en": text_of(check.title).en} for check in job.checks
        ],
        "order": [_system_json(each) for each in _in_order(opened)],
        "copies": sorted(opened.config.copies),
        "place": opened.location(job.system),
    }
    predicate = {"header": header, "backup_set": [], "environment": {"target": ""}}
    return {"predicate": predicate, "runbook": told}


def _in_order(opened: "Site") -> "list[Job]":
    """All systems as a drill of the whole hospital would bring them back."""
    from drmgr.flows.turns import Candidate, in_order

    names = opened.systems([], everything=True)
    jobs = [opened.loaded.job(name) for name in names]
    turns = in_order([Candidate(job.system, job.tier, frozenset(job.depends_on)) for job in jobs])
    return [opened.loaded.job(each.name) for each in turns]


def surroundings(opened: "Site", job: "Job", config: Path) -> "Surroundings":
    """What of the site bears on the system's recovery."""
    from drmgr.config.models import system_of
    from drmgr.flows.runbook import Surroundings

    allow = opened.config.restore.allow
    engines = {source.name: opened.config.connections[source.connection].engine for source in job.sources}
    wish = Wish(job.system)
    return Surroundings(
        system=system_of(job),
        config=str(config),
        sources=tuple(source.name for source in job.sources),
        repository=opened.location(job.system).removesuffix(f"/{job.system}"),
        folders=tuple(str(opened.place(folder)) for folder in allow.folders),
        connections=tuple(pairs(opened, wish)),
        original="original" in ways(opened, wish).offered,
        copies=tuple(sorted(opened.config.copies)),
        logged=all(opened.has_log(source) for source in job.sources),
        bucket=opened.location(job.system).startswith("s3:"),
        trees="files" in engines.values(),
        tables=tuple(
            source.name
            for source in job.sources
            if source.connection in allow.tables and engines[source.name] != "files"
        ),
        passphrase=str(opened.config.keys.passphrase),
    )


def _system_json(job: "Job") -> Json:
    from drmgr.config.models import text_of

    title = text_of(job.title)
    return {
        "system": job.system,
        "title": {"zh": title.zh, "en": title.en},
        "tier": job.tier,
        "depends_on": list(job.depends_on),
        "rpo": job.objectives.rpo.total_seconds(),
        "rto": job.objectives.rto.total_seconds(),
    }


def _source_json(opened: "Site", source: Json) -> Json:
    where = opened.config.connections[source.connection]
    method = getattr(where, "method", "")
    engine = f"{where.engine}-physical" if method == "physical" else where.engine
    return {
        "name": source.name,
        "engine": engine,
        "connection": source.connection,
        "logged": opened.has_log(source),
    }


def _measured(opened: "Site", system: str) -> Iterator[Json]:
    """The newest drills and restores of the system whose evidence holds."""
    for predicate in islice(ways_back(opened, system), NEWEST):
        header = predicate["header"]
        for verdict, metric in zip(predicate["verdict"]["systems"], predicate["metrics"], strict=True):
            if verdict["system"] == system:
                yield {
                    "at": header["finished_at"],
                    "number": header["number"],
                    "occasion": header["occasion"],
                    "target": predicate["environment"]["target"],
                    "level": verdict["level"],
                    "verdict": verdict["verdict"],
                    # of an incident the time before the command is people's, and no drill has it
                    "rto": command_seconds(metric),
                    "since_fault": metric["rto"]["measured"]
                    if metric.get("t0") not in (None, metric.get("begun"))
                    else None,
                    "counted_from": metric.get("counted_from", "t0"),
                }


def _as_text(lines: list[Json], lang: Language) -> str:
    words = json.loads((files("drmgr.evidence") / "templates" / "runbook.json").read_text(encoding="utf-8"))[lang]
    shown = [f"# {place}. {_said(words, each['key'])}\n{each['line']}\n" for place, each in enumerate(lines)]
    return "\n".join(shown)


def _said(words: Json, key: str) -> str:
    return str(words["commands"].get(key) or words["commands"][key.partition("_")[0]])
