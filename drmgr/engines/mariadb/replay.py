"""Replays the binary log into a restored server, up to one instant and no further, and proves that it got there."""

import os
import re
from contextlib import ExitStack, closing
from pathlib import Path

from drmgr.engines.mariadb.binlog import parse_position
from drmgr.engines.mariadb.connection import Endpoint, Session, connect, plain_reason, run, told
from drmgr.engines.mariadb.replay_plan import Plan, Reached
from drmgr.errors import LoadError
from drmgr.system.command import Command, Process, Runner
from drmgr.system.files import private_directory

SCRATCH_LOG = "drmgr-replayed"
"""See scratch/mariadb.py."""


class Replayer:
    """Runs mariadb-binlog into the mariadb client. ``into`` must be a scratch server that writes a log of its own."""

    def __init__(self, runner: Runner, binlog: Path, client: Path, runtime: Path) -> None:
        self._runner = runner
        self._binlog = binlog
        self._client = client
        self._runtime = runtime

    def replay(self, plan: Plan, into: Endpoint, database: str | None = None) -> Reached:
        """Raises LoadError when a statement fails, or when the server does not say that it got there."""
        assert plan.reached is not None
        with closing(connect(into, LoadError, database="")) as session, told("the server's own log", LoadError):
            _refuse_living(session)
            # what was loaded before is in it, and only what is replayed now shall be
            run(session, "RESET MASTER")
        if plan.reached.transactions:
            self._pour(plan, into, database)
        with closing(connect(into, LoadError, database="")) as session, told("the place in the log", LoadError):
            ((found,),) = run(session, "SELECT @@gtid_binlog_pos")
        _prove(plan, str(found))
        return plan.reached

    def _pour(self, plan: Plan, into: Endpoint, database: str | None) -> None:
        stop = () if plan.stop is None else (f"--stop-position={plan.stop}",)
        chosen = () if database is None else (f"--database={database}",)
        source = (
            *(str(self._binlog), "--no-defaults", "--verify-binlog-checksum", "--skip-annotate-row-events"),
            *(f"--start-position={plan.start}", *stop, *chosen, *(str(path) for path in plan.files)),
        )
        drain = (
            *(str(self._client), *into.arguments(), "--batch", "--binary-mode", "--max-allowed-packet=1G"),
            "--init-command=SET SESSION max_statement_time = 0",
        )
        with private_directory(self._runtime, "replay-") as folder, ExitStack() as stack:
            pipe = folder / "pipe"
            os.mkfifo(pipe, 0o600)
            # both ends, so that neither program waits for the other to open its own
            holder = os.open(pipe, os.O_RDWR)
            try:
                with pipe.open("wb", buffering=0) as writer:
                    log = stack.enter_context(self._runner.start(Command(source), stdout=writer))
                client = stack.enter_context(self._runner.start(Command(drain, stdin_path=pipe)))
            finally:
                os.close(holder)
            for _ in client.lines():
                # what statements such as ANALYZE answer
                pass
            if client.wait() != 0:
                raise LoadError(f"the log could not be replayed: {_client_reason(client)}")
            if log.wait() != 0:
                raise LoadError(f"the log could not be read to its end: mariadb-binlog ended with code {log.wait()}")


def _refuse_living(session: Session) -> None:
    """No server but scratch is reached by nothing and keeps a log of that name."""
    ((closed, base),) = run(session, "SELECT @@skip_networking, @@log_bin_basename")
    if not closed or Path(str(base or "")).name != SCRATCH_LOG:
        raise LoadError(
            "a log is replayed into a scratch server only",
            hint="restore with --to scratch, and copy from there what is needed",
        )


def _client_reason(client: Process) -> str:
    """The client's first error as its number: its own text quotes values."""
    found = re.search(r"ERROR (\d+) ", client.stderr_tail())
    return (
        f"{plain_reason(int(found[1]))} (error {found[1]})" if found else f"the client ended with code {client.wait()}"
    )


def _prove(plan: Plan, found: str) -> None:
    there = parse_position(found)
    for domain, least in plan.least.items():
        number = there[domain].number if domain in there else 0
        if not least <= number <= plan.most[domain]:
            raise LoadError(
                f"the replay did not reach its target: the server stands at {found or 'nothing'}, "
                f"and should at {domain}-…-{least}"
            )
