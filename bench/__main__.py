"""``make bench``: everything in turns, then the tables in docs/benchmarks.md."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import mariadb, postgres, trees
from bench.contest import Contest, Contestant, say
from bench.place import folder_of, place, server_account
from bench.postgres_rivals import Barman, Borgmatic, PgBackRest, install_borgmatic
from bench.programs import missing, versions
from bench.report import TARGETS, Chapter, page, put
from bench.sizes import SIZES, Sizes
from drmgr.errors import DrmgrError, Interrupted
from drmgr.system.command import Runner
from drmgr.system.stopping import signals_as_exceptions

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Exit code 0 when everything was measured; a ratio that was hoped for and not reached is no error."""
    wanted = _parsed(arguments)
    lacking = missing()
    if lacking:
        say(f"NOT RUN: not installed: {', '.join(sorted(set(lacking.values())))}. Install them with: make bench-setup")
        return 2
    signals_as_exceptions()
    load, started = os.getloadavg()[0], time.monotonic()
    sizes = SIZES[wanted.size]
    try:
        with place() as folder:
            borgmatic = None
            if "postgres" in wanted.only and not wanted.without_borgmatic:
                say("borgmatic, from PyPI, into an environment that goes away again")
                borgmatic = install_borgmatic(folder / "borgmatic-programs")
            known = versions(None if borgmatic is None else borgmatic / "borgmatic")
            chapters = []
            for name in wanted.only:
                say(name)
                chapters.append(CHAPTERS[name](folder / name, sizes, borgmatic))
                # after each of them: a run that is ended leaves what it has measured
                text = page(chapters, known, load, (time.monotonic() - started) / 60)
                if wanted.write:
                    put(PAGE, text)
    except DrmgrError as error:
        say(f"bench: {error.message}")
        return error.exit_code
    except Interrupted as stop:
        say(f"bench: stopped ({stop})")
        return stop.exit_code
    sys.stdout.write(f"{text}\n")
    return 0


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full", help="how much; tiny takes a minute and says nothing")
    parser.add_argument("--only", nargs="+", choices=CHAPTERS, default=list(CHAPTERS), help="some of the contests")
    parser.add_argument("--without-borgmatic", action="store_true", help="where PyPI cannot be reached")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    return parser.parse_args(arguments)


def _postgres(folder: Path, sizes: Sizes, borgmatic: Path | None) -> Chapter:
    room = folder_of(server_account(postgres.ACCOUNT), folder / "room")
    folder.chmod(0o711)
    with postgres.bench_server(folder, sizes) as server:
        size = server.size()
        contestants: list[Contestant] = [
            postgres.drmgr(server, folder / "drmgr", room, "drmgr", "full"),
            PgBackRest(server),
            postgres.drmgr(server, folder / "counts", room, "drmgr, facts: counts", "counts"),
            Barman(server),
            postgres.BareCluster(server, folder / "bare"),
        ]
        if borgmatic is not None:
            contestants.append(Borgmatic(server, folder / "borgmatic", borgmatic))
        scores = Contest(contestants, server.churn, room, Runner()).play(sizes)
    about = (
        f"pgbench's tables at scale {sizes.scale}, 32 hexadecimal digits in each filler: {size / 1e6:.0f} MB. A night "
        "changes 1 % of the rows of pgbench_accounts, "
        f"neighbours of each other. {sizes.rounds} first backups and restores each, {sizes.nights} nights."
    )
    return Chapter("PostgreSQL, physical", about, scores, TARGETS)


def _mariadb(folder: Path, sizes: Sizes, _borgmatic: Path | None) -> Chapter:
    room = folder_of(None, folder / "room")
    folder.chmod(0o711)
    with mariadb.bench_mariadb(folder, sizes.rows) as server:
        contestants: list[Contestant] = [
            mariadb.drmgr(server, folder / "drmgr", room, "drmgr", "full"),
            mariadb.BareCopy(server, folder / "bare"),
        ]
        scores = Contest(contestants, server.churn, room, Runner()).play(sizes)
    about = f"One table of {sizes.rows} rows with an index; a night changes 1 % of them. {sizes.nights} nights."
    return Chapter("MariaDB, physical", about, scores)


def _files(folder: Path, sizes: Sizes, _borgmatic: Path | None) -> Chapter:
    room = folder_of(None, folder / "room")
    tree = trees.BenchTree(folder_of(None, folder / "tree"), sizes.files)
    tree.fill()
    contestants: list[Contestant] = [
        trees.drmgr(tree, folder / "drmgr", room),
        trees.Borg(tree, folder / "borg"),
        trees.BareTree(tree, folder / "bare"),
    ]
    scores = Contest(contestants, tree.churn, room, Runner()).play(sizes)
    about = (
        f"{sizes.files} files of 0.5 to 4 kB that do not compress; a night writes 1 % of them anew and adds half as "
        f"many. {sizes.nights} nights."
    )
    return Chapter("Small files", about, scores)


CHAPTERS: dict[str, Callable[[Path, Sizes, Path | None], Chapter]] = {
    "postgres": _postgres,
    "mariadb": _mariadb,
    "files": _files,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
