"""``drmgr recover``: from nothing but the store and the key shares to a drmgr that works."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output
from drmgr.errors import ConfigError, DrmgrError, IncompleteError, KeystoreError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.recovery.recovering import Recovered
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.points import Found


def register(app: typer.Typer) -> None:
    app.command("recover")(recover)


def recover(
    context: typer.Context,
    repository: Annotated[
        str,
        typer.Option(metavar="URL", help="The store: s3://BUCKET/PREFIX, s3:http://HOST/BUCKET/PREFIX, or a folder."),
    ],
    shares: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Shares, one a line.")] = None,
    into: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the site.")] = Path("drmgr-recovered"),
    endpoint: Annotated[str, typer.Option(help="The S3 service, for s3://BUCKET.")] = "",
    region: Annotated[str, typer.Option(help="Its region.")] = "us-east-1",
    access_key: Annotated[str, typer.Option(metavar="REF", help="env:NAME or file:PATH.")] = "env:AWS_ACCESS_KEY_ID",
    secret_key: Annotated[
        str, typer.Option(metavar="REF", help="env:NAME or file:PATH.")
    ] = "env:AWS_SECRET_ACCESS_KEY",  # noqa: S107 - a reference
    passphrase: Annotated[
        str, typer.Option(metavar="REF", help="The new passphrase; by default where the site file says.")
    ] = "",
    check: Annotated[str, typer.Option(help="The check code on the pages.")] = "",
) -> None:
    """Bring a lost drmgr host back from the bucket and any K key shares.

    Shares come from files, from standard input, or are asked for. The newest recovery kit that they open gives back site
    file, jobs, drills and keys; evidence and audit log follow; the catalog is made anew from the seals. Secrets that the
    kit does not hold (passwords of databases) are named. What to do next is printed in the order of tiers.

    Exit 0: all there. 3: the site is back, but something is missing; it is named. 24: the shares do not open a kit.
    """
    from drmgr.cli.keyring.keyshares import combined_shares
    from drmgr.cli.recovery.recovering import Store, open_store, recover_site

    answers = output(context)
    began = time.monotonic()
    with open_store(Store(repository, endpoint, region, access_key, secret_key)) as store:
        combined = combined_shares(shares or [], check, answers)
        recovered = recover_site(store, combined.master, into, passphrase, lambda: _asked(answers))
    with opened_site(recovered, combined.master) as site:
        copy, elsewhere = _which_copy(site, store.location)
        systems = list(_look(site, copy))
        missing = list(_missing_secrets(site))
        _record(site, recovered)
        zone = site.zone
    document = _document(recovered, systems, copy, (*elsewhere, *recovered.problems), missing)
    document["seconds"] = round(time.monotonic() - began, 3)
    answers.answer(document, lambda console: _show(console, document, zone))
    if document["problems"]:
        if not answers.wants_json:
            answers.error(
                IncompleteError("the site is back, but see what is named above", hint="mend it, then: drmgr doctor")
            )
        raise typer.Exit(IncompleteError.exit_code)


def _asked(answers: "Output") -> str:
    if answers.wants_json:
        raise UsageError("the new passphrase is lacking", hint="name it with --passphrase env:NAME or file:PATH")
    return str(typer.prompt("new passphrase of the keystore", hide_input=True, confirmation_prompt=True, err=True))


def opened_site(recovered: "Recovered", master: bytes) -> "Json":
    """The site that was just written, its keystore open already."""
    from contextlib import contextmanager

    from drmgr.cli.wiring.wire import open_site

    @contextmanager
    def opened() -> Iterator["Site"]:
        with open_site(recovered.site_file) as site:
            site.keystore.open_with(master)
            yield site

    return opened()


def _which_copy(site: "Site", location: str) -> tuple[str, tuple[str, ...]]:
    """The copy that was recovered from, empty for the site's own store; and what is wrong when it is neither."""
    for name, place in site.stores.items():
        if place.location("").rstrip("/") == location.rstrip("/"):
            return name, ()
    return "", (f"the site file names neither store nor copy at {location}: change store in {site.loaded.path}",)


