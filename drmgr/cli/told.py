"""What people tell of an incident on the command line, read in the site's zone."""

from datetime import date, datetime
from typing import TYPE_CHECKING

import typer

from drmgr.errors import UsageError
from drmgr.model import Told

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FAULT = typer.Option("--fault-at", metavar="TIME", help="T0: when the fault was, in the site's zone.")
NOTICED = typer.Option("--noticed-at", metavar="TIME", help="T1: when it was noticed.")
ACCEPTED = typer.Option("--accepted-at", metavar="TIME", help="T2: when somebody took it on.")
DECIDED = typer.Option("--decided-at", metavar="TIME", help="T3: when the restore was decided on.")


def told_of(fault: str, noticed: str, accepted: str, decided: str, zone: "ZoneInfo") -> Told:
    """What is empty stays unknown. Raises UsageError for what is no time."""
    given = (("--fault-at", fault), ("--noticed-at", noticed), ("--accepted-at", accepted), ("--decided-at", decided))
    return Told(*(_instant(option, text, zone) for option, text in given))


def _instant(option: str, text: str, zone: "ZoneInfo") -> datetime | None:
    if not text.strip():
        return None
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{option} {text}: not a time", hint="for instance 2026-01-05 14:03:22") from error
    if len(text.strip()) <= len("2026-01-05"):
        # a day is no instant, and midnight would be invented
        raise UsageError(f"{option} {text}: a day without a time", hint="for instance 2026-01-05 14:03:22")
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def day_of(option: str, text: str) -> date:
    """Raises UsageError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: not a day", hint="for instance 2026-01-31") from error
