"""Whether ``drmgr restore`` has to ask, and the plan it shows before it does what was answered."""

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from drmgr.cli.context import site
from drmgr.cli.restoring.ask import Interview, Wanted, agree, fault_of
from drmgr.cli.restoring.sure import Prompt, askable, typed
from drmgr.cli.restoring.told import told_of
from drmgr.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site


def answered(context: typer.Context, given: Wanted, *, dry_run: bool, incident: bool) -> Wanted:
    """What a person at a terminal answers and agrees to; what was given, where nothing is missing.

    ``incident``: there may have been a fault, and when it was is asked.

    Raises UsageError where nobody can be asked, NotAllowedError when the plan is not agreed to.
    """
    if given.whole and (dry_run or given.sure or not askable(context)):
        return given
    if not askable(context):
        missing = "the target" if given.system else "the system"
        raise UsageError(
            f"{missing} is missing",
            hint="drmgr restore SYSTEM --to scratch, folder:PATH, connection:NAME or original; on a terminal it asks",
        )
    from rich.console import Console

    with site(context) as opened:
        return interview(
            opened, Console(highlight=False, soft_wrap=False), typed, given, dry_run=dry_run, incident=incident
        )


def interview(
    opened: "Site", console: "Console", prompt: Prompt, given: Wanted, *, dry_run: bool, incident: bool = True
) -> Wanted:
    """Asks, shows the plan, and has it agreed to; a dry run needs no agreement."""
    if given.system:
        opened.loaded.job(given.system)
    wanted = given if given.whole else Interview(opened, console, prompt).ask(given)
    if dry_run:
        return wanted
    from drmgr.cli.restoring.forecast import forecast, show_forecast
    from drmgr.cli.restoring.restoretarget import target
    from drmgr.flows.restoreplan import RestorePlan

    where = target(opened, wanted.system, wanted.to, wanted.sources, "2h")
    plan = RestorePlan(wanted.point, where, wanted.sources, at=wanted.at)
    bench = opened.bench(lambda _label: lambda _share, _word: None)
    told = forecast(opened, bench, opened.system(wanted.system, cold=True, copy=wanted.from_copy), plan)
    console.print()
    show_forecast(console, opened, told)
    console.print()
    agreed = agree(prompt, wanted.system, wanted, touched=told.touched, users=told.users)
    if not (told.touched and incident):
        return agreed
    return replace(agreed, fault_at=fault_of(prompt, given.fault_at, lambda text: _time_of_fault(opened, text)))


def _time_of_fault(opened: "Site", text: str) -> None:
    """Raises UsageError for what is no time, or one to come."""
    from drmgr.flows.incident import refuse_disorder

    refuse_disorder(told_of(text, "", "", "", opened.zone), opened.clock.now())
