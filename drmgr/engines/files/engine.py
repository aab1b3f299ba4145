"""File trees: restic reads the folder itself; a manifest is stored beside it.

The manifest is made from restic's own listing of the snapshot, so it names exactly what was stored. A file that changed
between restic's reading and ours carries no hash and is counted as ``moving``: its content cannot be vouched for, and
the facts say so. Paths are kept as interfaces.Sink tells them, so that a name in any encoding is the same file again.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from drmgr.engines.files.capture import TreeCapture, root_to_read
from drmgr.engines.files.crew import Work, looked_at
from drmgr.engines.files.look import Line, name_bytes, opened
from drmgr.engines.files.newest import is_newer, newer_paths
from drmgr.engines.files.newest import patterns as as_patterns
from drmgr.engines.files.places import refuse_own_folders
from drmgr.engines.files.seen import Seen
from drmgr.engines.files.settings import FILES_PART, MANIFEST_NAME, MANIFEST_PART, TreeSettings
from drmgr.engines.files.tally import Tally, known_to
from drmgr.engines.files.worker import decoded
from drmgr.engines.hooks import HookRun
from drmgr.errors import LoadError, NotAllowedError, PreflightError, ScratchError, SourceError
from drmgr.interfaces import Capture, Clock, Progress
from drmgr.model import CheckResult, CheckStatus, Facts, Instance, Level, Newer, Recipe
from drmgr.system.command import Runner
from drmgr.system.files import private_directory


class FilesEngine:
    """Implements interfaces.Engine for a folder. ``runtime`` is a private directory for lists."""

    name = "files"

    def __init__(self, settings: TreeSettings, clock: Clock, runtime: Path, runner: Runner) -> None:
        self._settings = settings
        self._clock = clock
        self._runtime = runtime
        self._runner = runner

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
        refuse_own_folders(self._settings)
        if self._settings.hooks is not None:
            self._settings.hooks.preflight()
        if self._settings.snapshot is not None:
            self._settings.snapshot.hooks.preflight()

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        run = HookRun(self._clock)
        reading = root_to_read(self._settings, self._clock, run)
        with private_directory(self._runtime, "manifest-") as staging, reading as root:
            yield TreeCapture(
                self._settings, root, clock=self._clock, staging=staging, runner=self._runner, notes=run.notes
            )

    def recipe(self, facts: Facts) -> Recipe:
        return Recipe(source="", engine=self.name)

    def target(self) -> Instance:
        raise NotAllowedError(
            "a file tree is not restored over its own folder",
            hint="restore it with --to folder:PATH and move it into place",
        )

    def identity(self, of: Instance) -> str:
        return f"files:{_folder(of).resolve()}"

    def versions(self, of: Instance | None = None) -> Mapping[str, str]:
        del of
        return {"pydicom": version("pydicom")} if self._settings.facts == "dicom" else {}

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
                # never a copy: owners, links and holes would not be what they were
                item.rename(target / item.name)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ScratchError(f"the restored tree could not be moved to {target}: {reason}") from error
        progress(1.0, "files")
        return Instance(engine=self.name, path=target, manifest=manifest)

    def facts(self, of: Instance, like: Facts) -> Facts:
        """What the manifest names, looked at in the folder, every file anew: no cache is asked."""
        started, now = self._clock.monotonic(), self._clock.now()
        folder, manifest = _folder(of), _manifest(of)
        every_kind = "objects" in like.groups
        with private_directory(self._runtime, "compare-") as staging, Seen(staging) as seen:
            tally = Tally(seen, dicom="dicom" in like.groups)
            with manifest.open("rb") as lines:
                count = sum(1 for _ in lines)
            answers = looked_at(Work(folder, "compare", manifest, count), self._runner)
            for stored in _lines(manifest):
                answer = next(answers, None)
                if answer is None:
                    raise SourceError("not every file of the manifest was looked at")
                found = decoded(answer)
                if found is not None:
                    tally.linked(found, as_in=stored)
                tally.add(found, stored=stored)
            tally.extra = _count(folder, every_kind=every_kind) - (tally.present if every_kind else tally.files)
            groups = known_to(tally.groups(compared=True), like.groups)
        return Facts(self.name, now, groups, self._clock.monotonic() - started)

    def newer(self, restored: Path, since: datetime, patterns: Path) -> Newer:
        manifest = restored / MANIFEST_PART / MANIFEST_NAME
        if any("mtime" not in line for line in _files_of(manifest)):
            raise PreflightError(
                "this recovery point does not tell when its files were written",
                hint="restore it without --newer-than: an older drmgr made it",
            )
        paths, files, everything = newer_paths(_lines(manifest), since)
        with patterns.open("w", encoding="utf-8") as written:
            written.writelines(f"{pattern}\n" for pattern in as_patterns(paths))
        return Newer(files, everything)

    def lacking(self, restored: Path, since: datetime) -> int:
        lacking, folder = 0, os.fsencode(restored / FILES_PART)
        for line in _files_of(restored / MANIFEST_PART / MANIFEST_NAME):
            if is_newer(line, since):
                try:
                    status = os.lstat(os.path.join(folder, name_bytes(line["path"])))  # noqa: PTH118
                    lacking += not stat.S_ISREG(status.st_mode) or status.st_size != line["size"]
                except OSError:
                    lacking += 1
        return lacking

    def integrity(self, of: Instance) -> CheckResult:
        """Every file that the manifest names is there with its size, and can be opened.

        Without a manifest, which people who work in the folder have left behind: every file that is there can be opened.
        """
        started = self._clock.monotonic()
        folder = os.fsencode(_folder(of))
        if of.manifest is None:
            found, closed = _openable(folder)
            status = CheckStatus.PASS if found and not closed else CheckStatus.FAIL
            seconds = self._clock.monotonic() - started
            return CheckResult(
                "files-readable", status, Level.INTEGRITY, found, found - closed, seconds, message=_WITHOUT_MANIFEST
            )
        expected = wrong = 0
        for line in _files_of(_manifest(of)):
            expected += 1
            try:
                with opened(folder, line["path"]) as file:
                    wrong += os.fstat(file.fileno()).st_size != line["size"]
            except OSError:
                wrong += 1
        status = CheckStatus.PASS if expected and not wrong else CheckStatus.FAIL
        return CheckResult(
            "files-readable", status, Level.INTEGRITY, expected, expected - wrong, self._clock.monotonic() - started
        )


def _manifest(of: Instance) -> Path:
    if of.manifest is None:
        raise SourceError("this folder has no manifest to compare with")
    return of.manifest


def _lines(manifest: Path) -> Iterator[Line]:
    with manifest.open(encoding="ascii") as lines:
        for line in lines:
            yield json.loads(line)


def _files_of(manifest: Path) -> Iterator[Line]:
    return (line for line in _lines(manifest) if line.get("kind", "file") == "file")


_WITHOUT_MANIFEST = "all that is there now can be opened; that it is all of it was proven when it was put in place"


def _openable(folder: bytes) -> tuple[int, int]:
    """How many regular files there are below the folder, and how many of them cannot be opened."""
    found = closed = 0
    for top, _, names in os.walk(folder, onerror=_refuse):
        for name in names:
            path = os.path.join(top, name)  # noqa: PTH118 - names are bytes
            if stat.S_ISREG(os.lstat(path).st_mode):
                found += 1
                closed += not os.access(path, os.R_OK)
    return found, closed


def _refuse(error: OSError) -> None:
    raise SourceError(f"a folder could not be read: {error.strerror}")


def _count(folder: Path, *, every_kind: bool) -> int:
    """Objects below the folder but for sockets, which nothing brings back; or its regular files alone."""
    count, places = 0, [os.fsencode(folder)]
    while places:
        try:
            with os.scandir(places.pop()) as found:
                for item in found:
                    folder_here = item.is_dir(follow_symlinks=False)
                    if folder_here:
                        places.append(item.path)
                    file_here = item.is_file(follow_symlinks=False)
                    count += file_here or every_kind
        except OSError as error:
            raise SourceError(f"a folder of the restored tree cannot be listed: {error.strerror}") from error
    return count


def _folder(of: Instance) -> Path:
    if of.path is None:
        raise SourceError("this instance is not a folder")
    return of.path
