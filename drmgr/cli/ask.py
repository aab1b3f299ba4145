"""The questions of ``drmgr restore`` on a terminal: which system, what happened, which point, where to."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drmgr.errors import NotAllowedError

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.measured import Measured
    from drmgr.cli.ship import Windows
    from drmgr.cli.wire import Site
    from drmgr.flows.points import Found

Prompt = Callable[[str], str]
"""Shows a text and gives what the person typed. Raises typer.Abort."""

SHOWN_POINTS = 10


@dataclass(frozen=True)
class Wanted:
    """What is known of a restore: from the command line, and then from the answers."""

    system: str = ""
    to: str = ""
    point: str = "latest"
    at: str = ""
    sources: tuple[str, ...] = ()
    from_copy: str = ""
    reason: str = ""
    confirm: str = ""
    end_sessions: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing has to be asked."""
        return bool(self.system and self.to)


@dataclass(frozen=True)
class Happening:
    """What may have happened, what it leads to, and why. ``targets`` in the order in which they are advised."""

    text: str
    targets: tuple[str, ...]
    advice: str


HAPPENINGS = (
    Happening(
        "the server is lost",
        ("original", "connection", "scratch", "folder"),
        "Start an empty server in its place first. The newest point loses least.",
    ),
    Happening(
        "the data are damaged or encrypted",
        ("original", "connection", "scratch", "folder"),
        "Choose a point from before it. If the backups may be hit too: drmgr repo check, drmgr repo rewind.",
    ),
    Happening(
        "rows were changed or deleted by mistake",
        ("scratch", "connection", "folder", "original"),
        "Choose a point or a time just before it, and fetch the rows from there: the rest of the day's work stays as it "
        "is. One table alone goes beside the live one: drmgr restore SYSTEM --table NAME --to original. The target original "
        "without --table takes everything back to that time.",
    ),
    Happening(
        "nothing yet: I want to look",
        ("scratch", "folder", "connection", "original"),
        "Production is not touched.",
    ),
)


class Interview:
    """Asks for what is missing, each question until its answer can be used."""

    def __init__(self, opened: "Site", console: "Console", prompt: Prompt) -> None:
        self._opened = opened
        self._console = console
        self._prompt = prompt

    def ask(self, wanted: Wanted) -> Wanted:
        """All that a restore must know; the plan is shown and agreed to afterwards."""
        if not wanted.system:
            wanted = replace(wanted, system=self._system())
        happening = self._happening()
        wanted = self._point(wanted, happening)
        if not wanted.to:
            wanted = replace(wanted, to=self._target(wanted.system, happening))
        if not wanted.sources and wanted.to.startswith("connection:"):
            wanted = replace(wanted, sources=self._source(wanted.system))
        return wanted

    # --- the questions ---

    def _system(self) -> str:
        jobs = self._opened.loaded.jobs
        names = sorted(jobs, key=lambda name: (jobs[name].tier, name))
        rows = [f"{name:<12} {jobs[name].title.zh} / {jobs[name].title.en}" for name in names]
        return names[self._choose("Which system?", rows, names)]

    def _happening(self) -> Happening:
        chosen = HAPPENINGS[self._choose("What happened?", [each.text for each in HAPPENINGS])]
        self._say(chosen.advice)
        return chosen

    def _point(self, wanted: Wanted, happening: Happening) -> Wanted:
        if wanted.point != "latest" or wanted.at:
            return wanted
        from drmgr.cli.measured import measured
        from drmgr.cli.ship import reachable, show_reachable

        found = self._found(wanted)
        times = reachable(self._opened, self._opened.loaded.job(wanted.system), found, wanted.from_copy)
        self._say("\nWhich point?")
        self._show_points(found, measured(self._opened, wanted.system))
        show_reachable(self._console, times, self._opened.zone)
        any_time = any(times.values())
        example = self._example(times) if any_time else ""
        hint = f", or a time such as {example}" if any_time else ""
        newest = [sealed.point.id for sealed in reversed(found.points)][:SHOWN_POINTS]
        while True:
            text = self._prompt(f"number or id{hint} [1]").strip() or "1"
            if text in map(str, range(1, len(newest) + 1)):
                return replace(wanted, point=newest[int(text) - 1])
            if any_time and re.match(r"\d{4}-\d\d-\d\d", text):
                return replace(wanted, at=text.replace(" ", "T"))
            ids = [sealed.point.id for sealed in found.points if sealed.point.id.startswith(text.upper())]
            if len(ids) == 1:
                return replace(wanted, point=ids[0])
            self._say(f"{text} is none of them")

    def _found(self, wanted: Wanted) -> "Found":
        from drmgr.errors import PointNotFoundError
        from drmgr.flows.points import find

        opened, copy = self._opened, wanted.from_copy
        if copy:
            found = find(opened.cared(wanted.system, copy), opened.care_book.memory(copy), wanted.system)
        else:
            found = find(opened.repository(wanted.system), opened.catalog, wanted.system)
        if not found.points:
            raise PointNotFoundError(f"{wanted.system} has no recovery point that can be read")
        for problem in found.problems:
            self._say(f"problem: {problem}")
        return found

    def _show_points(self, found: "Found", known: "Measured") -> None:
        from drmgr.cli.output import human_seconds, human_time, table

        now, zone = self._opened.clock.now(), self._opened.zone
        rows = []
        for number, sealed in enumerate(list(reversed(found.points))[:SHOWN_POINTS], start=1):
            point, proven = sealed.point, known.proven.get(sealed.point.id)
            rows.append(
                [
                    str(number),
                    point.id,
                    human_time(point.consistent_at, zone),
                    human_seconds((now - point.consistent_at).total_seconds()),
                    str(point.status) if str(point.status) != "complete" else "",
                    f"level {proven.level}" if proven else "-",
                ]
            )
        table(self._console, ["", "recovery point", "as of", "age", "", "drilled"], rows, only="age")
        if len(found.points) > SHOWN_POINTS:
            self._say(f"{len(found.points) - SHOWN_POINTS} older ones: drmgr points; type the beginning of an id")

    def _example(self, times: "Windows") -> str:
        newest = max(found[-1].newest for found in times.values() if found)
        return newest.astimezone(self._opened.zone).strftime("%Y-%m-%dT%H:%M:%S")

    def _target(self, system: str, happening: Happening) -> str:
        offered = targets(self._opened, system)
        kinds = sorted(offered, key=lambda to: happening.targets.index(to.partition(":")[0]))
        rows = [f"{to}{' (advised)' if number == 0 else ''}: {offered[to]}" for number, to in enumerate(kinds)]
        chosen = kinds[self._choose("Where to?", rows)]
        return self._folder(chosen) if chosen.startswith("folder:") else chosen

    def _folder(self, below: str) -> str:
        while True:
            name = self._prompt(f"name of a new folder below {below.removeprefix('folder:')}").strip()
            if name and "/" not in name and name not in (".", ".."):
                return f"{below}/{name}"
            self._say("one name, without a slash")

    def _source(self, system: str) -> tuple[str, ...]:
        names = [source.name for source in self._opened.loaded.job(system).sources]
        return (names[self._choose("Which source?", names, names)],) if len(names) > 1 else ()

    # --- asking ---

    def _choose(self, question: str, rows: Sequence[str], names: Sequence[str] = ()) -> int:
        """The position of what was chosen by its number, or by its name where it has one; the first when only Enter."""
        self._say(f"\n{question}")
        for number, row in enumerate(rows, start=1):
            self._say(f"{number:>3}  {row}")
        while True:
            text = self._prompt("number [1]").strip() or "1"
            if text in names:
                return names.index(text)
            if text.isdigit() and 1 <= int(text) <= len(rows):
                return int(text) - 1
            self._say(f"{text} is none of them")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)


