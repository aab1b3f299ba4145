"""``drmgr schedule``: what runs when, who starts it, and a loop that does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import config_path, output, site
from drmgr.errors import UsageError
from drmgr.model import Json, RunKind

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Schedules: what runs when, and who starts it.", no_args_is_help=True)
    group.command("show")(show)
    group.command("install")(install)
    group.command("run")(run)
    app.add_typer(group, name="schedule")


def show(
    context: typer.Context,
    count: Annotated[int, typer.Option("--next", min=1, max=50, metavar="N", help="How many times to come.")] = 3,
) -> None:
    """The schedules, how each stands, and its next times."""
    answers = output(context)
    with site(context) as opened:
        document, zone = _document(opened, count), opened.zone
    answers.answer(document, lambda console: _show(console, document, zone))


def _document(opened: "Site", count: int) -> Json:
    from drmgr.cli.output import human_seconds
    from drmgr.cli.scheduling.due import planned, quiet_window
    from drmgr.cli.scheduling.install import Installer, wanted_beats
    from drmgr.flows.due import look, promised_too_much
    from drmgr.system.clock import rfc3339

    now, quiet = opened.clock.now(), quiet_window(opened)
    rows = []
    for each in planned(opened):
        decision = look(each, opened.catalog, opened.schedule_book, quiet, now)
        rows.append(
            {
                "kind": each.kind.value,
                "name": each.name,
                "tier": each.tier,
                "schedule": each.cron.expression,
                "standing": str(decision.standing),
                "why": decision.why,
                "next": [rfc3339(at.astimezone(opened.zone)) for at in each.cron.following(now, count)],
            }
        )
    beats = {name: rfc3339(at) for name, at in sorted(opened.schedule_book.beats().items())}
    without = sorted(set(opened.loaded.jobs) - {row["name"] for row in rows if row["kind"] == RunKind.BACKUP.value})
    warnings = [f"{name} has no schedule for backups" for name in without]
    for name, job in sorted(opened.loaded.jobs.items()):
        gap = promised_too_much([each for each in planned(opened) if name in each.systems], job.objectives.rpo, now)
        if gap is not None:
            pause, rpo = (human_seconds(span.total_seconds()) for span in (gap, job.objectives.rpo))
            warnings.append(f"{name}: {pause} lie between two runs at times, and its RPO is {rpo}")
    return {
        "timezone": opened.config.site.timezone,
        "schedules": rows,
        "installed": Installer(opened).installed() if wanted_beats(opened) else None,
        "looked": beats,
        "warnings": warnings,
    }


def _show(console: "Console", document: Json, zone: Json) -> None:
    from datetime import datetime

    from drmgr.cli.output import human_time, table

    if document["schedules"]:
        rows = [
            [
                row["kind"],
                row["name"],
                row["schedule"],
                row["standing"],
                "\n".join(human_time(datetime.fromisoformat(at), zone)[:16] for at in row["next"]),
            ]
            for row in document["schedules"]
        ]
        table(console, ["what", "name", "schedule", "now", f"next ({zone})"], rows, only="name")
    else:
        console.print("no job and no drill declares a schedule")
    console.print(f"started by: {document['installed'] or 'nobody (drmgr schedule install)'}", soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"WARNING: {warning}", style="yellow", markup=False)


def install(
    context: typer.Context,
    cron: Annotated[
        bool, typer.Option("--cron", help="A file of its own under /etc/cron.d; else your crontab.")
    ] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Hardened services with timers.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take everything of this site away again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the files there, to look at; nothing is started.")
    ] = None,
) -> None:
    """Have cron or systemd start drmgr. Shows what changes; a second time nothing does.

    Cron and systemd only start drmgr every minute. What is due, in which time zone, and what was missed, drmgr decides.
    """
    from drmgr.cli.scheduling.install import Installer

    if cron + systemd + remove != 1:
        raise UsageError("say one of --cron, --systemd and --remove")
    how = None if remove else "cron" if cron else "systemd"
    answers = output(context)
    with site(context) as opened:
        installer = Installer(opened, into)
        if how is not None:
            installer.refuse_without(how)
        changes = installer.plan(how)
        if not dry_run:
            for folder in (opened.state, opened.evidence_directory, opened.place(opened.config.scratch.directory)):
                folder.mkdir(parents=True, exist_ok=True)
            installer.apply(changes)
    document = {
        "changed": bool(changes) and not dry_run,
        "changes": [{"file": change.name, "diff": change.diff} for change in changes],
    }

    def show_changes(console: "Console") -> None:
        for change in changes:
            console.print(change.diff, markup=False, soft_wrap=True)
        done = "nothing was changed: this was a dry run" if dry_run else "done"
        console.print(done if changes else "nothing to change", markup=False)

    answers.answer(document, show_changes)


def run(context: typer.Context) -> None:
    """Start what is due, until stopped: in place of cron or systemd, for instance in a container.

    A run that fails does not end it; SIGTERM does, and lets what is running clean up.
    """
    from drmgr.cli.scheduling.loop import Loop

    Loop(config_path(context).absolute(), output(context).note).run()
