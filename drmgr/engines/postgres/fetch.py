"""The log of a server elsewhere, brought here stretch by stretch while a slot of ours keeps it there."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines.postgres.connection import Endpoint
from drmgr.engines.postgres.wal import lsn_text, receive_failure, segment_name
from drmgr.errors import SourceError
from drmgr.system.command import Command, Runner

FETCH_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class LogFetcher:
    """Brings segments of ``size`` bytes into ``folder``, without a gap from the one that holds ``start`` on."""

    runner: Runner
    program: Path
    endpoint: Endpoint
    folder: Path
    timeline: int
    size: int
    start: int

    def up_to(self, switched: int) -> None:
        """Brings all up to the end of the segment that was closed at that position. Raises SourceError."""
        before = self.folder / segment_name(self.timeline, self.start // self.size - 1, self.size)
        if not any(self.folder.iterdir()):
            # pg_receivewal goes on after the last whole segment that it finds; a hole in the file costs no room
            with before.open("wb") as file:
                file.truncate(self.size)
        end = (switched + self.size - 1) // self.size * self.size
        argv = (
            *(str(self.program), f"--directory={self.folder}", "--no-loop", "--no-password"),
            # one less than the end: it stops once it has passed this position, with the last segment closed
            f"--endpos={lsn_text(end - 1)}",
        )
        try:
            done = self.runner.run(Command(argv, self.endpoint.environment()), timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"the server's log came to no end within {FETCH_SECONDS / 3600:.0f} h") from None
        # pg_waldump takes the size of all segments from any one that it finds
        before.unlink(missing_ok=True)
        if done.code != 0:
            raise SourceError(
                f"the log of the backup could not be received: {receive_failure(done.stderr)}",
                hint="is max_slot_wal_keep_size too small, or the disk of drmgr's state folder full?",
            )
