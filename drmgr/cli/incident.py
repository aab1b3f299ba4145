"""``drmgr incident note``: what became known of an incident after its restore was sealed."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.restoring.told import ACCEPTED, DECIDED, FAULT, NOTICED, day_of, told_of
from drmgr.errors import EvidenceError, UsageError
from drmgr.model import About, CorrectiveAction, Json, RunKind, RunStatus, SwapPhase, Text, Timeline, Told

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.evidence.render import Afterwards
    from drmgr.evidence.store import Document
    from drmgr.flows.incident import Known

_NUMBER_OF_A_PERSON = re.compile(r"(?<!\d)\d[\d -]{9,}[\dXx](?!\d)")
"""An identity card's or a telephone's: longer than a count, shorter than nothing else that people write down."""

LONGEST = 1000


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What people know of an incident, kept beside its sealed restore.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("note")(note)
    app.add_typer(group, name="incident")


def note(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The restore: its run, or its evidence's id or number.")],
    fault_at: Annotated[str, FAULT] = "",
    noticed_at: Annotated[str, NOTICED] = "",
    accepted_at: Annotated[str, ACCEPTED] = "",
    decided_at: Annotated[str, DECIDED] = "",
    cause: Annotated[str, typer.Option(help="Why it happened.")] = "",
    said: Annotated[str, typer.Option(help="What else people say of it; no patient's name or number.")] = "",
    action: Annotated[list[str] | None, typer.Option(help="What will be done; may be given more than once.")] = None,
    owner: Annotated[list[str] | None, typer.Option(help="Who does it; once for each --action.")] = None,
    due: Annotated[list[str] | None, typer.Option(metavar="DATE", help="By when; once for each --action.")] = None,
) -> None:
    """Add what became known later, signed, to the evidence chain. The restore's own document stays as it is."""
    from drmgr.flows.incident import Addition
    from drmgr.flows.incident import note as add

    answers = output(context)
    for text in (cause, said, *(action or ()), *(owner or ())):
        _refuse_numbers(text)
    actions = _actions(action or [], owner or [], due or [])
    with site(context) as opened, answers.progress() as progress:
        told = told_of(fault_at, noticed_at, accepted_at, decided_at, opened.zone)
        document, notes = incident(opened, run)
        entry = add(
            opened.bench(progress), opened.evidence, known(document, notes), Addition(told, cause, said, actions)
        )
        unkept = keep_safe(opened)
    answers.answer(
        {"run": entry.run, "about": run, "evidence": entry.path, "number": entry.sequence},
        lambda console: console.print(entry.path, soft_wrap=True, markup=False),
    )
    if unkept is not None:
        answers.note(f"drmgr: the note is sealed here, but: {unkept.message}")


def _refuse_numbers(text: str) -> None:
    if len(text) > LONGEST:
        raise UsageError(f"a text of {len(text)} characters is too long", hint=f"at most {LONGEST}")
    if _NUMBER_OF_A_PERSON.search(text):
        raise UsageError(
            "a text holds what looks like a telephone or identity card number; evidence holds none",
            hint="say it without the number",
        )


def _actions(texts: list[str], owners: list[str], days: list[str]) -> tuple[CorrectiveAction, ...]:
    if not len(texts) == len(owners) == len(days):
        raise UsageError(
            f"{len(texts)} --action, {len(owners)} --owner and {len(days)} --due",
            hint="each action has an owner and a day",
        )
    return tuple(
        CorrectiveAction(text, owner, day_of("--due", day))
        for text, owner, day in zip(texts, owners, days, strict=True)
    )


def incident(opened: "Site", wanted: str) -> "tuple[Document, list[Document]]":
    """The document of a real incident's restore and the notes about it, each verified.

    Raises UsageError for another kind of document, EvidenceError for one that does not hold.
    """
    from drmgr.evidence.notes import incident_document
    from drmgr.evidence.store import find

    document = incident_document(find(opened.evidence_directory, wanted))
    return document, verified_notes(opened, document)


def verified_notes(opened: "Site", document: "Document") -> "list[Document]":
    """The notes about that document. Raises EvidenceError when it or one of them does not hold."""
    from drmgr.evidence.notes import notes_about
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    key = evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE)
    notes = notes_about(opened.evidence_directory, document)
    for each in (document, *notes):
        verdict = verify_path(each.path, key)
        if not verdict.ok:
            raise EvidenceError(f"what it is about does not hold: {verdict.reason}", hint="drmgr evidence verify --all")
    return notes


def afterwards(opened: "Site", document: "Document") -> "Afterwards | None":
    """Whether a restore in place was undone after its document was sealed, as this host knows it.

    Raises EvidenceError for a book of restores that cannot be read: what it hides may be the undoing.
    """
    from drmgr.evidence.render import Afterwards

    sealed, system = document.predicate["environment"].get("swap"), document.predicate["metrics"][0]["system"]
    noted = [each for each in opened.swap_book.all(system) if sealed is not None and each.run == sealed["run"]]
    gone = (SwapPhase.UNDOING, SwapPhase.UNDONE, SwapPhase.DROPPED)
    if not noted or noted[0].phase not in gone or sealed["phase"] == noted[0].phase:
        return None
    swap = noted[0]
    if swap.phase is SwapPhase.UNDOING:
        return Afterwards(swap.phase, None)
    # a book from before it kept the time, and what was given up before it was in use
    runs = opened.catalog.runs(system, RunKind.RESTORE)
    ended = [run.finished_at for run in runs if run.detail.get("undo") == swap.run and run.status is RunStatus.OK]
    return Afterwards(swap.phase, swap.undone_at or (ended[0] if ended else None))


def known(document: "Document", notes: "list[Document]") -> "Known":
    """What the sealed documents say of the incident."""
    from drmgr.flows.incident import Known

    predicate = document.predicate
    header, metrics = predicate["header"], predicate["metrics"][0]
    point = predicate["backup_set"][0]["point"]
    line = Timeline(*(_time(metrics[f"t{number}"]) for number in range(7)))
    begun = _time(metrics.get("begun") or header["started_at"])
    back = _time(metrics.get("brought_back") or (point and point["consistent_at"]))
    about = About(
        evidence=header["id"],
        number=header["number"],
        sequence=header["sequence"],
        sha256=document.sha256,
        run=header["run"],
        name=header["name"],
        title=Text(**header["title"]),
        system=metrics["system"],
        verdict=predicate["verdict"],
    )
    return Known(
        about,
        Timeline(line.t0, line.t1, line.t2, line.t3, line.t4, line.t5, line.t6, begun, back),
        metrics["rto"]["target"],
        metrics["rpo"]["target"],
        tuple(_told(each.predicate["told"]) for each in notes),
    )


def _told(told: Json) -> Told:
    return Told(*(_time(told[f"t{number}"]) for number in range(4)))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
