"""Care of a repository by restic: taking from another, forgetting, pruning, looking through a part of it."""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from drmgr.errors import RepositoryDamagedError, RepositoryMissingError
from drmgr.interfaces import Progress
from drmgr.model import CheckReport, Json
from drmgr.repository.restic import REPLACED_TAG, ResticRepository
from drmgr.repository.restic_output import ignored_snapshots

IDS_AT_ONCE = 300
"""How many ids one command line names."""


class CaredRepository(ResticRepository):
    """One repository with all that may be done to it; implements interfaces.CaredRepository."""

    # what this host remembers of a snapshot must not stand for what the store has lost
    _listing = ("--no-cache",)

    def init_like(self, source: "CaredRepository") -> bool:
        from drmgr.repository.restic_keys import RepositoryPasswords

        try:
            self.probe()
        except RepositoryMissingError:
            done = self._run("init", "--json", "--copy-chunker-params", beside=source)
            self._expect_ok("make the repository of the copy", done)
            RepositoryPasswords(self).lighten_new(self._password())
            return True
        return False

    def take(self, source: "CaredRepository", snapshots: Sequence[str], progress: Progress) -> None:
        for taken, some in _chunks([source._stored_id(each) for each in snapshots]):
            progress(taken / len(snapshots), "copy")
            # what it prints is for people; what has arrived is told by the listing afterwards
            done = self._run("copy", *some, on_line=_unheard, beside=source)
            self._expect_ok(f"copy {len(some)} snapshots", done)

    def forget(self, snapshots: Sequence[str]) -> None:
        for _, some in _chunks([self._stored_id(each) for each in snapshots]):
            done = self._run("forget", *some, on_line=_unheard)
            self._expect_ok(f"forget {len(some)} snapshots", done)
            if unread := ignored_snapshots(done.stderr):
                raise RepositoryDamagedError(f"forget {len(some)} snapshots: {len(unread)} cannot be read")

    def prune(self) -> None:
        done = self._run("prune", on_line=_unheard)
        self._expect_ok("prune the repository", done)

    def check_group(self, group: int, groups: int) -> CheckReport:
        return self._look([f"--read-data-subset={group}/{groups}"], 1 / groups)

    def touched_by(self, packs: Sequence[str]) -> frozenset[str]:
        listing = {snapshot.stored_as: snapshot.id for snapshot in self.snapshots().snapshots}
        known = set(self._packs_of_index())
        data = [pack for pack in packs if pack in known]
        found: set[str] = set()
        for _, some in _chunks(data):
            found |= self._found("--pack", some)
        for _, some in _chunks(list(self._trees_in(set(data)))):
            found |= self._found("--tree", some)
        return frozenset(name for stored, name in listing.items() if any(stored.startswith(each) for each in found))

    def drop_broken(self, packs: Sequence[str], snapshots: Sequence[str]) -> None:
        for snapshot in snapshots:
            # named by its own hash, which it does not match: restic can neither read nor remove it
            self._settings.files.remove(f"snapshots/{snapshot}")
        listing = self._run("list", "packs", "--no-lock")
        self._expect_ok("list the packs", listing)
        present = set(listing.stdout.decode().split())
        self._settings.cache.mkdir(parents=True, exist_ok=True)
        # it saves the packs that it takes out where it stands; they lie encrypted and in vain there
        with tempfile.TemporaryDirectory(prefix="packs-", dir=self._settings.cache) as aside:
            for _, some in _chunks([pack for pack in packs if pack in present]):
                done = self._run("repair", "packs", *some, on_line=_unheard, cwd=Path(aside))
                self._expect_ok("take broken packs out", done)
        done = self._run("repair", "index", on_line=_unheard)
        self._expect_ok("make the index anew", done)

    def replace(self, source: "CaredRepository", snapshots: Sequence[str], progress: Progress) -> None:
        known = {snapshot.id for snapshot in self.snapshots().snapshots}
        # restic passes over a snapshot that the target has; with a tag more it is another one
        for _, some in _chunks([self._stored_id(each) for each in snapshots if each in known]):
            done = self._run("tag", "--add", REPLACED_TAG, *some, on_line=_unheard)
            self._expect_ok("mark broken snapshots", done)
        self.take(source, snapshots, progress)
        rows, _ = self._rows("--tag", REPLACED_TAG)
        sound = {each.id for each in self.snapshots().snapshots if REPLACED_TAG not in each.tags}
        for _, some in _chunks([row["id"] for row in rows if row.get("original", row["id"]) in sound]):
            done = self._run("forget", *some, on_line=_unheard)
            self._expect_ok("forget broken snapshots", done)

    def _found(self, kind: str, ids: Sequence[str]) -> set[str]:
        """The snapshots, by id or its beginning, that restic finds them in, or cannot look through."""
        found: set[str] = set()
        told = re.compile(rb"^ \.\.\. (?:in|which belongs to) snapshot ([0-9a-f]{8,64})\b")

        def take(line: bytes) -> None:
            if match := told.match(line):
                found.add(match[1].decode())

        done = self._run("find", kind, *ids, "--no-lock", "--no-cache", on_line=take)
        self._expect_ok("find what broken packs hold", done)
        # it names on standard error those whose folders it could not read
        found.update(re.findall(r"belongs to snapshot ([0-9a-f]{64})", done.stderr))
        return found

    def _packs_of_index(self) -> Iterator[str]:
        return (pack["id"] for pack in self._index())

    def _trees_in(self, packs: set[str]) -> Iterator[str]:
        return (
            blob["id"]
            for pack in self._index()
            if pack["id"] in packs
            for blob in pack["blobs"]
            if blob["type"] == "tree"
        )

    def _index(self) -> Iterator[dict[str, Json]]:
        """The packs as the index tells them, one index file after the other in memory."""
        done = self._run("list", "index", "--no-lock")
        self._expect_ok("list the index", done)
        for name in done.stdout.decode().split():
            file = self._run("cat", "index", name, "--no-lock")
            self._expect_ok("read the index", file)
            try:
                yield from json.loads(file.stdout).get("packs") or ()
            except (ValueError, AttributeError) as error:
                raise RepositoryDamagedError(f"the index {name[:8]} cannot be read") from error


def _unheard(_line: bytes) -> None:
    return


def _chunks(ids: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """A part of them at a time, each with the number of those before it."""
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield start, ids[start : start + IDS_AT_ONCE]
