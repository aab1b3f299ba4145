"""The other systems work through what the HIS has told them; each by itself, so several processes can share them out.

As a program it does so for the systems on its command line, in a hospital that is up, and tells the rows on standard output.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drmgr.demo import pacs_rows
from drmgr.demo.departments.all import DEPARTMENTS
from drmgr.demo.loading import CopySink, advance_sequences, last_ids, run_script
from drmgr.demo.pacs import Radiology
from drmgr.demo.sessions import PostgresSession, Session, advance, finish_tables, highest, make_tables, one, sink_into
from drmgr.demo.systems import FOLDERS, Production, attached
from drmgr.errors import SourceError
from drmgr.system.command import Command, Process, Runner

Counts = Mapping[str, int]

ORDERS = (
    "SELECT o.id, p.record_no, p.name, p.sex, p.birth_date, o.content, o.ordered_at FROM medical_order o "
    "JOIN patient p ON p.id = o.patient_id WHERE o.kind = 'imaging' AND o.id > {} ORDER BY o.id"
)

WEIGHTS = {"pacs": 30, "mrm": 8, "emr": 7, "lis": 6, "opd-emr": 5, "nis": 4}
"""How much work each is, next to the others; 1 for those that are not named."""


@dataclass(frozen=True)
class Told:
    """Up to when, and by which chance. The same gives the same rows, whoever works them out."""

    now: datetime
    seed: int


def fill(production: Production, directory: Path, system: str, told: Told) -> Counts:
    """Makes the system's tables and all that is in them."""
    if system == "pacs":
        with _postgres(production, system) as index:
            run_script(index.connection, "pacs.sql")
        counts = catch_up(production, directory, system, told)
        with _postgres(production, system) as index:
            run_script(index.connection, "pacs-keys.sql")
        return counts
    with production.database(system).open() as session:
        make_tables(session, DEPARTMENTS[system].TABLES)
        counts = _departments_part(production, directory, system, session, told)
        finish_tables(session, DEPARTMENTS[system].TABLES)
    return counts


def catch_up(production: Production, directory: Path, system: str, told: Told) -> Counts:
    """What is new in the HIS since the last time."""
    if system == "pacs":
        return _examine(production, directory / FOLDERS[system], told)
    with production.database(system).open() as session:
        counts = _departments_part(production, directory, system, session, told)
        advance(session, DEPARTMENTS[system].TABLES)
    return counts


def _departments_part(production: Production, directory: Path, system: str, session: Session, told: Told) -> Counts:
    maker = DEPARTMENTS[system]
    seen = {name: int(one(session, query)) for name, query in maker.SEEN.items()}
    sink = sink_into(session, maker.TABLES)
    department = maker(sink, told.now, seed=told.seed, last_ids=highest(session, maker.TABLES), seen=seen)
    if system in FOLDERS:
        department.root = directory / FOLDERS[system]
    with production.database("his").open() as his:
        department.catch_up(his.ask)
    sink.flush()
    return {**sink.counts, **({"files": department.files} if system in FOLDERS else {})}


def _examine(production: Production, images: Path, told: Told) -> Counts:
    """Works through the imaging orders that the PACS has not seen yet."""
    images.mkdir(parents=True, exist_ok=True)
    with _postgres(production, "pacs") as index, production.database("his").open() as his:
        seen = int(one(index, "SELECT coalesce(max(his_order_id), 0) FROM imaging_request"))
        sink = CopySink(index.connection, pacs_rows.TABLES)
        ids = last_ids(index.connection, pacs_rows.TABLES)
        radiology = Radiology(sink, images, told.now, seed=told.seed + seen, last_ids=ids)
        for order in his.ask(ORDERS.format(seen)):
            radiology.examine(pacs_rows.ImagingOrder(*order))  # type: ignore[arg-type]
        sink.flush()
        advance_sequences(index.connection, pacs_rows.TABLES)
    return {**sink.counts, "files": radiology.files}


@contextmanager
def _postgres(production: Production, system: str) -> Iterator[PostgresSession]:
    with production.database(system).open() as session:
        assert isinstance(session, PostgresSession)
        yield session


# --- shared out to processes ------------------------------------------------------------------------------------------


def fill_all(
    production: Production, directory: Path, systems: Sequence[str], told: Told, *, workers: int, runner: Runner
) -> Mapping[str, Counts]:
    """Fills the systems, by as many processes at once; the rows are the same for any number of them.

    Raises SourceError when a process did not end well.
    """
    if workers == 1:
        return {system: fill(production, directory, system, told) for system in systems}
    found: dict[str, Counts] = {}
    with ExitStack() as stack:
        crew = [stack.enter_context(runner.start(_member(directory, part, told))) for part in shares(systems, workers)]
        for process in crew:
            found |= _answers(process)
    return {system: found[system] for system in systems}


def shares(systems: Sequence[str], workers: int) -> list[list[str]]:
    """The systems shared out so that every share is about as much work; none is empty."""
    parts: list[list[str]] = [[] for _ in range(min(workers, len(systems)))]
    for system in sorted(systems, key=lambda name: (-WEIGHTS.get(name, 1), name)):
        min(parts, key=lambda part: sum(WEIGHTS.get(name, 1) for name in part)).append(system)
    return parts


def _member(directory: Path, systems: Sequence[str], told: Told) -> Command:
    program = (sys.executable, "-m", "drmgr.demo.catching_up")
    return Command((*program, str(directory), told.now.isoformat(), str(told.seed), *systems))


def _answers(process: Process) -> dict[str, Counts]:
    lines = list(process.lines())
    if process.wait() != 0 or not lines:
        raise SourceError("a process that fills the demo ended too early", hint="is there room on the disk?")
    answer: dict[str, Counts] = json.loads(lines[-1])
    return answer


def main(arguments: Sequence[str]) -> None:
    """One member of the crew."""
    directory, told = Path(arguments[0]), Told(datetime.fromisoformat(arguments[1]), int(arguments[2]))
    production = attached(directory)
    json.dump({system: fill(production, directory, system, told) for system in arguments[3:]}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
