"""``drmgr restore --table``: one table beside the live one, and what has changed since."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.restoring.restored import done_json, show_done
from drmgr.cli.restoring.sure import assured
from drmgr.cli.restoring.told import incident_of
from drmgr.errors import UsageError
from drmgr.model import Json, OccasionKind

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Job
    from drmgr.flows.restore import RestoreDone
    from drmgr.flows.tableplan import Beside, TablePlan, TablesPlanned
    from drmgr.flows.tables import TableDone, TablesDone


@dataclass(frozen=True)
class Asked:
    """What stands on the command line; see ``drmgr restore --help``."""

    system: str
    tables: tuple[str, ...]
    sources: list[str] | None
    to: str
    point: str
    at: str
    keep: str
    copy: str
    sure: tuple[str, str]
    """The reason, and the system's name once more."""
    occasion: OccasionKind | None
    times: tuple[str, str, str, str]
    """T0 to T3 as people tell them."""


def lay(context: typer.Context, asked: Asked, *, dry_run: bool, alone: bool) -> None:
    """Lays the tables, or tells what would be done. Exits with 4 when a check failed."""
    from drmgr.flows import tableplan, tables

    if not alone:
        raise UsageError(
            "--table goes with --source, --point, --at, --from-copy, --keep, --occasion and the times of the fault only",
            hint="leave the other options out; a table that is laid is in nobody's way",
        )
    if asked.to != "scratch" and not dry_run:
        asked = replace(asked, sure=assured(context, asked.system, asked.sure))
    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        plan = _plan(opened, asked)
        bench, wired = opened.bench(progress), opened.system(asked.system, cold=True, copy=asked.copy)
        if dry_run:
            found = tableplan.plan_tables(bench, wired, plan)
            answers.answer(_plan_json(asked, found), lambda console: _show_plan(console, asked, found, opened))
            return
        done = tables.lay_tables(bench, wired, plan)
        unkept = keep_safe(opened)
    answers.answer(_json(asked, done), lambda console: _show(console, done))
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    if done.record.verdict != "passed":
        raise typer.Exit(4)


def _plan(opened: "Site", asked: Asked) -> "TablePlan":
    from drmgr.config.values import parse_duration
    from drmgr.flows.tableplan import TablePlan

    sources = asked.sources or []
    if len(sources) > 1:
        raise UsageError("--table takes one source", hint="lay the tables of each source with a command of its own")
    try:
        keep = parse_duration(asked.keep)
    except ValueError as error:
        raise UsageError(f"--keep {asked.keep}: {error}") from error
    job, source = opened.loaded.job(asked.system), "".join(sources)
    beside = None if asked.to == "scratch" else _beside(opened, asked, job, source)
    told, occasion = incident_of(opened, asked.times, asked.occasion, production=beside is not None)
    return TablePlan(
        tuple(dict.fromkeys(asked.tables)),
        source,
        beside,
        keep,
        asked.point,
        asked.at,
        asked.sure[0],
        occasion,
        told,
    )


def _beside(opened: "Site", asked: Asked, job: "Job", wanted: str) -> "Beside":
    from drmgr.cli.wiring.engines import make_tables
    from drmgr.flows.tableplan import Beside
    from drmgr.scratch.guard import refuse_outside_tables

    kind, _, name = asked.to.partition(":")
    if asked.to != "original" and not (kind == "connection" and name):
        raise UsageError(
            f"--to {asked.to}: a table is not laid there", hint="use --to original, connection:NAME or scratch"
        )
    databases = [each for each in job.sources if each.kind == "database" and wanted in ("", each.name)]
    if len(databases) != 1:
        names = ", ".join(each.name for each in databases) or "none"
        raise UsageError(f"--table takes one source with tables, not {names}", hint="choose it with --source NAME")
    own = databases[0].connection
    # where another account may do more in the same database, it does this too
    allowed, name = name or own, name or opened.config.restore.through.get(own, own)
    if name not in opened.config.connections:
        raise UsageError(f"there is no connection {name}", hint="connections are named in the site file")
    engine = opened.engine(name, databases[0], job)
    laying = make_tables(engine)
    if laying is None:
        raise UsageError(
            f"single tables cannot be laid into {name}: it is {engine.name}",
            hint="restore the source with --to scratch, and look there",
        )
    return Beside(asked.to, engine, laying, lambda: refuse_outside_tables(allowed, opened.config.restore.allow.tables))


