"""What people and programs see: one JSON document on standard output, or tables; everything else on standard error."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from datetime import datetime, tzinfo
from threading import Lock
from typing import TYPE_CHECKING

from drmgr.errors import ConfigError, DrmgrError
from drmgr.interfaces import Progress
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    "ok": "green", "pass": "green", "passed": "green", "complete": "green",
    "warn": "yellow", "incomplete": "yellow", "skipped": "yellow", "interrupted": "yellow",
    "fail": "red", "failed": "red", "error": "red",
}  # fmt: skip

ULID_LENGTH = 26
SHORT = 12
"""Columns whose cells all are this short are not folded."""


class Output:
    """Answers of one command. ``wants_json`` decides between the two faces."""

    def __init__(self, *, wants_json: bool) -> None:
        self.wants_json = wants_json

    def answer(self, document: Json, show: Callable[["Console"], None]) -> None:
        """Prints the JSON document, or calls ``show`` with a console for people."""
        if self.wants_json:
            json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
            sys.stdout.write("\n")
        else:
            from rich.console import Console

            show(Console(highlight=False, soft_wrap=False))
        sys.stdout.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While it lasts, standard output goes to standard error if the answer is to be one JSON document."""
        with redirect_stdout(sys.stderr) if self.wants_json else nullcontext():
            yield

    def note(self, text: str) -> None:
        """A remark for the person at the terminal, never part of the answer."""
        print(text, file=sys.stderr)  # noqa: T201 - this is the one place that prints

    def error(self, error: DrmgrError) -> None:
        """The failure, once: as JSON on standard output or as two lines on standard error."""
        if self.wants_json:
            document = {"code": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
            if isinstance(error, ConfigError):
                document["problems"] = list(error.problems)
            self.answer({"error": document}, lambda _console: None)
            return
        self.note(f"drmgr: {error.message}")
        if isinstance(error, ConfigError):
            for problem in error.problems:
                self.note(f"  {problem}")
        if error.hint:
            self.note(f"HINT: {error.hint}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], Progress]]:
        """Progress bars on a terminal's standard error, one for each system; nothing elsewhere.

        The first word of a label, up to a slash, names the system; its bar shows the step that it is at.
        """
        if not sys.stderr.isatty():
            yield lambda _label: lambda _share, _word: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        columns = (
            TextColumn("{task.description}", table_column=Column(width=30, no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[word]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True, expand=True) as bars:
            tasks: dict[str, TaskID] = {}
            taking = Lock()

            def progress_for(label: str) -> Progress:
                system = label.split(maxsplit=1)[0].partition("/")[0]
                with taking:
                    if system not in tasks:
                        tasks[system] = bars.add_task(label, total=1.0, word="")
                bars.update(tasks[system], description=label, completed=0.0, word="")
                return lambda share, word: bars.update(tasks[system], completed=share, word=word)

            yield progress_for


def table(console: "Console", headings: Sequence[str], rows: Sequence[Sequence[str]], *, only: str = "") -> None:
    """A plain table; words of state are coloured. Long cells fold so that 80 columns are enough.

    ``only`` names the one column that may fold, where names must stay whole.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        # an id is copied and pasted: it is never broken
        lengths = [len(row[number]) for row in rows]
        whole = heading != only if only else ULID_LENGTH in lengths or max(lengths, default=0) <= SHORT
        grid.add_column(heading, overflow="fold", no_wrap=whole)
    for row in rows:
        grid.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(grid)


def human_bytes(count: float) -> str:
    """Bytes for people: 1.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        # what would be rounded to 1024.0 belongs to the next unit
        if count < 1024 - (unit != "B") * 0.05:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_seconds(seconds: float | None) -> str:
    """A duration for people: 8.2 s, 3 min 05 s, 2 h 14 min, 3 d 4 h; a dash when there is none."""
    if seconds is None:
        return "-"
    if seconds < 59.95:  # noqa: PLR2004 - more would be rounded to 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"


def human_time(instant: datetime, zone: tzinfo) -> str:
    """``2026-01-05 14:03:22`` in the site's zone."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def pairs(console: "Console", values: Mapping[str, str]) -> None:
    """Names and values, one a line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        console.print(f"{name:<{width}}  {value}", markup=False)


def show_json(console: "Console", document: Json) -> None:
    """The document itself, which stays JSON whatever the width of the terminal."""
    console.print(json.dumps(document, ensure_ascii=False, indent=2), markup=False, emoji=False, soft_wrap=True)
