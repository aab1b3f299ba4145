"""``drmgr init`` and ``drmgr config``: the site's own files."""

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.checkup import doctor
from drmgr.cli.context import config_path, output, site
from drmgr.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

PASSPHRASE_ENV = "DRMGR_PASSPHRASE"
PASSPHRASE_FILE = Path("secrets/passphrase")
PRIVATE = 0o600


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    doctor.register(app)
    group = typer.Typer(help="Check and explain the configuration.", no_args_is_help=True)
    group.command("check")(check)
    group.command("show")(show)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the site's files go.")] = Path(),
    site_id: Annotated[str, typer.Option(help="Short name of the site.")] = "my-hospital",
    name_zh: Annotated[str, typer.Option(help="The hospital's name in Chinese.")] = "示例医院",
    name_en: Annotated[str, typer.Option(help="The hospital's name in English.")] = "Example Hospital",
    timezone: Annotated[str, typer.Option(help="The site's time zone.")] = "Asia/Shanghai",
) -> None:
    """Write a commented site file, example jobs and drills, and keys.

    On a terminal it asks for the names. What is already there is never overwritten, and beside a site file that is there
    already no examples are written: those that were removed would come back. The passphrase that opens the keys
    is taken from DRMGR_PASSPHRASE; without it one is made up and written to secrets/passphrase.
    """
    from drmgr.config.template import example_files, site_template

    answers = output(context)
    if sys.stdin.isatty() and not answers.wants_json:
        site_id = typer.prompt("Short name of the site", default=site_id, err=True)
        name_zh = typer.prompt("Name in Chinese", default=name_zh, err=True)
        name_en = typer.prompt("Name in English", default=name_en, err=True)
    from_environment = PASSPHRASE_ENV in os.environ
    reference = f"env:{PASSPHRASE_ENV}" if from_environment else f"file:{PASSPHRASE_FILE}"
    made: list[str] = []
    kept: list[str] = []

    def write(path: Path, content: bytes, mode: int) -> None:
        try:
            # a folder made for a private file is private too
            path.parent.mkdir(mode=0o700 if mode == PRIVATE else 0o777, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            kept.append(str(path))
            return
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        made.append(str(path))

    text = site_template(site_id, name_zh, name_en, timezone=timezone, passphrase=reference)
    if not (folder / "drmgr.yaml").exists():
        for name, example in example_files().items():
            write(folder / name, example.read_bytes(), 0o644)
    # last: it says that the examples are there
    write(folder / "drmgr.yaml", text.encode(), 0o644)
    if not from_environment:
        write(folder / PASSPHRASE_FILE, f"{secrets.token_urlsafe(32)}\n".encode(), PRIVATE)
    made += _keys(folder / "drmgr.yaml")
    answers.answer({"made": made, "kept": kept}, lambda console: _told(console, folder, made, kept))


def _keys(config: Path) -> list[str]:
    """The keys that need no more than the site's name; the systems' passwords come with the repositories."""
    from drmgr.cli.wiring.wire import open_site
    from drmgr.keystore.evidence_keys import init_keys

    with open_site(config) as opened:
        return [f"key {name}" for name in init_keys(opened.keystore, (), opened.config.site.name.en, opened.clock)]


def _told(console: "Console", folder: Path, made: list[str], kept: list[str]) -> None:
    for path in made:
        console.print(f"made  {path}", markup=False)
    for path in kept:
        console.print(f"kept  {path}", markup=False)
    console.print("\nNext:", markup=False)
    passphrase = folder / PASSPHRASE_FILE
    if str(passphrase) in made:
        console.print(f"  put a copy of {passphrase} in a safe:\n  without it no backup can be read", markup=False)
    if folder != Path():
        console.print(f"  cd {folder}", markup=False)
    for step in ("edit drmgr.yaml, jobs/ and drills/", "drmgr config check", "drmgr repo init", "drmgr doctor"):
        console.print(f"  {step}", markup=False)


def check(context: typer.Context) -> None:
    """Read the site file, all jobs and all drills; name every mistake with its file and line.

    Warns of checks that ask nothing of the data, and hold whatever is restored.
    """
    from drmgr.config.load import load_site
    from drmgr.config.questions import warnings

    loaded = load_site(config_path(context))
    plain = [
        {name: each.model_dump(mode="json") for name, each in declared.items()}
        for declared in (loaded.jobs, loaded.drills)
    ]
    doubts = warnings(*plain)
    counts = {"jobs": len(loaded.jobs), "drills": len(loaded.drills), "connections": len(loaded.site.connections)}
    output(context).answer(
        {"ok": True, "problems": [], "warnings": doubts, **counts},
        lambda console: console.print(f"ok: {counts['jobs']} jobs, {counts['drills']} drills", markup=False),
    )
    for doubt in doubts:
        output(context).note(f"drmgr: warning: {doubt}")


def show(
    context: typer.Context,
    system: Annotated[str | None, typer.Argument(help="Only what concerns this system.")] = None,
) -> None:
    """The effective values, defaults filled in, secrets only as references."""
    from drmgr.cli.output import show_json
    from drmgr.config.show import show as effective

    with site(context) as opened:
        document = effective(opened.loaded, system)
    output(context).answer(document, lambda console: show_json(console, document))


def schema(context: typer.Context) -> None:
    """The JSON Schema of the site file, a job and a drill."""
    from drmgr.cli.output import show_json
    from drmgr.config.show import schema as whole

    document = whole()
    output(context).answer(document, lambda console: show_json(console, document))
