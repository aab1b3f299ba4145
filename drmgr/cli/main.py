"""The entry point: global options, signals as exceptions, and the only catch-all."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from drmgr import __version__
from drmgr.cli import backup, demo, drill, evidence, keys, repo, report, restore, ship, site
from drmgr.cli.output import Output
from drmgr.errors import DrmgrError, Interrupted, UsageError

app = typer.Typer(
    name="drmgr",
    help="Backup, disaster recovery and restore drills for a hospital's systems.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: docs/exit-codes.md. --config and --json may stand anywhere on the line.",
)
for group in (site, backup, ship, restore, drill, evidence, report, repo, keys, demo):
    group.register(app)

GLOBAL_FLAGS = ("--json",)
GLOBAL_OPTIONS = ("--config",)


@app.callback()
def _globals(
    context: typer.Context,
    config: Annotated[Path, typer.Option(envvar="DRMGR_CONFIG", help="The site file.")] = Path("drmgr.yaml"),
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Say which drmgr this is.")] = False,
) -> None:
    context.obj = {"config": config, "output": Output(wants_json=json)}
    if version:
        typer.echo(f"drmgr {__version__}")
        raise typer.Exit


def run() -> None:
    """The ``drmgr`` command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code; no exception leaves it."""
    from click.exceptions import Abort, ClickException, NoArgsIsHelpError

    output = Output(wants_json="--json" in arguments)
    _signals_as_exceptions()
    try:
        code = typer.main.get_command(app).main(_hoisted(arguments), prog_name="drmgr", standalone_mode=False)
    except NoArgsIsHelpError as asked:
        asked.show()
        return UsageError.exit_code
    except ClickException as wrong:
        output.error(UsageError(wrong.format_message()))
        return UsageError.exit_code
    except DrmgrError as error:
        output.error(error)
        return error.exit_code
    except (Interrupted, Abort) as stop:
        output.note(f"drmgr: stopped ({stop})")
        return Interrupted.exit_code
    except BrokenPipeError:
        # the reader of our output has gone; Python would complain about it once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - nothing may leave as a bare traceback without a word to the person
        return _bug(output, error)
    return code if isinstance(code, int) else 0


def _bug(output: Output, error: Exception) -> int:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
    output.error(
        DrmgrError(f"a bug in drmgr: {type(error).__name__}: {error}", hint="please report it with the lines above")
    )
    return DrmgrError.exit_code


def _signals_as_exceptions() -> None:
    """SIGINT, SIGTERM and SIGHUP become one exception; a second one does not disturb the cleaning up of the first."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)


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
