"""restic as a subprocess: arguments, JSON, exit codes. Facts it relies on are measured in RESTIC.md of the project's docs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from drmgr.errors import RepositoryDamagedError, RepositoryError, RepositoryMissingError, SourceError
from drmgr.interfaces import Progress
from drmgr.model import Change, CheckReport, Entry, Listing, Payload, Snapshot, Stream, Tree
from drmgr.repository import restic_errors
from drmgr.repository.restic_call import ResticCaller, ResticSettings, restic_version
from drmgr.repository.restic_names import ExactNames
from drmgr.repository.restic_output import (
    MessageReader,
    entry_of,
    ignored_snapshots,
    json_line,
    no_progress,
    packs_named,
    snapshot_of,
    unreadable_items,
    vanished_items,
)
from drmgr.system.files import count_files

REPLACED_TAG = "drmgr-replaced"
"""Marks a snapshot with broken data for which a sound one is being brought from a copy."""

CHANGE_FIELDS = ("files_new", "files_changed", "files_unmodified", "data_added")

__all__ = ["ResticRepository", "ResticSettings", "restic_version"]


class ResticRepository(ResticCaller):
    """One repository; implements interfaces.Repository.

    A snapshot is known by its first id: one that was copied from elsewhere, or put back from a copy, is stored under
    another, and seals name the first. Which is which is known once ``snapshots`` was called.
    """

    _stored: Mapping[str, str] = MappingProxyType({})
    _listing: tuple[str, ...] = ()

    def init(self) -> bool:
        from drmgr.repository.restic_keys import RepositoryPasswords

        try:
            self.probe()
        except RepositoryMissingError:
            done = self._run("init", "--json")
            self._expect_ok("make the repository", done)
            RepositoryPasswords(self).lighten_new(self._password())
            return True
        RepositoryPasswords(self).lighten(self._password())
        return False

    def probe(self) -> None:
        done = self._run("cat", "config", "--no-lock")
        self._expect_ok("open the repository", done)
        if not done.stdout.strip():
            raise RepositoryDamagedError("the repository's config is empty")

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        command = ["backup", "--json", "--host", self._settings.host, *_tag_arguments(tags)]
        if isinstance(payload, Stream):
            command += ["--stdin-from-command", "--stdin-filename", payload.filename, "--", *payload.argv]
            return self._backup(command, payload.part, progress, env=payload.env)
        # a root that is not there lets some releases of restic succeed with nothing
        if not payload.root.is_dir():
            raise SourceError(f"the folder {payload.root} is not there", hint="is its disk mounted?")
        if payload.one_file_system:
            command.append("--one-file-system")
        for pattern in payload.excludes:
            command += ["--exclude", _anchored(pattern, payload.root)]
        if payload.live:
            command += ["--parent", payload.parent] if payload.parent else ["--force"]
        names = [f"./{name}" for name in _present(payload)] or ["."]
        return self._backup([*command, *names], payload.part, progress, cwd=payload.root, live=payload.live)

    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        command = ["backup", "--json", "--host", self._settings.host, *_tag_arguments(tags)]
        command += ["--stdin", "--stdin-filename", filename]
        return self._backup(command, filename, no_progress, stdin=content)

    def _backup(
        self,
        arguments: Sequence[str],
        part: str,
        progress: Progress,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        live: bool = False,
    ) -> Snapshot:
        reader = MessageReader(progress, part)
        done = self._run(*arguments, on_line=reader.take, env=env or {}, cwd=cwd, stdin=stdin)
        if done.code not in {0, restic_errors.INCOMPLETE}:
            raise self._fault(f"store {part}", done.code, done.stderr)
        summary = reader.summary
        if summary is None or "snapshot_id" not in summary:
            raise RepositoryError(f"store {part}: restic ended well but named no snapshot")
        vanished = vanished_items(done.stderr) if live else frozenset()
        unreadable = tuple(item for item in unreadable_items(done.stderr) if item not in vanished)
        # restic cannot know that files may come and go here, and calls the snapshot incomplete
        whole = (done.code == 0 or bool(vanished)) and not unreadable
        return Snapshot(
            id=summary["snapshot_id"],
            time=datetime.fromisoformat(summary["backup_start"]),
            files=summary.get("total_files_processed", 0),
            bytes=summary.get("total_bytes_processed", 0),
            bytes_added=summary.get("data_added_packed", 0),
            complete=whole,
            unreadable=unreadable,
            change=Change(*(int(summary.get(name, 0)) for name in CHANGE_FIELDS)),
        )

    def read_bytes(self, snapshot: str, filename: str) -> bytes:
        # a lock would cost a fifth of a second, and it is one small file: gone meanwhile it is an error, as ever
        done = self._run("dump", "--no-lock", self._stored_id(snapshot), f"/{filename}")
        self._expect_ok(f"read {filename} of snapshot {snapshot[:8]}", done)
        return done.stdout

    def restore(self, snapshot: str, target: Path, files: int, size: int, progress: Progress) -> None:
        if target.exists():
            raise RepositoryError(f"restore of snapshot {snapshot[:8]}: its target is already there")
        what = f"restore snapshot {snapshot[:8]}"
        reader = MessageReader(progress, "restore")
        done = self._run(
            "restore", self._stored_id(snapshot), "--target", str(target), "--sparse", "--json", on_line=reader.take
        )
        self._expect_ok(what, done)
        if reader.summary is None:
            raise RepositoryError(f"{what}: restic ended well but gave no summary")
        found_files, found_size = count_files(target)
        if (found_files, found_size) != (files, size):
            raise RepositoryDamagedError(
                f"{what}: {found_files} files with {found_size} bytes came back, {files} with {size} were stored"
            )

    def restore_some(self, snapshot: str, target: Path, patterns: Path, *, only: bool, progress: Progress) -> None:
        reader = MessageReader(progress, "restore")
        choice = ("--include-file" if only else "--exclude-file", str(patterns))
        stored = self._stored_id(snapshot)
        done = self._run("restore", stored, "--target", str(target), "--sparse", "--json", *choice, on_line=reader.take)
        self._expect_ok(f"restore of snapshot {snapshot[:8]} in part", done)

    def entries(self, snapshot: str) -> Iterator[Entry]:
        listing = ("ls", self._stored_id(snapshot), "--no-lock")
        with ExitStack() as stack, self._start(*listing, "--json") as process:
            running = [process]

            def plain() -> Iterator[bytes]:
                running.append(stack.enter_context(self._start(*listing, "--quiet")))
                return running[-1].lines()

            names = ExactNames(plain)
            for node in map(json_line, process.lines()):
                if node is None or "path" not in node:
                    continue
                path = names.exact(node["path"])
                yield entry_of(node, path)
            for each in running:
                code = each.wait()
                if code != 0:
                    raise self._fault(f"list snapshot {snapshot[:8]}", code, each.stderr_tail())

    def snapshots(self, tags: Sequence[str] = ()) -> Listing:
        selection = ["--tag", ",".join(tags)] if tags else []
        rows, damaged = self._rows(*selection)
        found = {snapshot.id: snapshot for snapshot in sorted(map(snapshot_of, rows), key=_worth)}
        self._stored = {**self._stored, **{snapshot.id: snapshot.stored_as for snapshot in found.values()}}
        return Listing(tuple(sorted(found.values(), key=lambda snapshot: snapshot.time)), damaged)

    def _rows(self, *selection: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """What is stored, as restic tells it, and the ids of what it cannot read."""
        done = self._run("snapshots", "--json", "--no-lock", *self._listing, *selection)
        self._expect_ok("list the snapshots", done)
        try:
            return json.loads(done.stdout) or [], ignored_snapshots(done.stderr)
        except ValueError as error:
            raise RepositoryError("list the snapshots: restic's answer is not JSON") from error

    def _stored_id(self, snapshot: str) -> str:
        """The id that the snapshot is stored under here, as far as ``snapshots`` has told it."""
        return self._stored.get(snapshot, snapshot)

    def check(self, share: float) -> CheckReport:
        return self._look(_share_arguments(share), share)

    def _look(self, arguments: Sequence[str], share: float) -> CheckReport:
        self.probe()
        reader = MessageReader(no_progress, "check")
        done = self._run("check", "--json", *arguments, on_line=reader.take)
        summary = reader.summary
        if summary is None:
            raise self._fault("check the repository", done.code, done.stderr)
        errors = int(summary.get("num_errors", 0))
        texts = tuple(restic_errors.messages(done.stderr))
        return CheckReport(
            ok=done.code == 0 and errors == 0,
            errors=errors if done.code == 0 else max(1, errors),
            broken_packs=packs_named(summary.get("broken_packs") or (), texts),
            bytes_read_share=share,
            seconds=0.0,
            messages=tuple(text[:300] for text in texts)[:20],
        )


def _present(tree: Tree) -> tuple[str, ...]:
    """The names asked for that are there: restic leaves out others without a word in its exit code. Raises SourceError."""
    absent = {name for name in tree.only if not (tree.root / name).exists()}
    if absent and (not tree.live or len(absent) == len(tree.only)):
        raise SourceError(f"{min(absent)} is not in {tree.root}")
    return tuple(name for name in tree.only if name not in absent)


def _tag_arguments(tags: Sequence[str]) -> list[str]:
    return [argument for tag in tags for argument in ("--tag", tag)]


def _share_arguments(share: float) -> list[str]:
    if share <= 0:
        return []
    return ["--read-data"] if share >= 1 else [f"--read-data-subset={share * 100:g}%"]


def _anchored(pattern: str, root: Path) -> str:
    """restic anchors a pattern with a leading slash to the whole file system; ours are anchored to the tree."""
    if not pattern.startswith("/"):
        return pattern
    return re.sub(r"([*?\[\]\\])", r"\\\1", str(root)) + pattern


def _worth(snapshot: Snapshot) -> tuple[bool, str]:
    """Of two with the same first id the later in this order is taken: never the one that is to be replaced."""
    return REPLACED_TAG not in snapshot.tags, snapshot.stored_as