def _look(site: "Site", copy: str) -> Iterator[dict[str, Json]]:
    """What each repository offers, by tier; the catalog remembers it from here on."""
    from drmgr.model import PointStatus
    from drmgr.system.clock import rfc3339

    for name in site.systems([], everything=True):
        job = site.loaded.job(name)
        row: dict[str, Json] = {
            "system": name,
            "tier": job.tier,
            "rto": job.objectives.rto.total_seconds(),
            "points": 0,
            "latest": None,
            "consistent_at": None,
            "problems": [],
        }
        try:
            found = _found(site, name, copy)
        except DrmgrError as error:
            row["problems"] = [error.message]
            yield row
            continue
        complete = [sealed.point for sealed in found.points if sealed.point.status is PointStatus.COMPLETE]
        row["points"], row["problems"] = len(complete), list(found.problems)
        if complete:
            row["latest"], row["consistent_at"] = complete[-1].id, rfc3339(complete[-1].consistent_at)
        else:
            row["problems"].append("it has no complete recovery point")
        yield row


def _found(site: "Site", name: str, copy: str) -> "Found":
    from drmgr.flows.points import find

    if copy:
        return find(site.cared(name, copy), site.care_book.memory(copy), name)
    return find(site.repository(name), site.catalog, name)


def _missing_secrets(site: "Site") -> Iterator[str]:
    """References of the site file that lead to nothing on this host."""
    from pydantic import BaseModel

    from drmgr.config.values import SecretRef

    def references(value: object) -> Iterator[SecretRef]:
        if isinstance(value, SecretRef):
            yield value
        elif isinstance(value, dict):
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from references(item)
        elif isinstance(value, BaseModel):
            yield from references(vars(value))

    for reference in dict.fromkeys(references(site.config)):
        try:
            site.secrets.get(reference)
        except (ConfigError, KeystoreError) as error:
            yield f"{reference}: {error.message}"


def _record(site: "Site", recovered: "Recovered") -> None:
    from drmgr.model import AuditResult

    detail: dict[str, Json] = {
        "kit": recovered.kit_name,
        "evidence": recovered.evidence,
        "audit_bytes": recovered.audit_bytes,
    }
    site.audit.record("recover", "", AuditResult.OK, why="a new host", detail=detail)


def _document(
    recovered: "Recovered", systems: list[dict[str, Json]], copy: str, problems: tuple[str, ...], missing: list[str]
) -> dict[str, Json]:
    from drmgr.system.clock import rfc3339

    drmgr, of_copy = f"drmgr --config {recovered.site_file}", f" --from-copy {copy}" if copy else ""
    return {
        "directory": str(recovered.site_file.parent),
        "copy": copy or None,
        "kit": {"name": recovered.kit_name, "site": recovered.site, "made_at": rfc3339(recovered.made_at)},
        "tools": dict(recovered.tools),
        "systems": systems,
        "evidence": recovered.evidence,
        "audit_bytes": recovered.audit_bytes,
        "missing_secrets": missing,
        "problems": [*problems, *(f"{row['system']}: {text}" for row in systems for text in row["problems"])],
        "next": [
            f"{drmgr} doctor",
            *(f"{drmgr} restore {row['system']} --to scratch{of_copy}" for row in systems if row["points"]),
        ],
    }


def _show(console: "Console", document: Json, zone: Json) -> None:
    from datetime import datetime

    from drmgr.cli.output import human_time, table

    kit = document["kit"]

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say(
        f"{kit['site']} is back in {document['directory']}, as of {human_time(datetime.fromisoformat(kit['made_at']), zone)}"
    )
    say(f"{document['evidence']} evidence documents, {document['audit_bytes']} bytes of audit log")
    rows = [
        [
            str(row["tier"]),
            row["system"],
            str(row["points"]),
            row["latest"] or "-",
            human_time(datetime.fromisoformat(row["consistent_at"]), zone) if row["consistent_at"] else "-",
        ]
        for row in document["systems"]
    ]
    table(console, ["tier", "system", "points", "latest", "consistent at"], rows)
    for heading, lines in (
        ("secrets to put in their places:", document["missing_secrets"]),
        ("to look at:", document["problems"]),
        ("next:", document["next"]),
    ):
        if lines:
            say(heading)
            for line in lines:
                say(f"  {line}")
