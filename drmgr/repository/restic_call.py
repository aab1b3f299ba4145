"""Calling restic: arguments, password, environment, stale locks, patience with a store that is away."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drmgr.errors import (
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    RepositoryUnreachableError,
    SourceError,
    ToolError,
)
from drmgr.interfaces import RepositoryFiles
from drmgr.repository import restic_errors
from drmgr.system.command import SECOND_SECRET_FD, SECRET_FD, Command, Completed, Process, Runner, find_program
from drmgr.system.orphans import end_orphans, mark
from drmgr.system.secret import Secret

OLDEST = (0, 18, 0)

RETRY_WORDS = ("returned error, retrying after", "retrying after")
RECOVERED_WORDS = "operation successful after"


@dataclass(frozen=True)
class ResticSettings:
    """How restic is called for one repository.

    ``location`` is restic's own notation. ``env`` holds no secrets: S3 keys lie in a 0600 credentials file that it
    names. ``patience`` is how many seconds restic may go on retrying before the store counts as away (restic itself
    would take 15 minutes). ``host`` is recorded in snapshots, the same whichever machine runs drmgr. ``files`` are the
    repository's own, for what restic does not do as we need it.

    ``account`` stands for the S3 keys and region, of which restic takes one set at a time; empty for a folder. ``gate`` shows
    the repository at another location while its block lasts, for a restic that has others.

    ``lost`` is asked when nothing is at the location: the hint for a repository that was there once, else empty.
    """

    location: str
    host: str
    cache: Path
    files: RepositoryFiles
    program: str = "restic"
    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    patience: float = 120.0
    account: str = ""
    gate: Callable[[], AbstractContextManager[str]] | None = None
    lost: Callable[[], str] = lambda: ""


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


class ResticCaller:
    """Runs restic for one repository.

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

    def _command(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        stdin: bytes | None,
        beside: "ResticCaller | None" = None,
        *,
        beside_at: str = "",
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
        base = {"RESTIC_CACHE_DIR": str(settings.cache), "RESTIC_PROGRESS_FPS": "2", **mark(), **settings.env}
        if beside is not None:
            other = beside._settings
            if beside_at == other.location:
                base = {**other.env, **base}
                argv += () if settings.options else other.options
            arguments = (
                *arguments,
                "--from-repo",
                beside_at,
                "--from-password-file",
                f"/dev/fd/{SECOND_SECRET_FD}",
            )
        return Command(
            (*argv, *arguments),
            env={**base, **env},
            cwd=cwd,
            stdin=stdin,
            secret=self._password(),
            second_secret=None if beside is None else beside._password(),
        )

    @contextmanager
    def _start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        beside: "ResticCaller | None" = None,
    ) -> Iterator[Process]:
        self.version()
        for each in (self, beside):
            if each is not None:
                each._ask()
        with (
            self._reach(beside) as beside_at,
            self._runner.start(self._command(arguments, env or {}, cwd, stdin, beside, beside_at=beside_at)) as process,
            _Watch(process, self._settings.patience) as watch,
        ):
            yield process
        if watch.gave_up:
            raise RepositoryUnreachableError(f"the object store gave only errors for {self._settings.patience:.0f} s")

    @contextmanager
    def _reach(self, beside: "ResticCaller | None") -> Iterator[str]:
        """Where the one restic finds the other repository."""
        if beside is None:
            yield ""
            return
        mine, theirs = self._settings, beside._settings
        if theirs.gate is None or not mine.account or mine.account == theirs.account:
            yield theirs.location
            return
        with theirs.gate() as location:
            yield location

    def _run(
        self,
        *arguments: str,
        on_line: Callable[[bytes], None] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        beside: "ResticCaller | None" = None,
    ) -> Completed:
        """Runs restic once more, after ``unlock``, when it finds the lock of a process that is gone, or should be.

        ``beside`` is the repository that this one is to take something from.
        """

        def once() -> Completed:
            kept: list[bytes] = []
            with self._start(*arguments, env=env, cwd=cwd, stdin=stdin, beside=beside) as process:
                for line in process.lines():
                    (on_line or kept.append)(line)
                code = process.wait()
                return Completed(code, b"".join(kept), process.stderr_tail())

        done = once()
        if done.code == restic_errors.LOCKED:
            # a restic that has nothing to print outlives a drmgr that was killed, and goes on holding its lock
            end_orphans()
            # 'unlock' removes stale locks only: of dead processes of this host, or older than 30 minutes
            for locked in (self, beside):
                if locked is not None:
                    locked.unlock()
            done = once()
            if done.code == restic_errors.LOCKED:
                raise RepositoryLockedError(f"{arguments[0]}: another restic holds the repository's lock")
        return done

    def unlock(self) -> None:
        """Removes stale locks only."""
        with self._start("unlock") as process:
            for _ in process.lines():
                pass

    def _ask(self) -> None:
        try:
            self._ask_store()
        except RepositoryMissingError as missing:
            missing.hint = self._settings.lost() or missing.hint
            raise

    def _expect_ok(self, action: str, done: Completed) -> None:
        if done.code != 0:
            raise self._fault(action, done.code, done.stderr)

    def _fault(self, action: str, code: int, stderr: str) -> RepositoryError | SourceError:
        error = restic_errors.fault(action, code, stderr)
        if isinstance(error, RepositoryMissingError):
            error.hint = self._settings.lost() or error.hint
        return error


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
