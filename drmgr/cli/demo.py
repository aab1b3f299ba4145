"""``drmgr demo``: the whole story on a synthetic hospital, told with the very commands an engineer would type."""

import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output
from drmgr.errors import UsageError
from drmgr.model import Json
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.demo.hospital import Hospital

FOREVER = 10 * 365 * 86_400.0
DEFAULT_FOLDER = Path("drmgr-demo")

MARK = "# written by drmgr demo"
"""The site file's first words, by which the next demo knows a folder that it may clear."""

Folder = Annotated[Path, typer.Option("--dir", help="Where everything goes.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The whole story on a synthetic hospital.", invoke_without_command=True)
    group.callback()(demo)
    group.command("live")(live)
    group.command("stop")(stop)
    app.add_typer(group, name="demo")


def demo(
    context: typer.Context,
    scale: Annotated[str, typer.Option(help="tiny, small, or a number.")] = "tiny",
    folder: Folder = DEFAULT_FOLDER,
    systems: Annotated[
        str, typer.Option(metavar="ID,ID", help="Only these systems, and the HIS that they live on; all when left out.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers up; end them with: drmgr demo stop.")] = False,
) -> None:
    """Start servers, fill them, back up, change data, back up again, drill it all, have incidents, and report.

    DIR/drmgr.yaml is an ordinary site file that every other command takes. Exit 0 only if every step ended well.
    """
    if context.invoked_subcommand:
        return
    from drmgr.demo.hospital import Hospital

    answers = output(context)
    folder = folder.absolute()
    _make_room(folder)
    started = datetime.now(UTC)
    wanted = [name.strip() for name in systems.split(",")] if systems else None
    with Hospital(folder, scale=scale, keep=keep, systems=wanted) as hospital:
        _told(answers, hospital, scale)
    seconds = (datetime.now(UTC) - started).total_seconds()
    config = folder / "drmgr.yaml"

    def show(_console: object) -> None:
        answers.note(f"\nThe story took {seconds:.0f} s. Everything lies in {folder}.")
        if keep:
            answers.note(f"The servers are up. Try: drmgr --config {config} restore his --to scratch")
            answers.note(f"End them with: drmgr demo stop --dir {folder}")
        else:
            answers.note(
                f"The servers are down; the evidence can still be verified:\n  drmgr --config {config} evidence verify --all"
            )

    answers.answer({"config": str(config), "seconds": round(seconds, 1), "kept": keep}, show)


def _make_room(folder: Path) -> None:
    """An empty folder. An earlier demo in it is ended and removed; anything else is left alone."""
    from drmgr.demo.hospital import stop_kept

    config = folder / "drmgr.yaml"
    if config.is_file() and config.read_text(encoding="utf-8").startswith(MARK):
        stop_kept(folder)
        shutil.rmtree(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name another with --dir, or remove it")
    folder.mkdir(parents=True, exist_ok=True)


def _told(answers: "Output", hospital: "Hospital", scale: str) -> None:
    from drmgr.demo.systems import HOMES, PHYSICAL

    config = hospital.directory / "drmgr.yaml"
    answers.note(f"== a hospital at scale {scale}, with its object store, in {hospital.directory}")
    counts = hospital.fill(datetime.now(UTC) - timedelta(hours=1))
    _tell_counts(answers, counts)
    write_site(hospital, config)
    for step in (["config", "check"], ["keys", "init"]):
        _type(answers, config, step)
    plant_canaries(hospital, config)
    shipped = [system for system in PHYSICAL if system in hospital.systems]
    # the log first: what is shipped from here on carries the first point on
    for step in (["repo", "init"], ["doctor"], ["ship", *shipped], ["backup", "--all"]):
        _type(answers, config, step)
    answers.note("\n== an hour later in the hospital")
    changed = hospital.change(datetime.now(UTC))
    _tell_counts(answers, changed)
    _type(answers, config, ["backup", "--all"])
    moment = datetime.now(UTC)
    whole = set(hospital.systems) == set(HOMES)
    played = ["drill", "run", *(["hospital-restore"] if whole else ["--all"])]
    for step in (["ship", *shipped], ["points", "his"], played):
        _type(answers, config, step)
    _incidents(answers, hospital, config, moment)
    for step in (["evidence", "verify", "--all"], ["report", "quarter", _quarter(datetime.now(UTC))]):
        _type(answers, config, step)


def _incidents(answers: "Output", hospital: "Hospital", config: Path, moment: datetime) -> None:
    """A time of the logs on scratch, one table beside the live one, a system in its own place, and the papers of it."""
    from drmgr.demo.his import LOCAL

    answers.note("\n== the day after: incidents")
    at = moment.astimezone(LOCAL).isoformat(sep=" ", timespec="milliseconds")
    # what is kept for a second is gone with the next command
    _type(answers, config, ["restore", "his", "--at", at, "--to", "scratch", "--keep", "1s"])
    if "lis" in hospital.systems:
        reason = ["--confirm", "lis", "--reason", "results changed by mistake"]
        _type(answers, config, ["restore", "lis", "--table", "lab_result", "--to", "original", *reason])
    if "queue" in hospital.systems:
        reason = ["--confirm", "queue", "--reason", "the file was damaged"]
        _type(answers, config, ["restore", "queue", "--to", "original", *reason])
        newest = len(list((hospital.directory / "evidence").glob("*.json")))
        _type(answers, config, ["report", "incident", str(newest)])


def _quarter(now: datetime) -> str:
    from drmgr.demo.his import LOCAL

    local = now.astimezone(LOCAL)
    return f"{local.year}Q{(local.month + 2) // 3}"


def plant_canaries(hospital: "Hospital", config: Path) -> None:
    """What ``drmgr canary plant`` asks the hospital's administrators for."""
    from drmgr.cli.canary import plantings_of
    from drmgr.cli.wiring.wire import open_site

    with open_site(config) as opened:
        for planting in (each for system in hospital.systems for each in plantings_of(opened, system)):
            if planting.file:
                Path(planting.file).write_text(planting.token, encoding="ascii")
                continue
            with hospital.production.database(planting.system).open() as session:
                for statement in planting.statements:
                    session.run(statement)


def _tell_counts(answers: "Output", counts: Mapping[str, Mapping[str, int]]) -> None:
    """One line per system: its rows, its files, its largest tables."""
    for system, found in counts.items():
        rows = {name: count for name, count in found.items() if name != "files"}
        largest = sorted(rows, key=lambda name: -rows[name])[:2]
        files = f", {found['files']} files" if "files" in found else ""
        most = ", ".join(f"{rows[name]} {name}" for name in largest if rows[name])
        answers.note(f"   {system:<8}{sum(rows.values()):>9} rows{files}" + (f" ({most})" if most else ""))


def _type(answers: "Output", config: Path, arguments: list[str]) -> None:
    """One command of the story, as typed; the story ends where a command does not end well."""
    from drmgr.cli.main import main

    answers.note(f"\n$ drmgr {shlex.join(arguments)}")
    quiet = ["--json"] if answers.wants_json else []
    with answers.aside():
        code = main(["--config", str(config), *quiet, *arguments])
    if code != 0:
        raise typer.Exit(code)


def _of(example: Path, systems: Sequence[str]) -> bool:
    """Whether the job or drill is one of these systems alone."""
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load(example)
    return set(found.get("systems", [found.get("system")])) <= set(systems)


def write_site(hospital: "Hospital", config: Path) -> None:
    """An ordinary site file, with jobs and drills as ``drmgr init`` would copy them."""
    from ruamel.yaml import YAML

    from drmgr.config.template import example_files

    folder = hospital.directory
    write_atomically(folder / "secrets" / "passphrase", secrets.token_urlsafe(32).encode(), mode=0o600)
    for name, example in example_files().items():
        if not _of(example, hospital.systems):
            continue
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(example, folder / name)
    document = {
        "site": {
            "id": "demo-hospital",
            "name": {"zh": "示例精神专科医院", "en": "Demo Psychiatric Hospital"},
            "timezone": "Asia/Shanghai",
        },
        "keys": {"directory": "keys", "passphrase": "file:secrets/passphrase"},
        "store": hospital.store(),
        "connections": _connections(hospital),
        "restore": _rules(hospital),
        "scratch": {"directory": "scratch"},
    }
    with config.open("w", encoding="utf-8") as file:
        file.write(f"{MARK}; an ordinary site file, see: drmgr config schema\n")
        YAML().dump(document, file)


def _rules(hospital: "Hospital") -> dict[str, Json]:
    """What a hospital would allow: a system in its own place, and tables beside the live ones, by their owner."""
    allow: dict[str, Json] = {"connections": [], "folders": ["restored"]}
    rules: dict[str, Json] = {"allow": allow}
    if "queue" in hospital.systems:
        allow["original"] = ["queue"]
    if "lis" in hospital.systems:
        allow["tables"] = ["lis-main"]
        rules["through"] = {"lis-main": "lis-admin"}
    return rules


def _connections(hospital: "Hospital") -> dict[str, Json]:
    found: dict[str, Json] = dict(hospital.connections())
    if "lis" in hospital.systems:
        found["lis-admin"] = {**found["lis-main"], "user": "lis_owner", "password": "file:secrets/lis_owner"}
    return found


def live(
    context: typer.Context,
    folder: Folder = DEFAULT_FOLDER,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="Transactions a second in each system.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 means until interrupted.")] = 0.0,
    systems: Annotated[str, typer.Option(metavar="ID,ID", help="Only these; all that take money when left out.")] = "",
) -> None:
    """Keep writing into a hospital that ``drmgr demo --keep`` left up, money moved within one transaction.

    Start it beside the commands that you want to see under load; end it with Ctrl-C, or give --seconds.
    """
    from drmgr.demo.live import TILLS, Live
    from drmgr.demo.systems import attached
    from drmgr.errors import Interrupted

    production = attached(folder)
    wanted = [name.strip() for name in systems.split(",")] if systems else [*TILLS]
    unknown = [name for name in wanted if name not in TILLS]
    if unknown:
        raise UsageError(f"{unknown[0]} takes no money", hint=f"these do: {', '.join(TILLS)}")
    answers = output(context)
    work = Live(production, [name for name in wanted if name in production.present()], rate=rate)
    with suppress(Interrupted, KeyboardInterrupt), work:
        answers.note(f"writing into {', '.join(work.counts)}; end it with Ctrl-C")
        work.wait(seconds or FOREVER)
    document = {"transactions": work.counts, "rate": rate}
    answers.answer(document, lambda console: _show_counts(console, work.counts))


def _show_counts(console: "Console", counts: Mapping[str, int]) -> None:
    from drmgr.cli.output import table

    table(console, ["system", "transactions"], [[system, str(count)] for system, count in counts.items()])


def stop(context: typer.Context, folder: Folder = DEFAULT_FOLDER) -> None:
    """End the servers that ``drmgr demo --keep`` left up, and what was restored to scratch; the folder stays."""
    from drmgr.cli.wiring.wire import open_site
    from drmgr.demo.hospital import stop_kept

    ended = list(stop_kept(folder.absolute()))
    config = folder.absolute() / "drmgr.yaml"
    if config.is_file():
        with open_site(config) as opened:
            ended += [f"scratch of run {Path(proof.path).name}" for proof in opened.scratch.end_kept()]
    output(context).answer(
        {"stopped": ended}, lambda console: console.print("stopped: " + (", ".join(ended) or "nothing ran"))
    )
