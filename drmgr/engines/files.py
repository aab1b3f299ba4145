"""File trees: restic reads the folder itself; a manifest with hashes is stored beside it.

The manifest is made from restic's own listing of the snapshot, so it names exactly what was stored. A file that changed
between restic's reading and ours carries no hash and is counted as ``moving``: its content cannot be vouched for, and
the facts say so. Paths are kept as interfaces.Sink tells them, so that a name in any encoding is the same file again.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from drmgr.errors import LoadError, NotAllowedError, PreflightError, RepositoryError, ScratchError, SourceError
from drmgr.interfaces import Capture, Clock, Progress, Sink
from drmgr.model import CheckResult, CheckStatus, Entry, Facts, Instance, Json, Level, Recipe, Tree
from drmgr.system.files import private_directory

FILES_PART = "files"
MANIFEST_PART = "manifest"
MANIFEST_NAME = "manifest.jsonl"
SAMPLE_ONE_IN = 16
"""In ``sampled`` mode one file in so many is hashed, chosen by its path's own hash: the same ones every night."""


@dataclass(frozen=True)
class TreeSettings:
    """One tree: where it is, what is left out, whether all files are hashed (``full``) or one in 16 (``sampled``)."""

    root: Path
    excludes: tuple[str, ...] = ()
    one_file_system: bool = False
    facts: str = "full"


class FilesEngine:
    """Implements interfaces.Engine for a folder."""

    name = "files"

    def __init__(self, settings: TreeSettings, clock: Clock, runtime: Path) -> None:
        self._settings = settings
        self._clock = clock
        self._runtime = runtime

    def preflight(self) -> None:
        root = self._settings.root
        if not root.is_dir():
            raise PreflightError(f"the folder {root} is not there", hint="is its disk mounted?")
        if not os.access(root, os.R_OK | os.X_OK):
            raise PreflightError(f"the folder {root} cannot be read", hint="give drmgr's account read rights on it")
        with os.scandir(root) as found:
            if next(found, None) is None:
                raise PreflightError(
                    f"the folder {root} is empty",
                    hint="an unmounted disk looks like this; drmgr does not back up nothing",
                )

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        with private_directory(self._runtime, "manifest-") as staging:
            yield _TreeCapture(self._settings, self._clock, staging)

    def recipe(self, facts: Facts) -> Recipe:
        return Recipe(source="", engine=self.name)

    def target(self) -> Instance:
        raise NotAllowedError(
            "a file tree is not restored over its own folder",
            hint="restore it with --to folder:PATH and move it into place",
        )

    def identity(self, of: Instance) -> str:
        return f"files:{_folder(of).resolve()}"

    def load(self, restored: Path, into: Instance, progress: Progress) -> Instance:
        target, files = _folder(into), restored / FILES_PART
        manifest = restored / MANIFEST_PART / MANIFEST_NAME
        if any(target.iterdir()):
            raise PreflightError(f"the folder {target} is not empty")
        if not files.is_dir() or not any(files.iterdir()):
            raise LoadError("the restored tree is not there")
        if not manifest.is_file():
            raise LoadError("the restored tree has no manifest")
        try:
            for item in files.iterdir():
                # a rename on one file system, a copy to another
                shutil.move(item, target / item.name)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ScratchError(f"the restored tree could not be moved to {target}: {reason}") from error
        progress(1.0, "files")
        return Instance(engine=self.name, path=target, manifest=manifest)

    def facts(self, of: Instance, like: Facts) -> Facts:
        """What the manifest names, looked up in the folder: the digest covers paths, sizes and content hashes."""
        started, now = self._clock.monotonic(), self._clock.now()
        folder, tally = _folder(of), _Tally()
        for line in _manifest(of):
            tally.add(_looked_up(folder, line), stored=line)
        tally.extra = sum(1 for _ in _walk(folder)) - tally.present
        return Facts(self.name, now, tally.groups(), self._clock.monotonic() - started)

    def integrity(self, of: Instance) -> CheckResult:
        """Every file that the manifest names is there with its size, and can be opened."""
        started = self._clock.monotonic()
        expected = wrong = 0
        for line in _manifest(of):
            expected += 1
            try:
                with _opened(_folder(of), line["path"]) as file:
                    wrong += os.fstat(file.fileno()).st_size != line["size"]
            except OSError:
                wrong += 1
        status = CheckStatus.PASS if expected and not wrong else CheckStatus.FAIL
        return CheckResult(
            "files-readable", status, Level.INTEGRITY, expected, expected - wrong, self._clock.monotonic() - started
        )


