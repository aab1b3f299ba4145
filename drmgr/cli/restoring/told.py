"""What people tell of an incident on the command line, read in the site's zone."""

from datetime import date, datetime
from typing import TYPE_CHECKING

import typer

from drmgr.errors import UsageError
from drmgr.model import NOTHING_TOLD, OccasionKind, Told

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from drmgr.cli.wiring.wire import Site

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


def incident_of(
    opened: "Site", times: tuple[str, str, str, str], given: OccasionKind | None, *, production: bool
) -> tuple[Told, OccasionKind]:
    """T0 to T3 as they are told, and what the record calls it.

    Raises UsageError for what is no time, for times out of order or to come, and for those of a fault that was none.
    """
    from drmgr.flows.incident import refuse_disorder

    told = told_of(*times, opened.zone)
    kind = given or (OccasionKind.INCIDENT if production or told != NOTHING_TOLD else OccasionKind.SIMULATION)
    if told != NOTHING_TOLD and kind is not OccasionKind.INCIDENT:
        raise UsageError(
            f"the times of a fault belong to an incident, and this is a {kind}",
            hint="use --occasion incident, or leave them out",
        )
    refuse_disorder(told, opened.clock.now())
    return told, kind


def day_of(option: str, text: str) -> date:
    """Raises UsageError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: not a day", hint="for instance 2026-01-31") from error
