"""An index and its files as of one point, while a program goes on writing both: no row may come without its file."""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.checks.filetree import FilesCheck, IndexedFiles
from drmgr.checks.order import OrderCheck
from drmgr.engines.files import FilesEngine, TreeSettings
from drmgr.engines.sqlite import SqliteEngine
from drmgr.errors import SourceError
from drmgr.flows.backup import backup
from drmgr.flows.bench import Bench, Source, WiredSystem
from drmgr.flows.points import find
from drmgr.flows.restore import restore as run_restore
from drmgr.flows.restoreplan import RestorePlan, ToScratch
from drmgr.interfaces import Progress
from drmgr.model import CheckResult, CheckStatus, Payload, Snapshot, Text
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.fake_repository import FakeRepository
from tests.support.fakes import FakeEngine
from tests.support.site import wait_until
from tests.unit.flows.conftest import Site, site

__all__ = ["site"]


class Archive:
    """A picture archive at work: each image is written, then its row. It can be made to stand still."""

    def __init__(self, folder: Path) -> None:
        self.images, self.index = folder / "images", folder / "index.db"
        self.images.mkdir(parents=True)
        self.rows = 0
        self.still = threading.Lock()
        self.standing = False
        self.stop = threading.Event()
        with closing(sqlite3.connect(self.index)) as made:
            made.executescript("PRAGMA journal_mode = WAL; CREATE TABLE image (path TEXT, size INTEGER, sha256 TEXT)")

    def work(self) -> None:
        with closing(sqlite3.connect(self.index, isolation_level=None, timeout=60)) as session:
            while not self.stop.wait(0.002):
                with self.still:
                    self._one(session)

    def _one(self, session: sqlite3.Connection) -> None:
        content = f"image {self.rows}".encode() * 50
        name = f"{self.rows:06}.dcm"
        received = self.images.parent / "received"
        received.write_bytes(content)
        received.rename(self.images / name)
        digest = hashlib.sha256(content).hexdigest()
        session.execute("INSERT INTO image VALUES (?, ?, ?)", (name, len(content), digest))
        self.rows += 1

    def goes_on(self) -> None:
        """Waits until some more images have come; not while it is made to stand still."""
        # the lock itself tells nothing: whoever writes holds it too
        if not self.standing:
            wanted = self.rows + 3
            wait_until(lambda: self.rows >= wanted, "the archive to work")


class BusyRepository(FakeRepository):
    """Before and after each part is stored, the archive has gone on."""

    def __init__(self, path: Path, archive: Archive) -> None:
        super().__init__(path)
        self._archive = archive

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        self._archive.goes_on()
        done = super().backup(payload, tags, progress)
        self._archive.goes_on()
        return done


class StandStill:
    """Makes the archive stand still; ``log`` tells when."""

    name = "pause-archive"
    notes = ()

    def __init__(self, archive: Archive, log: list[str]) -> None:
        self._archive = archive
        self._log = log

    def preflight(self) -> None:
        return

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._archive.still:
            self._log.append("still")
            self._archive.standing = True
            yield
            self._archive.standing = False
        self._log.append("goes on")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "archive")
    writer = threading.Thread(target=made.work)
    writer.start()
    try:
        wait_until(lambda: made.rows > 3, "the archive to begin")
        yield made
    finally:
        made.stop.set()
        writer.join()


@pytest.fixture
def bench(site: Site) -> Bench:
    return replace(site.bench, clock=SystemClock())


@pytest.fixture
def wired(site: Site, archive: Archive, tmp_path: Path) -> WiredSystem:
    clock = SystemClock()
    index = SqliteEngine("index", archive.index, clock=clock, runtime=tmp_path / "runtime")
    images = FilesEngine(TreeSettings(archive.images), clock, tmp_path / "runtime", Runner())
    of = IndexedFiles("index", "SELECT path, size, sha256 FROM image", "images")
    checks = (OrderCheck("index", "images"), FilesCheck(name="match", title=Text("题", "t"), engine=index, of=of))
    repository = BusyRepository(tmp_path / "busy", archive)
    repository.init()
    sources = (Source("index", index), Source("images", images))
    return replace(site.wired, sources=sources, checks=checks, repository=repository)


def proven(bench: Bench, wired: WiredSystem) -> dict[str, CheckResult]:
    from datetime import timedelta

    done = run_restore(bench, wired, RestorePlan("latest", ToScratch(timedelta(hours=1))))
    return {check.name: check for check in done.outcome.checks}


def reversed_order(wired: WiredSystem) -> WiredSystem:
    """As no configuration is allowed to say it."""
    return replace(wired, sources=wired.sources[::-1])


def test_the_index_first_leaves_no_row_without_its_file(bench: Bench, wired: WiredSystem) -> None:
    for _ in range(3):
        backup(bench, wired)
        checks = proven(bench, wired)
        assert {name: check.status for name, check in checks.items()} == dict.fromkeys(checks, CheckStatus.PASS)
        # and there were such images: they came between the two
        assert checks["match"].actual["arriving"] > 0
        assert checks["match"].actual["missing"] == checks["match"].actual["orphans"] == 0


def test_the_files_first_is_caught(bench: Bench, wired: WiredSystem) -> None:
    wrong = reversed_order(wired)
    backup(bench, wrong)
    checks = proven(bench, wrong)
    assert checks["match"].status is CheckStatus.FAIL
    assert checks["match"].actual["missing"] >= 3
    assert checks["order-index-images"].status is CheckStatus.FAIL


def test_in_a_pause_every_order_holds_and_the_seal_tells_it(bench: Bench, wired: WiredSystem, archive: Archive) -> None:
    log: list[str] = []
    paused = replace(reversed_order(wired), pause=StandStill(archive, log))
    done = backup(bench, paused)
    assert log == ["still", "goes on"]
    still = done.point.standstill
    assert still is not None
    assert still.pause == "pause-archive"
    assert still.since <= min(member.consistent_at for member in done.point.members) <= still.until
    (offered,) = find(paused.repository, bench.catalog, "his").points
    assert offered.point.standstill == still
    checks = proven(bench, paused)
    assert {name: check.status for name, check in checks.items()} == dict.fromkeys(checks, CheckStatus.PASS)
    assert "arriving" not in checks["match"].actual


def test_views_that_stay_as_they_are_need_no_pause_while_they_are_stored(
    site: Site, bench: Bench, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    for name, engine in site.engines.items():
        monkeypatch.setattr(engine, "_act", lambda step, name=name: log.append(f"{name} {step}"))
    backup(bench, replace(site.wired, pause=StandStill(archive, log)))
    opened = log.index("images capture")
    assert log.index("still") < log.index("main capture") < opened < log.index("goes on") < log.index("main store")


def test_a_source_that_fails_does_not_leave_the_archive_standing(
    site: Site, bench: Bench, wired: WiredSystem, archive: Archive
) -> None:
    log: list[str] = []
    broken = FakeEngine(archive.images, site.clock, raises={"store": SourceError("no")})
    with pytest.raises(SourceError):
        backup(bench, replace(wired, sources=(*wired.sources, Source("x", broken)), pause=StandStill(archive, log)))
    assert not archive.still.locked()
    archive.goes_on()
