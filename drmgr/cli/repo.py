"""``drmgr repo``: care of the repositories."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli import repo_copy, repo_expire
from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.cli.protect import protect
from drmgr.cli.rewind import rewind
from drmgr.cli.safekeeping import keep_safe
from drmgr.errors import DrmgrError, RepositoryDamagedError
from drmgr.model import AuditResult, Json

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Care of the repositories.", no_args_is_help=True)
    group.command("init")(init)
    group.command("check")(check)
    group.command("protect")(protect)
    group.command("copy")(repo_copy.copy)
    group.command("expire")(repo_expire.expire)
    group.command("rewind")(rewind)
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
        unkept = keep_safe(opened)

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        table(console, ["place", "state"], [[row["place"], row["state"]] for row in rows])

    answers.answer({"repositories": rows}, show)
    if unkept is not None:
        answers.note(f"drmgr: the repositories are there, but: {unkept.message}")
        raise typer.Exit(unkept.exit_code)


def check(
    context: typer.Context,
    systems: Systems = None,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every byte back.")] = False,
    share: Annotated[float, typer.Option(min=0, max=100, help="Percent of the data to read back.")] = 0.0,
) -> None:
    """Look through the repositories: structure always, data as asked.

    Exit 0: all sound. 21: damage found, or a repository could not be read.
    """
    answers = output(context)
    rows: list[dict[str, Json]] = []
    worst: DrmgrError | None = None
    with site(context) as opened:
        names = opened.systems(systems or [], everything=not systems)
        opened.audit.record("repo.check", " ".join(names), AuditResult.STARTED)
        for name in names:
            row, error = _look(opened.repository(name), name, 1.0 if read_data else share / 100)
            rows.append(row)
            worst = worst or error
            code = None if error is None else error.code
            result = AuditResult.OK if error is None else AuditResult.FAILED
            opened.audit.record("repo.check", name, result, error=code, detail={"percent": row["share"] * 100})
    answers.answer({"ok": worst is None, "repositories": rows}, lambda console: _show(console, rows))
    if worst is not None:
        if not answers.wants_json:
            answers.error(worst)
        raise typer.Exit(worst.exit_code)


def _look(repository: Json, name: str, share: float) -> tuple[dict[str, Json], DrmgrError | None]:
    try:
        report = repository.check(share)
    except DrmgrError as error:
        row = {
            "system": name,
            "ok": False,
            "errors": None,
            "broken_packs": [],
            "share": share,
            "messages": [error.message],
        }
        return row, error
    row = {
        "system": name,
        "ok": report.ok,
        "errors": report.errors,
        "broken_packs": list(report.broken_packs),
        "share": share,
        "messages": list(report.messages),
    }
    return row, None if report.ok else RepositoryDamagedError(f"the repository of {name} has {report.errors} errors")


def _show(console: "Console", rows: list[dict[str, Json]]) -> None:
    from drmgr.cli.output import table

    table(
        console,
        ["system", "state", "data read", "errors", "broken packs"],
        [
            [
                row["system"],
                "ok" if row["ok"] else "fail",
                f"{row['share']:.0%}",
                "-" if row["errors"] is None else str(row["errors"]),
                str(len(row["broken_packs"])),
            ]
            for row in rows
        ],
    )
