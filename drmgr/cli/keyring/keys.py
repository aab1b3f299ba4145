"""``drmgr keys``: the site's wrapped keys."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.cli.keyring import keyrotation, keyshares

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The site's keys, wrapped under its passphrase.", no_args_is_help=True)
    group.command("init")(init)
    group.command("status")(status)
    group.command("rotate")(keyrotation.rotate)
    group.command("split")(keyshares.split)
    group.command("combine")(keyshares.combine)
    app.add_typer(group, name="keys")


def init(context: typer.Context) -> None:
    """Make the keys that are still lacking: signing keys, and a repository password per system. Never overwrites."""
    answers = output(context)
    with site(context) as opened:
        made = _made(opened)

    def show(console: "Console") -> None:
        console.print("\n".join(f"made  {name}" for name in made) or "all keys were there", markup=False)

    answers.answer({"made": made}, show)


def _made(opened: "Site") -> list[str]:
    from drmgr.keystore.evidence_keys import AUDIT_ENTRY, init_keys
    from drmgr.model import AuditResult

    def make() -> list[str]:
        return init_keys(opened.keystore, sorted(opened.loaded.jobs), opened.config.site.name.en, opened.clock)

    if opened.keystore.exists() and AUDIT_ENTRY in opened.keystore.names():
        with audited(opened, "keys.init") as said:
            said["made"] = made = make()
    else:
        # the key that signs the log is only being made
        made = make()
        opened.audit.record("keys.init", "", AuditResult.OK, detail={"made": made})
    return made


def status(
    context: typer.Context,
    verify: Annotated[bool, typer.Option("--verify", help="Open every key with the passphrase.")] = False,
) -> None:
    """Which keys there are. Needs no passphrase, unless --verify is to open each."""
    answers = output(context)
    with site(context) as opened:
        infos, zone = opened.keystore.status(), opened.zone
        if verify:
            opened.keystore.verify()
    document = [
        {
            "name": info.name,
            "kind": info.kind,
            "created_at": info.created_at.isoformat(),
            "id": info.id,
            "version": info.version,
        }
        for info in infos
    ]

    def show(console: "Console") -> None:
        from drmgr.cli.output import human_time, table

        rows = [[info.name, info.kind, info.id, human_time(info.created_at, zone)] for info in infos]
        table(console, ["key", "kind", "id", "made at"], rows)
        if verify:
            console.print("every key opens")

    answers.answer({"keys": document, "verified": verify}, show)
