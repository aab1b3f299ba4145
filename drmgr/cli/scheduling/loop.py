"""``drmgr schedule run``: a loop that starts what is due, each kind in a process of its own."""

import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import schedule

from drmgr.cli.scheduling.install import environment_secrets, wanted_beats
from drmgr.cli.wiring.wire import open_site
from drmgr.errors import DrmgrError, Interrupted
from drmgr.interfaces import Clock
from drmgr.system.clock import SystemClock, rfc3339
from drmgr.system.command import Command, Completed, Runner
from drmgr.system.timers import Beat

BEAT_SECONDS = 20
GRACE_SECONDS = 300.0
"""How long a run may take to clean up when the loop is stopped."""

Start = Callable[[Command], Completed]


class Loop:
    """Looks at the site file at every beat, so that a change of it needs no restart.

    A process of its own for each kind: a run that fails, leaks or hangs cannot take the loop along, and shipping does
    not wait behind a backup that takes hours.
    """

    def __init__(
        self, config: Path, note: Callable[[str], None], clock: Clock | None = None, runner: Runner | None = None
    ) -> None:
        self._config = config
        self._note = note
        self._clock = clock or SystemClock()
        self._runner = runner or Runner()
        self._scheduler = schedule.Scheduler()
        self._working: dict[str, threading.Thread] = {}
        self._started: dict[str, float] = {}
        self._failed = False

    def run(self) -> None:
        """Until a signal; being stopped is its proper end. What is running has cleaned up by then."""
        self._say("begins")
        self._plan()
        try:
            self.beat()
            while True:
                self._clock.sleep(1.0)
                self.step()
        except Interrupted:
            self._say("stops; what is running is asked to clean up")
        finally:
            self._runner.stop_all(GRACE_SECONDS)
            for thread in self._working.values():
                thread.join(GRACE_SECONDS)

    def step(self) -> None:
        """One second of the loop."""
        self._scheduler.run_pending()
        idle = self._scheduler.idle_seconds
        if idle is None or idle > BEAT_SECONDS:
            # the library goes by the wall clock: after that was set back it would wait for as long as that
            self._plan()

    def _plan(self) -> None:
        self._scheduler.clear()
        self._scheduler.every(BEAT_SECONDS).seconds.do(self.beat)

    def beat(self) -> None:
        """Starts every kind whose turn it is and that is not at work."""
        try:
            with open_site(self._config) as opened:
                wanted = wanted_beats(opened)
                env = {name: os.environ[name] for name in environment_secrets(opened) if name in os.environ}
        except DrmgrError as error:
            # the site file is being edited, or the disk is full: the next beat looks again
            self._say(f"cannot look: {error.message}")
            return
        for beat in wanted:
            if not self._at_work(beat.name) and self._turn(beat):
                self._start(beat, env)

    def _at_work(self, name: str) -> bool:
        thread = self._working.get(name)
        return thread is not None and thread.is_alive()

    def _turn(self, beat: Beat) -> bool:
        """By the clock that is never set back. After a failure the alarms are looked at without waiting."""
        if beat.name == "notify" and self._failed:
            self._failed = False
            return True
        last = self._started.get(beat.name)
        pause = timedelta(minutes=beat.minutes).total_seconds() - BEAT_SECONDS / 2
        return last is None or self._clock.monotonic() - last >= pause

    def _start(self, beat: Beat, env: dict[str, str]) -> None:
        self._started[beat.name] = self._clock.monotonic()
        argv = (sys.executable, "-m", "drmgr.cli.main", "--config", str(self._config), *beat.arguments)
        thread = threading.Thread(target=self._work, args=(beat, Command(argv, env)), name=beat.name)
        self._working[beat.name] = thread
        thread.start()

    def _work(self, beat: Beat, command: Command) -> None:
        try:
            done = self._runner.run_lines(command, lambda line: self._note(line.decode(errors="replace").rstrip()))
        except (DrmgrError, OSError) as error:
            self._failed = True
            self._say(f"{beat.name} could not be started: {error}")
            return
        except Interrupted:
            # the loop is being stopped; the main thread says so
            return
        for line in done.stderr.splitlines():
            self._note(line)
        if done.code != 0:
            self._failed = self._failed or beat.name != "notify"
            self._say(f"{' '.join(beat.arguments)} ended with exit code {done.code}")

    def _say(self, text: str) -> None:
        self._note(f"{rfc3339(self._clock.now().replace(microsecond=0))} schedule: {text}")