def _plan_json(asked: Asked, found: "TablesPlanned") -> Json:
    from drmgr.system.clock import rfc3339

    return {
        "system": asked.system,
        "status": "planned",
        "target": asked.to,
        "point": found.point.id,
        "at": asked.at or rfc3339(found.point.consistent_at),
        "reads": found.bytes,
        "sources": [found.source],
        "tables": [{"table": name, "laid_as": found.names.get(name)} for name in asked.tables],
    }


def _show_plan(console: "Console", asked: Asked, found: "TablesPlanned", opened: "Site") -> None:
    from drmgr.cli.output import human_bytes, human_time, pairs

    names = {f"table {name}": found.names.get(name) or "stays on scratch, or has no live one" for name in asked.tables}
    pairs(
        console,
        {
            "recovery point": found.point.id,
            "as of": asked.at or f"{human_time(found.point.consistent_at, opened.zone)} ({opened.zone})",
            "source": found.source,
            "to read": human_bytes(found.bytes),
            "target": asked.to,
            **names,
            "nothing written": "this was a dry run",
        },
    )


def _as_restore(done: "TablesDone") -> "RestoreDone":
    from drmgr.flows.restore import RestoreDone

    return RestoreDone(done.record, done.outcome, done.evidence, done.instances)


def _json(asked: Asked, done: "TablesDone") -> Json:
    answer = done_json(asked.system, _as_restore(done), asked.at)
    return {**answer, "tables": [_table_json(each) for each in done.tables]}


def _table_json(done: "TableDone") -> Json:
    change, statements, laid = done.change, done.statements, done.laid
    return {
        "asked": done.asked,
        "table": done.table.label,
        "laid_as": laid.shape.label if laid else None,
        "rows": done.proof.rows,
        "left_out": list(laid.left_out) if laid else [],
        "changes": None
        if change is None
        else {
            "before": change.before,
            "now": change.now,
            "added": change.added,
            "removed": change.removed,
            "changed": change.changed,
            "by": list(done.table.key) if change.changed is not None else None,
            "columns_added": list(change.columns_added),
            "columns_removed": list(change.columns_removed),
        },
        "sql": None
        if statements is None
        else {**statements.look, "drop": statements.drop, "place": list(statements.place)},
    }


def _show(console: "Console", done: "TablesDone") -> None:
    from drmgr.cli.output import pairs

    show_done(console, _as_restore(done))
    for each in done.tables:
        console.print()
        pairs(console, dict(_lines(each)))
        if each.statements is not None:
            said = {f"rows {what} since": statement for what, statement in each.statements.look.items()}
            if each.statements.place:
                said["to put it in the place of the one that is gone"] = "\n".join(each.statements.place)
            for what, statement in {**said, "to drop it again": each.statements.drop}.items():
                console.print(f"-- {what}\n{statement}", markup=False, soft_wrap=True, highlight=False)


def _lines(done: "TableDone") -> Iterator[tuple[str, str]]:
    change, laid = done.change, done.laid
    yield "table", done.table.label
    yield "laid as", laid.shape.label if laid else "not laid: it stays on scratch"
    yield "rows then", str(done.proof.rows)
    if change is None:
        yield "since then", "there is no live table of that name"
    else:
        counts = [f"{change.added} added", f"{change.removed} removed"]
        counts.append("no primary key" if change.changed is None else f"{change.changed} changed")
        yield "since then", ", ".join(counts)
        yield "rows now", str(change.now)
        for what, names in (("columns added", change.columns_added), ("columns gone", change.columns_removed)):
            if names:
                yield what, ", ".join(names)
    if laid and laid.left_out:
        yield "left out", "; ".join(laid.left_out)
