"""restic as a subprocess: arguments, JSON, exit codes. Facts it relies on are measured in RESTIC.md of the project's docs."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drmgr.errors import (
    RepositoryDamagedError,
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    RepositoryUnreachableError,
    SourceError,
    ToolError,
)
from drmgr.interfaces import Progress
from drmgr.model import CheckReport, Entry, Listing, Payload, Snapshot, Stream, Tree
from drmgr.repository import restic_errors
from drmgr.repository.restic_names import ExactNames
from drmgr.repository.restic_output import (
    MessageReader,
    ignored_snapshots,
    json_line,
    nanoseconds,
    no_progress,
    snapshot_of,
    unreadable_items,
    vanished_items,
)
from drmgr.system.command import SECRET_FD, Command, Completed, Process, Runner, find_program
from drmgr.system.secret import Secret

OLDEST = (0, 18, 0)

RETRY_WORDS = ("returned error, retrying after", "retrying after")
RECOVERED_WORDS = "operation successful after"


@dataclass(frozen=True)
class ResticSettings:
    """How restic is called for one repository.

    ``location`` is restic's own notation. ``env`` holds no secrets: S3 keys lie in a 0600 credentials file that it
    names. ``patience`` is how many seconds restic may go on retrying before the store counts as away (restic itself
    would take 15 minutes). ``host`` is recorded in snapshots, the same whichever machine runs drmgr.
    """

    location: str
    host: str
    cache: Path
    program: str = "restic"
    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    patience: float = 120.0


def restic_version(runner: Runner, program: str = "restic") -> str:
    """The version's text. Raises ToolError when restic is not there, not readable or older than 0.18.0."""
    path = program if "/" in program else str(find_program(program))
    done = runner.run(Command((path, "version")), timeout=30)
    found = re.match(rb"restic (\d+)\.(\d+)\.(\d+)", done.stdout)
    if done.code != 0 or not found:
        raise ToolError(f"{path} does not say which restic it is", hint="install restic 0.18.0 or newer")
    version = tuple(int(number) for number in found.groups())
    text = ".".join(str(number) for number in version)
    if version < OLDEST:
        raise ToolError(
            f"restic {text} is too old",
            hint="install restic 0.18.0 or newer; scripts/setup.sh takes it from Debian's next release",
        )
    return text


