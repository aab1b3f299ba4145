"""Copies a named pipe to standard output, and fails when the content does not end as it must.

``python -m drmgr.system.relay PIPE MARK``: the last bytes must hold MARK. A backup program that runs this as its source
stores what another process writes, and stores nothing when that process died half-way: from an end of file alone nobody
can tell. Imports nothing heavy, for it starts with every backup.
"""

import os
import sys
from pathlib import Path

BLOCK_BYTES = 1 << 20
TAIL_BYTES = 4096


def relay_command(pipe: Path, mark: str) -> tuple[str, ...]:
    """The arguments that run this module as a program of its own."""
    return (sys.executable, "-P", "-m", "drmgr.system.relay", str(pipe), mark)


def relay(pipe: str, mark: bytes, output: int) -> bool:
    """Copies all; whether the end holds ``mark``. Raises OSError."""
    # non-blocking, for the writer may have ended already; what it wrote is in the pipe
    source = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(source, True)
    tail = b""
    while block := os.read(source, BLOCK_BYTES):
        tail = (tail + block)[-TAIL_BYTES:]
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(output, rest) :]
    return mark in tail


if __name__ == "__main__":
    if not relay(sys.argv[1], sys.argv[2].encode(), sys.stdout.fileno()):
        sys.exit("the stream ended before its last line")
