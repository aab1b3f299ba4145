"""Whether a person is sure: to touch production, the system's name once more and a reason; asked where somebody can be."""

import sys
from collections.abc import Callable

import typer

from drmgr.cli.context import output
from drmgr.errors import NotAllowedError

Prompt = Callable[[str], str]
"""Shows a text and gives what the person typed. Raises typer.Abort."""


def typed(text: str) -> str:
    """What a person types."""
    return str(typer.prompt(text, default="", show_default=False))


def askable(context: typer.Context) -> bool:
    """Whether there is a person to be asked: at a terminal, and not for one JSON document."""
    return not output(context).wants_json and sys.stdin.isatty() and sys.stdout.isatty()


def confirmed(prompt: Prompt, system: str, reason: str, confirm: str) -> tuple[str, str]:
    """The reason and the system's name; what is missing is asked. Raises NotAllowedError for another name."""
    if not confirm:
        confirm = prompt(f"This touches production. Type the system's name to go on ({system})").strip()
    if confirm != system:
        raise NotAllowedError(f"that was not {system}; nothing was done", hint="call drmgr restore again")
    while not reason.strip():
        reason = prompt("Why? It goes into the record").strip()
    return reason, confirm


def assured(context: typer.Context, system: str, sure: tuple[str, str]) -> tuple[str, str]:
    """``sure``, the reason and the confirmation; what is missing is asked at a terminal. Raises NotAllowedError."""
    reason, confirm = sure
    if askable(context) and not (confirm and reason.strip()):
        reason, confirm = confirmed(typed, system, reason, confirm)
    insist(system, reason, confirm)
    return reason, confirm


def insist(system: str, reason: str, confirm: str) -> None:
    """Raises NotAllowedError unless the system is named once more, and a reason given."""
    if confirm != system:
        raise NotAllowedError(
            f"to touch production, confirm the system: --confirm {system}", hint="add it to the command"
        )
    if not reason.strip():
        raise NotAllowedError("to touch production, say why", hint="add --reason TEXT; it goes into the record")
