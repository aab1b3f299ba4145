"""The view of a tree: restic's run over it, and the manifest of what that run stored."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drmgr.engines.files.cache import FactsCache
from drmgr.engines.files.crew import Work, looked_at
from drmgr.engines.files.look import KINDS
from drmgr.engines.files.seen import Seen
from drmgr.engines.files.settings import FILES_PART, MANIFEST_NAME, MANIFEST_PART, TreeSettings
from drmgr.engines.files.tally import Groups, Tally
from drmgr.engines.files.worker import DONE, decoded, encoded
from drmgr.engines.hooks import HookRun
from drmgr.errors import PreflightError, RepositoryError, SourceError
from drmgr.interfaces import Clock, Sink
from drmgr.model import Entry, Facts, Tree
from drmgr.system.command import Runner
from drmgr.system.files import private_directory

LIST_NAME = "list"
STORED_KINDS = {*KINDS.values()} - {"socket"}
"""Sockets live only as long as their program; no restore brings them back."""


@dataclass(frozen=True)
class Root:
    """Where a tree is to be read, and the instant before which everything is surely in it."""

    path: Path
    at: datetime


@contextmanager
def root_to_read(settings: TreeSettings, clock: Clock, run: HookRun) -> Iterator[Root]:
    """The tree in place, or in a snapshot of its file system that lives as long as the block.

    Raises SourceError when a command fails, or when what it made is not a snapshot.
    """
    pause = nullcontext() if settings.hooks is None else run.around(settings.hooks)
    if settings.snapshot is None:
        with pause:
            yield Root(settings.root, clock.now())
        return
    with ExitStack() as kept:
        with pause:
            at = clock.now()
            kept.enter_context(run.around(settings.snapshot.hooks))
        _refuse_no_snapshot(settings.root, settings.snapshot.path)
        yield Root(settings.snapshot.path, at)


def _refuse_no_snapshot(root: Path, path: Path) -> None:
    """A mount that did not happen leaves an empty folder, or the live one."""
    try:
        there, live = path.stat(), root.stat()
        with os.scandir(path) as found:
            empty = next(found, None) is None
    except OSError as error:
        raise SourceError(
            f"the snapshot {path} cannot be read: {error.strerror}", hint="try its commands by hand"
        ) from None
    if empty or os.path.samestat(there, live):
        what = "is empty" if empty else f"is the live folder {root} itself"
        raise SourceError(
            f"the snapshot {path} {what}", hint="try its commands by hand, and look what is mounted there"
        )


class TreeCapture:
    """See interfaces.Capture. ``root`` is where the tree is read, ``staging`` a private folder for lists."""

    def __init__(
        self,
        settings: TreeSettings,
        root: Root,
        *,
        clock: Clock,
        staging: Path,
        runner: Runner,
        notes: Sequence[str],
    ) -> None:
        self.consistent_at = root.at
        self.frozen = settings.snapshot is not None
        self._settings = settings
        self._root = root.path
        self._clock = clock
        self._staging = staging
        self._runner = runner
        self._notes = notes
        self._groups: Groups = {}
        self._seconds = 0.0

    def store(self, sink: Sink) -> None:
        settings = self._settings
        part = sink.save(Tree(FILES_PART, self._root, settings.excludes, settings.one_file_system))
        started = self._clock.monotonic()
        with private_directory(self._staging, "lists-") as lists, Seen(lists) as seen:
            tally = Tally(seen, dicom=settings.facts == "dicom")
            manifest = self._staging / MANIFEST_PART
            manifest.mkdir()
            try:
                self._write_manifest(sink.entries(part), lists, manifest / MANIFEST_NAME, tally)
            except (OSError, sqlite3.Error) as error:
                reason = getattr(error, "strerror", None) or "no space left, or a damaged disk"
                raise PreflightError(
                    f"the list of the stored files could not be written: {reason}",
                    hint="free some space where state lies in the site file",
                ) from error
            self._groups = tally.groups()
        self._seconds = self._clock.monotonic() - started
        self._believe(tally, part.files)
        for note in (*self._notes, *self._remarks(tally)):
            sink.note(note)
        sink.save(Tree(MANIFEST_PART, manifest))

    def _believe(self, tally: Tally, stored: int) -> None:
        if tally.files != stored:
            raise RepositoryError(
                f"the snapshot of {self._settings.root} lists {tally.files} files, {stored} were stored"
            )
        if tally.files == 0:
            raise SourceError(
                f"no file of {self._settings.root} was stored", hint="do the excludes of the job leave anything?"
            )

    def _remarks(self, tally: Tally) -> Iterator[str]:
        if tally.moving:
            yield f"files that changed while they were read: {tally.moving} of {tally.files}; their content is not vouched for"
        if tally.leading_out:
            yield f"links that lead out of the tree: {tally.leading_out}; what they lead to is not in this backup"
        damaged = self._groups.get("dicom", {}).get("damaged")
        if damaged:
            yield f"images that cannot be read: {damaged}"

    def _write_manifest(self, entries: Iterator[Entry], lists: Path, manifest: Path, tally: Tally) -> None:
        settings, listing = self._settings, lists / LIST_NAME
        with FactsCache(settings.cache, lists / "cache.db", settings.facts) as cache:
            unknown = _write_list(entries, listing, cache)
            answers = looked_at(Work(self._root, "vouch", listing, unknown, settings.facts), self._runner)
            with manifest.open("wb") as lines:
                for asked, answer in zip(_asked(listing), answers, strict=True):
                    line = decoded(answer)
                    if asked is not None:
                        cache.keep(asked, line)
                        tally.linked(line)
                    tally.add(line, stored=line)
                    # of what is remembered, the answer is the line as it was written before
                    lines.write(answer if asked is None else encoded(line))
            cache.commit()

    def facts(self) -> Facts:
        return Facts("files", self.consistent_at, self._groups, self._seconds)


def _write_list(entries: Iterator[Entry], listing: Path, cache: FactsCache) -> int:
    """Writes what is to be looked at, and what is known already; how many are not."""
    unknown = 0
    with listing.open("wb") as lines:
        for entry in entries:
            if entry.kind not in STORED_KINDS:
                continue
            known = cache.found(entry)
            unknown += known is None
            lines.write(encoded(vars(entry)) if known is None else DONE + known)
    return unknown


def _asked(listing: Path) -> Iterator[Entry | None]:
    """The entries that are to be looked at; None for each that is known already."""
    with listing.open("rb") as lines:
        for line in lines:
            yield None if line.startswith(DONE) else Entry(**decoded(line))