class ResticRepository:
    """One repository; implements interfaces.Repository.

    ``ask_store`` is called before every restic: it raises at once when the store is away or refuses us, where restic
    would retry for minutes and then tell less.
    """

    def __init__(
        self,
        settings: ResticSettings,
        password: Callable[[], Secret],
        runner: Runner,
        ask_store: Callable[[], object] = lambda: None,
    ) -> None:
        self.location = settings.location
        self._settings = settings
        self._password = password
        self._runner = runner
        self._ask_store = ask_store
        self._version = ""

    def version(self) -> str:
        """restic's version. Raises ToolError when it is too old."""
        if not self._version:
            self._version = restic_version(self._runner, self._settings.program)
        return self._version

    def init(self) -> bool:
        try:
            self.probe()
        except RepositoryMissingError:
            done = self._run("init", "--json")
            self._expect_ok("make the repository", done)
            return True
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
            raise restic_errors.fault(f"store {part}", done.code, done.stderr)
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
        )

    def read_bytes(self, snapshot: str, filename: str) -> bytes:
        done = self._run("dump", snapshot, f"/{filename}")
        self._expect_ok(f"read {filename} of snapshot {snapshot[:8]}", done)
        return done.stdout

    def restore(self, snapshot: str, target: Path, files: int, size: int, progress: Progress) -> None:
        if target.exists():
            raise RepositoryError(f"restore of snapshot {snapshot[:8]}: its target is already there")
        what = f"restore snapshot {snapshot[:8]}"
        reader = MessageReader(progress, "restore")
        done = self._run("restore", snapshot, "--target", str(target), "--json", on_line=reader.take)
        self._expect_ok(what, done)
        if reader.summary is None:
            raise RepositoryError(f"{what}: restic ended well but gave no summary")
        found_files, found_size = _count(target)
        if (found_files, found_size) != (files, size):
            raise RepositoryDamagedError(
                f"{what}: {found_files} files with {found_size} bytes came back, {files} with {size} were stored"
            )

    def entries(self, snapshot: str) -> Iterator[Entry]:
        listing = ("ls", snapshot, "--no-lock")
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
                if node.get("type") == "file":
                    yield Entry(path.removeprefix("/"), node.get("size", 0), nanoseconds(node["mtime"]))
            for each in running:
                code = each.wait()
                if code != 0:
                    raise restic_errors.fault(f"list snapshot {snapshot[:8]}", code, each.stderr_tail())

    def snapshots(self, tags: Sequence[str] = ()) -> Listing:
        selection = ["--tag", ",".join(tags)] if tags else []
        done = self._run("snapshots", "--json", "--no-lock", *selection)
        self._expect_ok("list the snapshots", done)
        try:
            rows = json.loads(done.stdout)
        except ValueError as error:
            raise RepositoryError("list the snapshots: restic's answer is not JSON") from error
        found = sorted((snapshot_of(row) for row in rows or []), key=lambda snapshot: snapshot.time)
        return Listing(tuple(found), ignored_snapshots(done.stderr))

    def check(self, share: float) -> CheckReport:
        self.probe()
        reader = MessageReader(no_progress, "check")
        done = self._run("check", "--json", *_share_arguments(share), on_line=reader.take)
        summary = reader.summary
        if summary is None:
            raise restic_errors.fault("check the repository", done.code, done.stderr)
        errors = int(summary.get("num_errors", 0))
        return CheckReport(
            ok=done.code == 0 and errors == 0,
            errors=errors if done.code == 0 else max(1, errors),
            broken_packs=tuple(summary.get("broken_packs") or ()),
            bytes_read_share=share,
            seconds=0.0,
            messages=tuple(text[:300] for text in restic_errors.messages(done.stderr))[:20],
        )

    # --- calling restic ---

    def _command(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, stdin: bytes | None
    ) -> Command:
        settings = self._settings
        argv = (
            settings.program,
            "--repo",
            settings.location,
            "--password-file",
            f"/dev/fd/{SECRET_FD}",
            *settings.options,
        )
        base = {"RESTIC_CACHE_DIR": str(settings.cache), "RESTIC_PROGRESS_FPS": "2", **settings.env}
        return Command((*argv, *arguments), env={**base, **env}, cwd=cwd, stdin=stdin, secret=self._password())

    @contextmanager
    def _start(
        self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes | None = None
    ) -> Iterator[Process]:
        self.version()
        self._ask_store()
        with (
            self._runner.start(self._command(arguments, env or {}, cwd, stdin)) as process,
            _Watch(process, self._settings.patience) as watch,
        ):
            yield process
        if watch.gave_up:
            raise RepositoryUnreachableError(f"the object store gave only errors for {self._settings.patience:.0f} s")

    def _run(
        self,
        *arguments: str,
        on_line: Callable[[bytes], None] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
    ) -> Completed:
        """Runs restic once more, after ``unlock``, when it finds the lock of a process that is gone."""
        done = self._run_once(arguments, on_line, env, cwd, stdin)
        if done.code == restic_errors.LOCKED:
            # 'unlock' removes stale locks only: of dead processes of this host, or older than 30 minutes
            self._run_once(("unlock",), None, None, None, None)
            done = self._run_once(arguments, on_line, env, cwd, stdin)
            if done.code == restic_errors.LOCKED:
                raise RepositoryLockedError(f"{arguments[0]}: another restic holds the repository's lock")
        return done

    def _run_once(
        self,
        arguments: Sequence[str],
        on_line: Callable[[bytes], None] | None,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stdin: bytes | None,
    ) -> Completed:
        kept: list[bytes] = []
        with self._start(*arguments, env=env, cwd=cwd, stdin=stdin) as process:
            for line in process.lines():
                (on_line or kept.append)(line)
            code = process.wait()
            return Completed(code, b"".join(kept), process.stderr_tail())

    @staticmethod
    def _expect_ok(action: str, done: Completed) -> None:
        if done.code != 0:
            raise restic_errors.fault(action, done.code, done.stderr)


class _Watch:
    """Stops a restic whose store has given nothing but errors for longer than our patience."""

    def __init__(self, process: Process, patience: float) -> None:
        self.gave_up = False
        self._process = process
        self._patience = patience
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        interval = min(1.0, self._patience / 4)
        in_trouble = 0.0
        while not self._done.wait(interval):
            texts = list(restic_errors.messages(self._process.stderr_tail()))
            relevant = [text for text in texts if RECOVERED_WORDS in text or any(word in text for word in RETRY_WORDS)]
            in_trouble = in_trouble + interval if relevant and RECOVERED_WORDS not in relevant[-1] else 0.0
            if in_trouble >= self._patience:
                self.gave_up = True
                # it would go on trying to remove its lock from a store that is away
                self._process.stop(grace=2.0)
                return


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


def _count(folder: Path) -> tuple[int, int]:
    """Regular files below the folder and their bytes, looked up on disk: restic's own summary is printed too early."""
    files = size = 0
    places = [str(folder)]
    while places:
        with os.scandir(places.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    places.append(item.path)
                elif item.is_file(follow_symlinks=False):
                    files += 1
                    size += item.stat(follow_symlinks=False).st_size
    return files, size
