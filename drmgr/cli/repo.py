"""``drmgr repo``: care of the repositories."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli import repo_check, repo_copy, repo_expire
from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.cli.policy import policy
from drmgr.cli.protect import protect
from drmgr.cli.rewind import rewind
from drmgr.cli.safekeeping import renew_kit
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Care of the repositories.", no_args_is_help=True)
    group.command("init")(init)
    group.command("check")(repo_check.check)
    group.command("protect")(protect)
    group.command("copy")(repo_copy.copy)
    group.command("expire")(repo_expire.expire)
    group.command("rewind")(rewind)
    group.command("policy")(policy)
    app.add_typer(group, name="repo")


Systems = Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")]


def init(context: typer.Context, systems: Systems = None) -> None:
    """Make the bucket, versioned and locked as the site file asks, and a repository per system. Safe to repeat."""
    from drmgr.repository.lifecycle import ensure_rule

    answers = output(context)
    rows: list[dict[str, Json]] = []
    with site(context) as opened, audited(opened, "repo.init", system=" ".join(systems or [])) as said:
        if opened.bucket is not None:
            made = opened.bucket.ensure()
            ensure_rule(opened.bucket)
            rows.append({"place": f"bucket {opened.bucket.settings.name}", "state": "made" if made else "there"})
        for name in opened.systems(systems or [], everything=not systems):
            opened.keystore.ensure_repository_password(name)
            repository = opened.repository(name)
            new = repository.init()
            if new:
                opened.catalog.forget_points(name)
            rows.append({"place": repository.location, "system": name, "state": "made" if new else "there"})
        said["made"] = [row["place"] for row in rows if row["state"] == "made"]
        unkept = renew_kit(opened)

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        table(console, ["place", "state"], [[row["place"], row["state"]] for row in rows])

    answers.answer({"repositories": rows}, show)
    if unkept is not None:
        answers.note(f"drmgr: the repositories are there, but: {unkept.message}")
        raise typer.Exit(unkept.exit_code)