def targets(opened: "Site", system: str) -> dict[str, str]:
    """What the site file lets this system be restored to, each with a word on it."""
    allow = opened.config.restore.allow
    found = {"scratch": "throw-away, kept 2 h; production is not touched"}
    for folder in allow.folders:
        found[f"folder:{opened.place(folder)}"] = "the files as they were stored"
    for name in empty_places(opened, system):
        found[f"connection:{name}"] = "an empty database, one source"
    if system in allow.original:
        found["original"] = "its own place; what is there is renamed and kept"
    return found


def empty_places(opened: "Site", system: str) -> list[str]:
    """The connections that the site file lets a source of this system be restored into, and that are no source's place."""
    from drmgr.cli.inplace import same_place

    engines = {opened.config.connections[source.connection].engine for source in opened.loaded.job(system).sources}
    used = {source.connection for job in opened.loaded.jobs.values() for source in job.sources}
    return [
        name
        for name in opened.config.restore.allow.connections
        if opened.config.connections[name].engine in engines
        and not any(same_place(opened, name, each) for each in used)
    ]


def agree(prompt: Prompt, system: str, wanted: Wanted, *, touched: bool, users: int) -> Wanted:
    """Has the plan agreed to. Raises NotAllowedError when it is not: then nothing was done."""
    nothing = "nothing was done"
    if not touched:
        answer = ""
        while answer not in ("y", "yes", "n", "no"):
            answer = prompt("Do it? y/n").strip().lower()
        if answer.startswith("n"):
            raise NotAllowedError(nothing, hint="call drmgr restore again when you know more")
        return wanted
    if users and not wanted.end_sessions:
        if prompt(f"{users} sessions or programs work in it. May drmgr end sessions? yes/no [no]").strip() != "yes":
            raise NotAllowedError(nothing, hint="stop the programs that work in it, then call drmgr restore again")
        wanted = replace(wanted, end_sessions=True)
    if prompt(f"This touches production. Type the system's name to go on ({system})").strip() != system:
        raise NotAllowedError(f"that was not {system}; {nothing}", hint="call drmgr restore again")
    reason = wanted.reason
    while not reason.strip():
        reason = prompt("Why? It goes into the record").strip()
    return replace(wanted, confirm=system, reason=reason)
