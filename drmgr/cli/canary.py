"""``drmgr canary``: rows and files that were planted in the systems to stay as they are."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.errors import ObjectiveMissedError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Rows and files in the systems that never change.", no_args_is_help=True)
    group.command("plant")(plant)
    group.command("check")(check)
    app.add_typer(group, name="canary")


@dataclass(frozen=True)
class Planting:
    """What is to be planted in one source: statements for a database, or a file and its content."""

    system: str
    source: str
    token: str
    statements: tuple[str, ...] = ()
    file: str = ""


def plant(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
) -> None:
    """Print what the systems' administrators are to plant. Writes nothing into any system.

    The texts are derived from this site's key, so every backup and drill knows what must be there. Where a job names a
    sha256, a row or file of the hospital's own is watched, and there is nothing to plant.
    """
    answers = output(context)
    with site(context) as opened:
        names = _with_canaries(opened, systems or [])
        with audited(opened, "canary.plant", system=" ".join(names)):
            plantings = [each for name in names for each in plantings_of(opened, name)]
    document = [
        {
            "system": each.system,
            "source": each.source,
            "statements": list(each.statements),
            "file": each.file or None,
            "content": each.token,
            "sha256": hashlib.sha256(each.token.encode()).hexdigest(),
        }
        for each in plantings
    ]
    answers.answer({"canaries": document}, lambda console: _show_plantings(console, plantings))


def _with_canaries(opened: "Site", names: list[str]) -> list[str]:
    chosen = opened.systems(names, everything=not names)
    having = [name for name in chosen if opened.loaded.job(name).canary]
    if (names and len(having) < len(chosen)) or not having:
        lacking = ", ".join(name for name in chosen if name not in having)
        raise UsageError(f"the job of {lacking} declares no canary", hint="add to it: canary: [{source: NAME}]")
    return having


def plantings_of(opened: "Site", system: str) -> Iterator[Planting]:
    """What is to be planted in the sources of one system. Raises KeystoreError."""
    from drmgr.checks.canary import token_of
    from drmgr.cli.wiring.canaries import is_tree, path_of, table_of

    job = opened.loaded.job(system)
    for canary in job.canary:
        if canary.sha256 is not None:
            continue
        token = token_of(opened.row_key(), system, canary.source)
        if is_tree(job, canary):
            source = next(each for each in job.sources if each.name == canary.source)
            where = opened.config.connections[source.connection]
            root = opened.place(where.root) if where.engine == "files" else None
            yield Planting(system, canary.source, token, file=f"{root}/{path_of(canary)}")
            continue
        table, key, column = table_of(canary), canary.key_column, canary.column
        make = f"CREATE TABLE {table} ({key} INTEGER NOT NULL PRIMARY KEY, {column} VARCHAR(80) NOT NULL)"
        fill = f"INSERT INTO {table} ({key}, {column}) VALUES ({canary.key}, '{token}')"  # noqa: S608
        yield Planting(system, canary.source, token, statements=(make, fill))


def _show_plantings(console: "Console", plantings: list[Planting]) -> None:
    for each in plantings:
        console.print(f"-- {each.system}/{each.source}", markup=False)
        for statement in each.statements:
            console.print(f"{statement};", markup=False, soft_wrap=True)
        if each.file:
            console.print(f"printf %s {each.token} > '{each.file}'", markup=False, soft_wrap=True)


def check(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Systems; none means all.")] = None,
) -> None:
    """Look whether the canaries are in the living systems as they were planted. Exit 4: one is not."""
    answers = output(context)
    rows: list[dict[str, Json]] = []
    with site(context) as opened:
        for name in _with_canaries(opened, systems or []):
            canaries = opened.system(name).canaries
            rows += [{"system": name, "source": each.source, "sound": each.sound()} for each in canaries]

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        lines = [[row["system"], row["source"], "sound" if row["sound"] else "MISSING OR CHANGED"] for row in rows]
        table(console, ["system", "source", "canary"], lines)

    answers.answer({"ok": all(row["sound"] for row in rows), "canaries": rows}, show)
    if not all(row["sound"] for row in rows):
        raise typer.Exit(ObjectiveMissedError.exit_code)
