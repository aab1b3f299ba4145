"""``drmgr notify``: alarms, and a message that tries whether they arrive."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import ConfigError, NotifyError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.watch import WatchDone
    from drmgr.notify.sender import AppriseNotifier


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Alarms to the people named under notify in the site file.", no_args_is_help=True)
    group.command("check")(check)
    group.command("test")(test)
    app.add_typer(group, name="notify")


def check(context: typer.Context) -> None:
    """Look at all systems and tell what is new: each problem once, and once when it is over.

    Exit 0: nobody is owed any news, whether something is wrong or not (see drmgr status). 25: somebody was not reached;
    the next check tries again.
    """
    from drmgr.cli.watching.health import look
    from drmgr.flows.watch import watch

    answers = output(context)
    with site(context) as opened, opened.locks.hold("notify"):
        opened.schedule_book.beat("notify")
        problems = look(opened, []).all_problems()
        # that somebody could not be told is told to the others
        done = watch(opened.alarm_book, problems, notifiers(opened), opened.clock)
    answers.answer(_json(done), lambda console: _show(console, done))
    if done.failed:
        error = NotifyError("; ".join(done.failed.values()))
        if not answers.wants_json:
            answers.error(error)
        raise typer.Exit(error.exit_code)


def test(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Recipients; default: all.")] = None,
) -> None:
    """Send everybody a message that says it is a test. Exit 0: each arrived. 25: not all did."""
    answers = output(context)
    with site(context) as opened:
        everybody = {each.name: each for each in notifiers(opened)}
        if not everybody:
            raise ConfigError("nobody is named to tell", hint="name them under notify.to in the site file")
        unknown = [name for name in names or [] if name not in everybody]
        if unknown:
            raise UsageError(f"there is no recipient {unknown[0]}; known: {', '.join(sorted(everybody))}")
        results: list[tuple[str, str]] = []
        for name in names or everybody:
            try:
                everybody[name].test(opened.clock.now())
            except NotifyError as error:
                results.append((name, error.message))
            else:
                results.append((name, ""))
    document = {"recipients": [{"name": name, "ok": not error, "error": error or None} for name, error in results]}

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        table(console, ["", "recipient", ""], [["fail" if error else "ok", name, error] for name, error in results])

    answers.answer(document, show)
    if any(error for _, error in results):
        raise typer.Exit(NotifyError.exit_code)


def notifiers(opened: "Site") -> "list[AppriseNotifier]":
    """Everybody who is told, as the site file names them."""
    from drmgr.config.models import text_of
    from drmgr.notify.sender import AppriseNotifier

    titles = {name: text_of(job.title) for name, job in opened.loaded.jobs.items()}
    return [
        AppriseNotifier(
            each.name,
            lambda url=each.url: opened.secrets.get(url),  # type: ignore[misc]
            site=text_of(opened.config.site.name),
            titles=titles,
            zone=opened.zone,
            language=opened.config.notify.language,
        )
        for each in opened.config.notify.to
    ]


def _json(done: "WatchDone") -> Json:
    return {
        "raised": [{"system": each.system, "code": each.code, "subject": each.subject} for each in done.raised],
        "recovered": [{"system": each.system, "code": each.code, "subject": each.subject} for each in done.recovered],
        "told": done.told,
        "failed": dict(done.failed),
    }


def _show(console: "Console", done: "WatchDone") -> None:
    for word, alarms in (("new", done.raised), ("over", done.recovered)):
        for each in alarms:
            subject = f" {each.subject}" if each.subject else ""
            console.print(f"{word}: {each.system or 'site'}: {each.code}{subject}", markup=False, soft_wrap=True)
