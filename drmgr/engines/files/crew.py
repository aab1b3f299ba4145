"""Shares the looking at many objects out to several processes, and gives their answers back in the list's order."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

from drmgr.engines.files.settings import FactsMode
from drmgr.engines.files.worker import answers
from drmgr.errors import SourceError
from drmgr.system.command import Command, Process, Runner

FEW = 300
"""So many objects are looked at in this process: starting others would take longer."""

MOST_PROCESSES = 8


@dataclass(frozen=True)
class Work:
    """What is to be done with every line of the file ``listing``; ``count`` of them want looking at."""

    folder: Path
    act: Literal["vouch", "compare"]
    listing: Path
    count: int
    mode: FactsMode = "full"


def looked_at(work: Work, runner: Runner) -> Iterator[bytes]:
    """The worker's answers, line for line as they are. Raises SourceError when a process of the crew did not end well."""
    if work.count <= FEW:
        with work.listing.open("rb") as lines:
            yield from answers(os.fsencode(work.folder), work.act, work.mode, lines)
        return
    size = min(MOST_PROCESSES, os.cpu_count() or 1)
    with ExitStack() as stack:
        crew = [stack.enter_context(runner.start(_member(work, number, size))) for number in range(size)]
        outputs = [(process, process.lines()) for process in crew]
        for process, output in cycle(outputs):
            line = next(output, None)
            if line is None:
                # this one first: others would wait for a reader of what they still have to say
                _ended_well(process)
                break
            yield line
        for process, output in outputs:
            if next(output, None) is not None:
                raise _cut_short()
            _ended_well(process)


def _member(work: Work, number: int, size: int) -> Command:
    program = (sys.executable, "-m", "drmgr.engines.files.worker")
    return Command((*program, str(work.folder), work.act, work.mode, str(number), str(size)), stdin_path=work.listing)


def _ended_well(process: Process) -> None:
    if process.wait() != 0:
        raise _cut_short()


def _cut_short() -> SourceError:
    return SourceError("a process that looks at the files ended too early", hint="was it killed? try again")
