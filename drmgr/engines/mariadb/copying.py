"""mariadb-backup at work: the server's files into a folder, never waiting for a lock without end."""

import re
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines.mariadb.connection import Endpoint, Session, run, socket_file, told
from drmgr.engines.mariadb.datadir import DataDirectory
from drmgr.engines.mariadb.log import LogPlace
from drmgr.errors import SourceError
from drmgr.interfaces import Clock
from drmgr.system.command import Command, Process, Runner

POLL_SECONDS, LOOK_SECONDS = 0.05, 1.0
LOCK_SECONDS = 60
"""While mariadb-backup waits for a lock, changes of the structure by others wait behind it."""

POSITION_FILES = ("mariadb_backup_binlog_info", "xtrabackup_binlog_info")
LAST_WORDS = "completed OK!"

_WAITING = """
SELECT id, time_ms FROM information_schema.processlist
WHERE info LIKE 'BACKUP STAGE%%' AND user = SUBSTRING_INDEX(USER(), '@', 1)"""


@dataclass(frozen=True)
class Copier:
    """Copies ``directory`` of the server behind ``endpoint`` to the empty folder ``staging``."""

    runner: Runner
    clock: Clock
    directory: DataDirectory
    endpoint: Endpoint
    staging: Path
    patience: float = LOCK_SECONDS

    def copy(self, control: Session) -> LogPlace:
        """The place in the binary log that the copy stands at. Raises SourceError."""
        with self.runner.start(Command(self._arguments())) as process:
            self._watch(process, control)
            code, told_ = process.wait(), process.stderr_tail()
        if code != 0 or LAST_WORDS not in told_.rstrip().rsplit("\n", 1)[-1]:
            raise SourceError(f"mariadb-backup could not copy the server's files: {_reason(told_, code)}")
        return _position(self.staging)

    def _arguments(self) -> tuple[str, ...]:
        end = self.endpoint
        place = (
            (f"--socket={socket_file(Path(end.host))}",) if end.local else (f"--host={end.host}", f"--port={end.port}")
        )
        return (
            *(str(self.directory.program), f"--defaults-file={end.passfile}", "--backup", f"--user={end.user}", *place),
            *(f"--datadir={self.directory.path}", f"--target-dir={self.staging}", "--parallel=2"),
        )

    def _watch(self, process: Process, control: Session) -> None:
        """Returns when the process has ended; ends it when it waits for a lock too long. Raises SourceError."""
        looked = self.clock.monotonic()
        while process.running():
            self.clock.sleep(POLL_SECONDS)
            if self.clock.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = self.clock.monotonic()
            with told("the server could not be watched during the backup"):
                for session, waited in run(control, _WAITING):
                    if waited / 1000 > self.patience:
                        run(control, f"KILL CONNECTION {int(session)}")
                        raise SourceError(
                            f"a lock on the server kept the backup waiting for {self.patience:.0f} s",
                            hint="somebody holds LOCK TABLES or alters a large table; run the backup again after it",
                        )


def _position(staging: Path) -> LogPlace:
    for name in POSITION_FILES:
        path = staging / name
        if path.is_file():
            found = re.fullmatch(r"(\S+)\t(\d+)(?:\t(\S*))?\s*", path.read_text(encoding="utf-8"))
            if found is not None:
                return LogPlace(found[1], int(found[2]), found[3] or "")
    raise SourceError("mariadb-backup does not say which place in the binary log its copy stands at")


def _reason(stderr: str, code: int) -> str:
    lines = [line for line in stderr.splitlines() if re.search(r"\[ERROR\]|\bFATAL\b|\bFailed\b", line)]
    if not lines:
        return f"it ended with code {code}" if code >= 0 else "it was ended by a signal"
    return re.sub(r"^\[\d+\] [-\d]+ [:\d]+ |^[-\d]+ +[:\d]+ \d+ ", "", lines[0])[:200]
