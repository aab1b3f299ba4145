"""The questions of ``drmgr restore`` on a terminal: which system, what happened, which point, where to."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from drmgr.cli.restoring.sure import Prompt, confirmed
from drmgr.cli.restoring.ways import Wish, lost_server_advice, pairs, tables_allowed, ways
from drmgr.errors import NotAllowedError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.restoring.measured import Measured
    from drmgr.cli.ship import Windows
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.points import Found
    from drmgr.model import RecoveryPoint

SHOWN_POINTS = 10
NEWEST = "newest"
"""As ``--at`` takes it; see flows.aim."""

INTO_USE = ("original", "connection")


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
    fault_at: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is known what is wanted."""
        return bool(self.system and self.to)

    @property
    def sure(self) -> bool:
        """Whether nobody has to be asked if it is meant: production stays as it is, or it was confirmed with a reason."""
        touched = self.to == "original" or self.to.startswith("connection:")
        return not touched or bool(self.confirm and self.reason.strip())


@dataclass(frozen=True)
class Happening:
    """What may have happened, what it leads to, and why. ``targets`` in the order in which they are advised.

    ``lost``: the data are sound up to the last instant, so the newest is best, and the advice is the system's own.
    ``table``: what to type for a single table, where the site allows that.
    """

    text: str
    targets: tuple[str, ...]
    advice: str
    lost: bool = False
    table: str = ""


