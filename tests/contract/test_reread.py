"""A file that changed under a running backup, without a trace in its times, is in the next one all the same."""

import mmap
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from drmgr.engines.postgres.store import Files, store_files
from drmgr.model import Entry, Part, Payload, Snapshot
from drmgr.repository.restic import ResticRepository
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.restic import restic_in


class Sink:
    """Stores into a real repository; what was stored last is what came before."""

    def __init__(self, repository: ResticRepository) -> None:
        self.repository = repository
        self.parts: dict[str, Snapshot] = {}
        self.before: Snapshot | None = None

    def save(self, payload: Payload) -> Part:
        done = self.repository.backup(payload, (f"part={payload.part}",), lambda _share, _word: None)
        self.parts[payload.part] = done
        return Part(payload.part, done.id, done.files, done.bytes)

    def save_together(self, *payloads: Payload) -> tuple[Part, ...]:
        return tuple(map(self.save, payloads))

    def entries(self, part: Part) -> Iterator[Entry]:
        return self.repository.entries(part.snapshot)

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def previous(self, part: str) -> Snapshot | None:
        return self.before


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder that is written to no disk: a page that the kernel writes there, whenever it likes, is write-protected for it,
    and the next change of it leaves its trace in the times after all."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    settings = restic_in(tmp_path / "r", tmp_path / "cache")
    repository = ResticRepository(settings, lambda: Secret("p" * 64), Runner())
    repository.init()
    return Sink(repository)


def test_a_change_that_leaves_no_trace_is_stored(in_memory: Path, sink: Sink) -> None:
    """Two writes to a mapped page are one to the file system: the second one changes the file and not its times."""
    data = in_memory / "data"
    for name in ("global/pg_control", "base/1/1259"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"old" * 3000)
    relation = data / "base/1/1259"
    with relation.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[0:3] = b"new"
        times = relation.stat()
        store_files(sink, Files(data, {}, "", "1"), SystemClock())
        listed = sink.repository.snapshots(("part=cluster",)).snapshots
        sink.before, sink.parts = listed[-1], {}
        pages[0:3] = b"two"
        assert (relation.stat().st_mtime_ns, relation.stat().st_ctime_ns) == (times.st_mtime_ns, times.st_ctime_ns)
        (data / "global/pg_control").touch()
        manifest = store_files(sink, Files(data, {}, "", "1"), SystemClock()).manifest(sink)
    assert b'"base/1/1259": 9000' in manifest and b'"global/pg_control": 9000' in manifest
    assert sink.repository.read_bytes(sink.parts["reread-cluster"].id, "base/1/1259")[:3] == b"two"
    # without it, it would have been lost
    assert [each.path for each in sink.repository.entries(sink.parts["cluster"].id) if each.kind == "file"] == []


def test_what_is_older_than_the_snapshot_before_is_not_read_again(tmp_path: Path, sink: Sink) -> None:
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    (data / "global/pg_control").write_bytes(b"c")
    (data / "1").write_bytes(b"1" * 100_000)
    store_files(sink, Files(data, {}, "", "1"), SystemClock())
    (first,) = sink.repository.snapshots().snapshots
    assert first.ended is not None
    later = timedelta(minutes=1)
    sink.before = replace(first, time=first.time + later, ended=first.ended + later)
    store_files(sink, Files(data, {}, "", "1"), SystemClock())
    assert set(sink.parts) == {"cluster"}
    assert sink.parts["cluster"].bytes_added < 10_000
