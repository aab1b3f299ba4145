"""``drmgr status`` and ``drmgr metrics``."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import DrmgrError, ObjectiveMissedError, PreflightError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.watching.health import SiteHealth
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.status import Health
    from drmgr.trouble import Problem

NAGIOS_OK, NAGIOS_CRITICAL, NAGIOS_UNKNOWN = 0, 2, 3
LONGEST_NAGIOS = 200
"""Characters of the line that monitoring shows; further systems are counted."""


def register(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("metrics")(metrics)


def status(
    context: typer.Context,
    system: Annotated[str | None, typer.Argument(metavar="[SYSTEM]", help="One system; default: all.")] = None,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="One line and the exit codes of a monitoring plug-in: 0, 2, 3.")
    ] = False,
) -> None:
    """How each system stands against what was promised; the worst first.

    The repositories and the signed evidence are asked, not what runs said of themselves. What cannot be looked at is
    trouble. Exit 0: all is well. 4: something is not.
    """
    if nagios:
        _answer_nagios(context, system)
    answers = output(context)
    with site(context) as opened:
        found, zone, name = _look(opened, system), opened.zone, opened.config.site.name.zh
    answers.answer(_status_json(found), lambda console: _show(console, found, zone, name))
    if not found.ok:
        raise typer.Exit(ObjectiveMissedError.exit_code)


def _look(opened: "Site", system: str | None) -> "SiteHealth":
    from drmgr.cli.watching.health import look

    return look(opened, [opened.loaded.job(system).system] if system else [])


# --- JSON -------------------------------------------------------------------------------------------------------------


def _status_json(found: "SiteHealth") -> Json:
    from drmgr.system.clock import rfc3339

    return {
        "ok": found.ok,
        "at": rfc3339(found.at),
        "systems": [_health_json(each) for each in found.systems],
        "problems": [_problem_json(each) for each in found.problems],
    }


def _health_json(each: "Health") -> Json:
    from drmgr.cli.restoring.background import rest_json
    from drmgr.system.clock import rfc3339

    objectives, proof = each.system.objectives, each.proof
    rto = proof.rto if proof else None
    return {
        "system": each.system.id,
        "ok": each.ok,
        "tier": each.system.tier,
        "last_point": each.point.id if each.point else None,
        "last_point_at": rfc3339(each.point.consistent_at) if each.point else None,
        "newest_data_at": rfc3339(each.newest) if each.newest else None,
        "age": None if each.age is None else round(each.age, 3),
        "rpo": objectives.rpo.total_seconds(),
        "rpo_met": each.rpo_met,
        "rto": objectives.rto.total_seconds(),
        "last_drill": None
        if proof is None
        else {"drill": proof.drill, "at": None if proof.broken else rfc3339(proof.at), "verdict": proof.verdict},
        "last_rto": rto.measured if rto else None,
        "rto_met": rto.met if rto else None,
        "points": each.points,
        "restores": [rest_json(rest, at_work=at_work) for rest, at_work in each.rests],
        "problems": [_problem_json(problem) for problem in each.problems],
    }


def _problem_json(problem: "Problem") -> Json:
    return {"code": problem.code, "message": problem.message, "subject": problem.subject}


# --- for people -------------------------------------------------------------------------------------------------------


def _show(console: "Console", found: "SiteHealth", zone: Json, site_name: str) -> None:
    from drmgr.cli.output import human_time, table
    from drmgr.cli.restoring.background import show_unfinished

    bad = sum(not each.ok for each in found.systems)
    total = len(found.systems)
    own = f", {len(found.problems)} of the site itself" if found.problems else ""
    standing = "all is well" if found.ok else f"TROUBLE: {bad} of {total} systems{own}"
    console.print(f"{site_name}  {human_time(found.at, zone)} ({zone})  {standing}", markup=False, soft_wrap=True)
    console.print()
    rows = [_row(each, found) for each in found.systems]
    table(console, ["", "system", "", "data age", "RPO", "last drill", "took", "RTO"], rows)
    rests = [rest for each in found.systems for rest in each.rests]
    if rests or not found.ok:
        console.print()
    show_unfinished(console, rests, zone)
    for problem in found.all_problems():
        console.print(f"{problem.system or 'site'}: {problem.message}", style="red", markup=False)


def _row(each: "Health", found: "SiteHealth") -> list[str]:
    from drmgr.cli.output import human_seconds

    proof, objectives = each.proof, each.system.objectives
    age = "none" if each.reachable else "unknown"
    if each.age is not None:
        age = human_seconds(each.age) if each.age >= 0 else "?"
    drill = "never"
    if proof is not None:
        drill = proof.verdict if proof.broken else f"{proof.verdict} {_days((found.at - proof.at).total_seconds())}"
    rto = human_seconds(proof.rto.measured) if proof and proof.rto else "-"
    state = "ok" if each.ok else "fail"
    promised = human_seconds(objectives.rpo.total_seconds()), human_seconds(objectives.rto.total_seconds())
    return [state, each.system.id, _cut(each.system.title.zh, 12), age, promised[0], drill, rto, promised[1]]


def _days(seconds: float) -> str:
    return f"{int(seconds // 86400)} d" if seconds >= 86400 else "today"  # noqa: PLR2004


def _cut(text: str, cells: int) -> str:
    """The text, cut to that many columns of a terminal: a Chinese character takes two."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


