"""``drmgr repo``: care of the repositories."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import renew_kit
from drmgr.cli.repositories import repo_check, repo_copy, repo_expire
from drmgr.cli.repositories.policy import policy
from drmgr.cli.repositories.protect import protect
from drmgr.cli.repositories.rewind import rewind
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site


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


def init(
    context: typer.Context,
    systems: Systems = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin again repositories that are lost for good.")] = False,
) -> None:
    """Make the bucket, versioned and locked as the site file asks, and a repository per system. Safe to repeat.

    A repository that is gone though recovery points of it are remembered is not made without --anew: 21, and nothing is
    changed. With it, the points are forgotten.
    """
    from drmgr.cli.repositories.lost import refuse_lost
    from drmgr.repository.lifecycle import ensure_rule

    answers = output(context)
    rows: list[dict[str, Json]] = []
    with site(context) as opened, audited(opened, "repo.init", system=" ".join(systems or [])) as said:
        names = opened.systems(systems or [], everything=not systems)
        for name in () if anew else names:
            refuse_lost(opened, name)
        if opened.bucket is not None:
            made = opened.bucket.ensure()
            ensure_rule(opened.bucket)
            rows.append({"place": f"bucket {opened.bucket.settings.name}", "state": "made" if made else "there"})
        rows += [_make(opened, name, said) for name in names]
        said["made"] = [row["place"] for row in rows if row["state"] == "made"]
        unkept = renew_kit(opened)

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        table(console, ["place", "state"], [[row["place"], row["state"]] for row in rows])

    answers.answer({"repositories": rows}, show)
    if unkept is not None:
        answers.note(f"drmgr: the repositories are there, but: {unkept.message}")
        raise typer.Exit(unkept.exit_code)


def _make(opened: "Site", system: str, said: dict[str, Json]) -> dict[str, Json]:
    """The system's repository, if it is not there; points that are forgotten with the one before it are said to the audit log."""
    from drmgr.cli.repositories.lost import remembered

    opened.keystore.ensure_repository_password(system)
    repository = opened.repository(system)
    new = repository.init()
    if new:
        if count := remembered(opened, system):
            said.setdefault("forgotten", {})[system] = count
        opened.catalog.forget_points(system)
    return {"place": repository.location, "system": system, "state": "made" if new else "there"}
