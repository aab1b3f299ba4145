"""Programs whose drmgr was killed are ended, those of a living one are not."""

import signal
import subprocess
import sys

from drmgr.system.orphans import MARK, end_orphans, mark

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
GONE = {MARK: "1 another-boot/1"}


def started(env: dict[str, str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen((sys.executable, "-c", DEAF), env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_does_not_listen_is_ended_by_force_and_what_is_wanted_goes_on() -> None:
    with started(GONE) as orphan, started(mark()) as ours, started({}) as unmarked:
        try:
            assert end_orphans(grace=0.1) >= 1
            assert orphan.wait(timeout=60) == -signal.SIGKILL
            assert ours.poll() is None
            assert unmarked.poll() is None
        finally:
            for process in (orphan, ours, unmarked):
                process.kill()