# --- monitoring -------------------------------------------------------------------------------------------------------


def _answer_nagios(context: typer.Context, system: str | None) -> None:
    if output(context).wants_json:
        raise UsageError("--nagios has a form of its own, choose it or --json")
    try:
        with site(context) as opened:
            found = _look(opened, system)
    except DrmgrError as error:
        print(f"DRMGR UNKNOWN - {error.message}".replace("|", "/"))  # noqa: T201 - the form that monitoring reads
        raise typer.Exit(NAGIOS_UNKNOWN) from error
    print(_nagios_line(found))  # noqa: T201
    raise typer.Exit(NAGIOS_OK if found.ok else NAGIOS_CRITICAL)


def _nagios_line(found: "SiteHealth") -> str:
    figures = " ".join(
        f"{each.system.id}_age={each.age:.0f}s;;{each.system.objectives.rpo.total_seconds():.0f};0"
        for each in sorted(found.systems, key=lambda each: each.system.id)
        if each.age is not None
    )
    if found.ok:
        return f"DRMGR OK - {len(found.systems)} systems as promised | {figures}"
    told = [f"{each.system or 'site'} {each.code}" for each in found.all_problems()]
    text = ", ".join(dict.fromkeys(told))
    if len(text) > LONGEST_NAGIOS:
        text = f"{text[:LONGEST_NAGIOS].rsplit(',', 1)[0]} and more"
    return f"DRMGR CRITICAL - {text or 'nothing is declared'} | {figures}"


def metrics(
    context: typer.Context,
    textfile: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write here, for a collector of text files; else to the terminal."),
    ] = None,
) -> None:
    """Figures for monitoring, as OpenMetrics text. Systems that cannot be looked at show as such and do not fail it."""
    from drmgr.cli.watching.health import look
    from drmgr.cli.watching.openmetrics import exposition
    from drmgr.system.files import write_atomically

    answers = output(context)
    if textfile is None and answers.wants_json:
        raise UsageError("metrics are OpenMetrics text; for JSON there is: drmgr status --json")
    with site(context) as opened, ExitStack() as held:
        if textfile is not None:
            # one that waits for its store must not be joined by another every five minutes
            held.enter_context(opened.locks.hold("metrics"))
            opened.schedule_book.beat("metrics")
        text = exposition(look(opened, []), opened.catalog, len(opened.alarm_book.open_alarms()))
    if textfile is None:
        sys.stdout.write(text)
        return
    try:
        # read by the collector's account
        write_atomically(textfile.absolute(), text.encode(), mode=0o644)
    except OSError as error:
        raise PreflightError(
            f"the metrics cannot be written to {textfile}: {error.strerror}", hint="choose another place"
        ) from error
    answers.answer({"textfile": str(textfile.absolute())}, lambda _console: None)