HAPPENINGS = (
    Happening("the server is lost", ("original", "connection", "scratch", "folder"), "", lost=True),
    Happening(
        "the data are damaged or encrypted",
        ("original", "connection", "scratch", "folder"),
        "Choose a point from before it. If the backups may be hit too: drmgr repo check, drmgr repo rewind.",
    ),
    Happening(
        "rows were changed or deleted by mistake",
        ("scratch", "connection", "folder", "original"),
        "Choose a point or a time just before it, and fetch the rows from there: the rest of the day's work stays as it "
        "is. The target original takes everything back to that time.",
        table="One table alone goes beside the live one: drmgr restore {} --table NAME --to original.",
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
        self._chosen: RecoveryPoint | None = None

    def ask(self, wanted: Wanted) -> Wanted:
        """All that a restore must know; the plan is shown and agreed to afterwards."""
        if not wanted.system:
            wanted = replace(wanted, system=self._system())
        happening = self._happening(wanted.system)
        wanted = self._point(wanted, happening)
        if not wanted.to:
            wanted = replace(wanted, to=self._target(wanted, happening))
        if wanted.to.startswith("connection:"):
            wanted = replace(wanted, sources=self._source(wanted))
        return wanted

    # --- the questions ---

    def _system(self) -> str:
        jobs = self._opened.loaded.jobs
        names = sorted(jobs, key=lambda name: (jobs[name].tier, name))
        rows = [f"{name:<12} {jobs[name].title.zh} / {jobs[name].title.en}" for name in names]
        return names[self._choose("Which system?", rows, names)]

    def _happening(self, system: str) -> Happening:
        chosen = HAPPENINGS[self._choose("What happened?", [each.text for each in HAPPENINGS])]
        self._say(lost_server_advice(self._opened, system) if chosen.lost else chosen.advice)
        if chosen.table and tables_allowed(self._opened, system):
            self._say(chosen.table.format(system))
        return chosen

    def _point(self, wanted: Wanted, happening: Happening) -> Wanted:
        if wanted.point != "latest" or wanted.at:
            return wanted
        from drmgr.cli.restoring.measured import measured
        from drmgr.cli.ship import reachable, show_reachable

        found = self._found(wanted)
        times = reachable(self._opened, self._opened.loaded.job(wanted.system), found, wanted.from_copy)
        self._say("\nWhich point?")
        self._show_points(found, measured(self._opened, wanted.system))
        show_reachable(self._console, times, self._opened.zone)
        best = self._newest_time(wanted, happening, found, times)
        newest = [sealed.point for sealed in reversed(found.points)]
        while True:
            text = self._prompt(self._question(times, best)).strip() or (NEWEST if best else "1")
            if best and text == NEWEST:
                return replace(wanted, at=NEWEST)
            if text in map(str, range(1, min(SHOWN_POINTS, len(newest)) + 1)):
                return self._took(wanted, newest[int(text) - 1])
            if any(times.values()) and re.match(r"\d{4}-\d\d-\d\d", text):
                return self._with_logs(replace(wanted, at=text.replace(" ", "T")), times)
            fitting = [point for point in newest if point.id.startswith(text.upper())]
            if len(fitting) == 1:
                return self._took(wanted, fitting[0])
            self._say(f"{text} is none of them")

    def _took(self, wanted: Wanted, point: "RecoveryPoint") -> Wanted:
        self._chosen = point
        return replace(wanted, point=point.id)

    def _question(self, times: "Windows", best: datetime | None) -> str:
        hint = f", or a time such as {self._example(times)}" if any(times.values()) else ""
        return f"number or id{hint} [{'1' if best is None else NEWEST}]"

    def _newest_time(self, wanted: Wanted, happening: Happening, found: "Found", times: "Windows") -> datetime | None:
        """The last instant that the logs reach, where it loses less than the newest point and nothing speaks against it."""
        names = wanted.sources or tuple(source.name for source in self._opened.loaded.job(wanted.system).sources)
        if not all(times.get(name) for name in names):
            return None
        reached = min(times[name][-1].newest for name in names)
        if not happening.lost or reached <= found.points[-1].point.consistent_at:
            return None
        allowed = wanted.to or next(
            iter(self._in_order(ways(self._opened, Wish(wanted.system, wanted.sources)).offered, happening))
        )
        between = ways(self._opened, Wish(wanted.system, wanted.sources, between=True)).offered
        if allowed in between:
            self._say(f"{NEWEST}: {self._shown(reached)}, which the shipped log reaches.")
            return reached
        self._say(f"The log reaches {self._shown(reached)}, but {allowed} only takes whole points.")
        return None

    def _with_logs(self, wanted: Wanted, times: "Windows") -> Wanted:
        """Only what has a log can go to a time of its own."""
        names = [source.name for source in self._opened.loaded.job(wanted.system).sources]
        logged = tuple(name for name in names if times.get(name))
        if wanted.sources or len(logged) == len(names):
            return wanted
        others = ", ".join(name for name in names if name not in logged)
        self._say(
            f"Only {', '.join(logged)} can go to a time; bring {others} back by a point, with a command of its own."
        )
        return replace(wanted, sources=logged)

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

    def _shown(self, instant: datetime) -> str:
        from drmgr.cli.output import human_time

        return human_time(instant, self._opened.zone)

    def _target(self, wanted: Wanted, happening: Happening) -> str:
        wish = Wish(wanted.system, wanted.sources, self._chosen, between=bool(wanted.at))
        there = ways(self._opened, wish)
        kinds = self._in_order(there.offered, happening)
        rows = [f"{to}{' (advised)' if number == 0 else ''}: {there.offered[to]}" for number, to in enumerate(kinds)]
        for why in there.not_possible:
            self._say(f"not possible: {why}")
        if happening.lost and kinds[0].partition(":")[0] not in INTO_USE:
            self._say(
                "No target that the site file allows brings it into use: look at it first, then see docs/incident.md."
            )
        chosen = kinds[self._choose("Where to?", rows)]
        return self._folder(chosen) if chosen.startswith("folder:") else chosen

    @staticmethod
    def _in_order(offered: Mapping[str, str], happening: Happening) -> list[str]:
        return sorted(offered, key=lambda to: happening.targets.index(to.partition(":")[0]))

    def _folder(self, below: str) -> str:
        while True:
            name = self._prompt(f"name of a new folder below {below.removeprefix('folder:')}").strip()
            if name and "/" not in name and name not in (".", ".."):
                return f"{below}/{name}"
            self._say("one name, without a slash")

    def _source(self, wanted: Wanted) -> tuple[str, ...]:
        able = pairs(self._opened, Wish(wanted.system, wanted.sources, self._chosen))
        names = [source for source, place in able if place == wanted.to.partition(":")[2]]
        if not names[1:]:
            return tuple(names) or wanted.sources
        return (names[self._choose("Which source?", names, names)],)

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


def fault_of(prompt: Prompt, given: str, read: Callable[[str], object]) -> str:
    """When the fault was, as a person knows it; empty where nobody does. ``read`` raises UsageError for what is no time."""
    while not given:
        text = prompt("When was the fault? For instance 2026-01-05 14:03; only Enter: nobody knows yet").strip()
        if not text:
            return ""
        try:
            read(text)
        except UsageError as error:
            prompt(f"{error.message}. Enter to type it again")
        else:
            return text
    return given


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
    reason, confirm = confirmed(prompt, system, wanted.reason, wanted.confirm)
    return replace(wanted, confirm=confirm, reason=reason)
