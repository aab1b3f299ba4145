"""Whether ``drmgr restore`` has to ask, and the plan it shows before it does what was answered."""

import sys
from typing import TYPE_CHECKING

import typer

from drmgr.cli.ask import Interview, Prompt, Wanted, agree
from drmgr.cli.context import output, site
from drmgr.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wire import Site


def answered(context: typer.Context, given: Wanted, *, dry_run: bool) -> Wanted:
    """What a person at a terminal answers and agrees to.

    Raises UsageError where nobody can be asked, NotAllowedError when the plan is not agreed to.
    """
    if output(context).wants_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        missing = "the target" if given.system else "the system"
        raise UsageError(
            f"{missing} is missing",
            hint="drmgr restore SYSTEM --to scratch, folder:PATH, connection:NAME or original; on a terminal it asks",
        )
    from rich.console import Console

    with site(context) as opened:
        return interview(opened, Console(highlight=False, soft_wrap=False), typed, given, dry_run=dry_run)


def interview(opened: "Site", console: "Console", prompt: Prompt, given: Wanted, *, dry_run: bool) -> Wanted:
    """Asks, shows the plan, and has it agreed to; a dry run needs no agreement."""
    if given.system:
        opened.loaded.job(given.system)
    wanted = Interview(opened, console, prompt).ask(given)
    if dry_run:
        return wanted
    from drmgr.cli.forecast import forecast, show_forecast
    from drmgr.cli.restoretarget import target
    from drmgr.flows.restoreplan import RestorePlan

    where = target(opened, wanted.system, wanted.to, wanted.sources, "2h")
    plan = RestorePlan(wanted.point, where, wanted.sources, at=wanted.at)
    bench = opened.bench(lambda _label: lambda _share, _word: None)
    told = forecast(opened, bench, opened.system(wanted.system, cold=True, copy=wanted.from_copy), plan)
    console.print()
    show_forecast(console, opened, told)
    console.print()
    return agree(prompt, wanted.system, wanted, touched=told.touched, users=told.users)


def typed(text: str) -> str:
    """What a person types."""
    return str(typer.prompt(text, default="", show_default=False))
