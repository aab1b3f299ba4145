"""Commands of the hospital around the capture of a source: pause a program, make a snapshot of a file system.

The end commands always run: after success, failure and a signal. A run that was killed cannot run them; it leaves a mark,
and the next one finds it, runs them first, and says so.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drmgr.errors import DrmgrError, PreflightError, SourceError
from drmgr.interfaces import Clock
from drmgr.privacy import mask_message
from drmgr.system.clock import rfc3339
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.files import write_atomically
from drmgr.system.stopping import undisturbed

Argv = tuple[str, ...]

BY_HAND = "by_hand"
"""In a mark: what a person types to end what was begun."""


@dataclass(frozen=True)
class Hooks:
    """Commands as lists of arguments, never a shell's line. ``seconds`` is how long each may take.

    ``name`` is how people and marks call it. ``marks`` is the folder where a run that has begun leaves its mark.
    """

    name: str
    begin: tuple[Argv, ...]
    end: tuple[Argv, ...]
    seconds: float
    marks: Path
    alive: Callable[[Mapping[str, str]], bool] = field(compare=False)
    """Whether the process that a mark tells of still runs."""
    owner: Mapping[str, str]
    """Who we are, for the mark."""
    folder: Path | None = None
    """Where the commands run; relative paths in them begin there."""

    @property
    def mark(self) -> Path:
        return self.marks / f"{self.name}.json"

    @property
    def by_hand(self) -> str:
        """The end commands as a person would type them."""
        return "; ".join(shlex.join(argv) for argv in self.end)

    def preflight(self) -> None:
        """Proves that the programs are there and that no living run holds the hooks. Raises PreflightError."""
        for argv in (*self.begin, *self.end):
            if "/" not in argv[0]:
                find_program(argv[0])
            elif not os.access(Path(self.folder or "", argv[0]), os.X_OK):
                raise PreflightError(f"{self.name}: the program {argv[0]} cannot be run", hint="is it installed there?")
        left = self.left_over()
        if left is not None and self.alive(left):
            raise PreflightError(
                f"{self.name} is in use by process {left.get('pid')} since {left.get('at')}", hint="wait for it to end"
            )

    def left_over(self) -> Mapping[str, str] | None:
        """What a run that has begun and not ended left behind; None when there is nothing."""
        try:
            found = json.loads(self.mark.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


class HookRun:
    """Runs the commands of hooks. ``notes`` are what a person should hear of although all went well."""

    def __init__(self, clock: Clock) -> None:
        self.notes: list[str] = []
        self._clock = clock
        # not the one that a signal stops: what was begun must be ended, whatever happens to other commands
        self._runner = Runner()

    @contextmanager
    def around(self, hooks: Hooks) -> Iterator[None]:
        """Begins, and ends with the block on every way out.

        Raises SourceError when a command fails. An end command that fails does not keep the others from running.
        """
        self._end_left_over(hooks)
        self._mark(hooks, self._clock.now())
        failed: BaseException | None = None
        try:
            for argv in hooks.begin:
                self._run(hooks, "begin", argv)
            yield
        except BaseException as error:
            failed = error
            raise
        finally:
            # a signal that came now would cut off the very command that gives the source back
            with undisturbed():
                self._end(hooks, failed)

    def _end(self, hooks: Hooks, failed: BaseException | None) -> None:
        wrong = self._end_all(hooks)
        if not wrong:
            hooks.mark.unlink(missing_ok=True)
            return
        by_hand = hooks.by_hand
        if failed is None:
            raise SourceError(f"{hooks.name} was not ended: {wrong}", hint=f"at once, by hand: {by_hand}")
        if isinstance(failed, DrmgrError):
            failed.message += f"; and {hooks.name} was not ended: {wrong}"
            failed.hint = f"{failed.hint}; and at once, by hand: {by_hand}"

    def _end_left_over(self, hooks: Hooks) -> None:
        left = hooks.left_over()
        if left is None:
            return
        hooks.preflight()
        wrong = self._end_all(hooks)
        since = f" at {left['at']}" if "at" in left else ""
        note = f"{hooks.name} was left over from an earlier run: begun{since}, never ended"
        self.notes.append(f"{note}; ending it now failed: {wrong}" if wrong else f"{note} until now")

    def _end_all(self, hooks: Hooks) -> str:
        """Runs every end command; what went wrong first, empty when nothing did."""
        wrong = ""
        for argv in hooks.end:
            try:
                self._run(hooks, "end", argv)
            except DrmgrError as error:
                wrong = wrong or error.message
        return wrong

    def _mark(self, hooks: Hooks, now: datetime) -> None:
        mark = {"hooks": hooks.name, "at": rfc3339(now), BY_HAND: hooks.by_hand, **hooks.owner}
        try:
            write_atomically(hooks.mark, json.dumps(mark).encode())
        except OSError as error:
            raise PreflightError(f"{hooks.mark} cannot be written: {error.strerror}") from error

    def _run(self, hooks: Hooks, step: str, argv: Argv) -> None:
        what = f"{hooks.name}: {Path(argv[0]).name} ({step})"
        try:
            done = self._runner.run(Command(argv, cwd=hooks.folder), timeout=hooks.seconds)
        except subprocess.TimeoutExpired:
            raise SourceError(f"{what} did not end within {hooks.seconds:.0f} s") from None
        except DrmgrError as error:
            raise SourceError(f"{what}: {error.message}", hint=error.hint) from error
        if done.code != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise SourceError(
                f"{what} failed with {done.code}: {mask_message(last)}", hint=f"try it by hand: {shlex.join(argv)}"
            )


class HookedPause:
    """Keeps the writers of a system still by commands; implements interfaces.Pause."""

    def __init__(self, hooks: Hooks, clock: Clock) -> None:
        self.name = hooks.name
        self._hooks = hooks
        self._run = HookRun(clock)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._run.notes)

    def preflight(self) -> None:
        self._hooks.preflight()

    def held(self) -> AbstractContextManager[None]:
        return self._run.around(self._hooks)
