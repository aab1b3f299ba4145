"""A stream that another process writes: whole, or refused."""

import os
import subprocess
from pathlib import Path

import pytest

from drmgr.system.relay import relay_command


@pytest.mark.parametrize("size", [0, 3_000, 30_000])
@pytest.mark.parametrize(("end", "code"), [(b"\n-- Dump completed\n", 0), (b"\n-- Dump comp", 1)])
def test_only_a_stream_that_ends_as_it_must_is_passed_on_as_good(
    tmp_path: Path, size: int, end: bytes, code: int
) -> None:
    content = b"x" * size + end
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # the writer is through before the relay comes, as a small database's dump is
    writer = os.open(pipe, os.O_WRONLY)
    os.write(writer, content)
    os.close(writer)
    done = subprocess.run(relay_command(pipe, "-- Dump completed"), check=False, capture_output=True, timeout=30)
    os.close(reader)
    assert (done.returncode, done.stdout) == (code, content)


def test_a_stream_longer_than_a_pipe_arrives_whole(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = os.urandom(1 << 16) * 80 + b"END"
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with (
        pipe.open("wb") as writer,
        subprocess.Popen(relay_command(pipe, "END"), stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        received = b""
        for start in range(0, len(content), 1 << 15):
            writer.write(content[start : start + (1 << 15)])
            writer.flush()
            received += os.read(process.stdout.fileno(), 1 << 15)
        writer.close()
        received += process.stdout.read()
    os.close(reader)
    assert received == content
    assert process.returncode == 0