class _TreeCapture:
    """restic's run over the tree is the view; the manifest is what that run stored."""

    def __init__(self, settings: TreeSettings, clock: Clock, staging: Path) -> None:
        self.consistent_at: datetime = clock.now()
        self._settings = settings
        self._clock = clock
        self._staging = staging
        self._tally = _Tally()
        self._seconds = 0.0

    def store(self, sink: Sink) -> None:
        settings = self._settings
        tree = Tree(FILES_PART, settings.root, settings.excludes, settings.one_file_system)
        part = sink.save(tree)
        started = self._clock.monotonic()
        try:
            self._write_manifest(sink.entries(part))
        except OSError as error:
            raise PreflightError(
                f"the list of the stored files could not be written: {error.strerror}",
                hint="free some space where state lies in the site file",
            ) from error
        self._seconds = self._clock.monotonic() - started
        if self._tally.present != part.files:
            raise RepositoryError(
                f"the snapshot of {settings.root} lists {self._tally.present} files, {part.files} were stored"
            )
        if self._tally.present == 0:
            raise SourceError(
                f"no file of {settings.root} was stored", hint="do the excludes of the job leave anything?"
            )
        sink.save(Tree(MANIFEST_PART, self._staging))

    def _write_manifest(self, entries: Iterator[Entry]) -> None:
        with (self._staging / MANIFEST_NAME).open("w", encoding="ascii") as manifest:
            for entry in entries:
                line = _vouched(self._settings, entry)
                self._tally.add(line, stored=line)
                manifest.write(json.dumps(line, separators=(",", ":")) + "\n")

    def facts(self) -> Facts:
        return Facts(FilesEngine.name, self.consistent_at, self._tally.groups(), self._seconds)


class _Tally:
    """Counts, and one running digest over the manifest's lines in their order; constant memory."""

    def __init__(self) -> None:
        self.present = 0
        self.extra = 0
        self._bytes = self._hashed = self._moving = self._missing = self._changed = 0
        self._digest = hashlib.sha256()

    def add(self, found: Mapping[str, Json] | None, *, stored: Mapping[str, Json]) -> None:
        self._moving += bool(stored.get("moving"))
        self._hashed += "sha256" in stored
        if found is None:
            self._missing += 1
            return
        self.present += 1
        self._bytes += found["size"]
        same = found["size"] == stored["size"] and found.get("sha256") == stored.get("sha256")
        self._changed += not same
        self._digest.update(json.dumps([found["path"], found["size"], found.get("sha256")]).encode())

    def groups(self) -> Mapping[str, Mapping[str, Json]]:
        return {
            "files": {"count": self.present, "bytes": self._bytes, "hashed": self._hashed, "moving": self._moving},
            "content": {"digest": self._digest.hexdigest()},
            "differences": {"missing": self._missing, "changed": self._changed, "extra": self.extra},
        }


def _vouched(settings: TreeSettings, entry: Entry) -> dict[str, Json]:
    """The manifest's line for one stored file: with its hash if it still is the file that restic read."""
    line: dict[str, Json] = {"path": entry.path, "size": entry.size}
    if settings.facts != "full" and not _sampled(entry.path):
        return line
    try:
        with _opened(settings.root, entry.path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
    except OSError:
        return {**line, "moving": True}
    if (after.st_size, after.st_mtime_ns) != (entry.size, entry.modified):
        return {**line, "moving": True}
    return {**line, "sha256": digest}


def _sampled(path: str) -> bool:
    return hashlib.sha256(_bytes(path)).digest()[0] % SAMPLE_ONE_IN == 0


def _looked_up(folder: Path, line: Mapping[str, Json]) -> dict[str, Json] | None:
    try:
        with _opened(folder, line["path"]) as file:
            found: dict[str, Json] = {"path": line["path"], "size": os.fstat(file.fileno()).st_size}
            if "sha256" in line:
                found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return found


def _opened(folder: Path, path: str) -> BufferedReader:
    """The regular file at that path of a manifest. Raises OSError, also for a link or pipe that took its place."""
    # as bytes: the host's own encoding of names may be another than the manifest's
    place = os.path.join(os.fsencode(folder), _bytes(path))  # noqa: PTH118 - pathlib knows no bytes
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError("not a regular file")
    return os.fdopen(handle, "rb")


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _manifest(of: Instance) -> Iterator[Mapping[str, Json]]:
    if of.manifest is None:
        raise SourceError("this folder has no manifest to compare with")
    with of.manifest.open(encoding="ascii") as lines:
        for line in lines:
            yield json.loads(line)


def _walk(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder, onerror=_refuse):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _refuse(error: OSError) -> None:
    raise SourceError(f"a folder of the restored tree cannot be listed: {error.strerror}") from error


def _folder(of: Instance) -> Path:
    if of.path is None:
        raise SourceError("this instance is not a folder")
    return of.path
