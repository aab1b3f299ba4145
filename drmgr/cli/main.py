"""The entry point: global options, signals as exceptions, and the only catch-all."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drmgr import __version__
from drmgr.cli import audit, backup, canary, demo, drill, evidence, incident, points, ship, site
from drmgr.cli.keyring import keys
from drmgr.cli.output import Output
from drmgr.cli.recovery import recover
from drmgr.cli.reports import report
from drmgr.cli.repositories import repo
from drmgr.cli.restoring import restore
from drmgr.cli.scheduling import schedule
from drmgr.cli.watching import notify, status
from drmgr.errors import DrmgrError, Interrupted, UsageError
from drmgr.system.stopping import signals_as_exceptions

if TYPE_CHECKING:
    from typer.exceptions import TyperException

app = typer.Typer(
    name="drmgr",
    help="Backup, disaster recovery and restore drills for a hospital's systems.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: docs/exit-codes.md. --config and --json may stand anywhere on the line.",
)
GROUPS = (
    site,
    backup,
    points,
    ship,
    restore,
    drill,
    canary,
    schedule,
    status,
    notify,
    evidence,
    incident,
    report,
    repo,
    keys,
    recover,
    audit,
    demo,
)
"""In the order of the help."""

for group in GROUPS:
    group.register(app)

GLOBAL_FLAGS = ("--json",)
GLOBAL_OPTIONS = ("--config",)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drmgr {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    config: Annotated[Path, typer.Option(envvar="DRMGR_CONFIG", help="The site file.")] = Path("drmgr.yaml"),
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which drmgr this is.")
    ] = False,
) -> None:
    context.obj = {"config": config, "output": Output(wants_json=json)}


def run() -> None:
    """The ``drmgr`` command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code; no exception leaves it."""
    from typer.exceptions import TyperException

    output = Output(wants_json="--json" in arguments)
    signals_as_exceptions()
    try:
        code = _command(output).main(_hoisted(arguments), prog_name="drmgr", standalone_mode=False)
    except TyperException as wrong:
        return _misused(output, wrong)
    except DrmgrError as error:
        output.error(error)
        return error.exit_code
    except (Interrupted, typer.Abort) as stop:
        _stopped(output, str(stop) or "no answer was given", stop.left if isinstance(stop, Interrupted) else "")
        return Interrupted.exit_code
    except BrokenPipeError:
        # the reader of our output has gone; Python would complain about it once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - nothing may leave as a bare traceback without a word to the person
        return _bug(output, error)
    return code if isinstance(code, int) else 0


def _command(output: Output) -> Any:
    command = typer.main.get_command(app)
    if output.wants_json:
        # a group named without its command would print its help where the JSON document belongs
        for group in getattr(command, "commands", {}).values():
            group.no_args_is_help = False
    return command


def _misused(output: Output, wrong: "TyperException") -> int:
    # a group named without its command has shown its help by now; typer keeps that exception's class private
    if output.wants_json or type(wrong).__name__ != "NoArgsIsHelpError":
        message = wrong.format_message().rstrip(".")
        output.error(UsageError(message[:1].lower() + message[1:] or "a command is missing"))
    return UsageError.exit_code


def _stopped(output: Output, by: str, left: str) -> None:
    stopped = {"code": Interrupted.code, "message": f"stopped ({by})", "hint": left, "exit_code": Interrupted.exit_code}
    output.note(f"drmgr: {stopped['message']}")
    if left:
        output.note(f"HINT: {left}")
    if output.wants_json:
        output.answer({"error": stopped}, lambda _console: None)


def _bug(output: Output, error: Exception) -> int:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
    output.error(
        DrmgrError(f"a bug in drmgr: {type(error).__name__}: {error}", hint="please report it with the lines above")
    )
    return DrmgrError.exit_code


def _hoisted(arguments: list[str]) -> list[str]:
    """The global options moved to the front, so that they may stand anywhere before a ``--``."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in GLOBAL_FLAGS or word.startswith(tuple(f"{name}=" for name in GLOBAL_OPTIONS)):
            front.append(word)
        elif word in GLOBAL_OPTIONS:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return [*front, *rest]


if __name__ == "__main__":
    run()
