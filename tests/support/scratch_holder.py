"""Opens a workspace with a server in it, says so, and waits: to be killed by a test. Arguments: directory, run."""

import sys
from pathlib import Path

from drmgr.model import Recipe
from drmgr.scratch.workspace import ScratchHost
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from tests.support.postgres import SERVER_USER, installed_major


def main() -> None:
    scratch = ScratchHost(Path(sys.argv[1]), SERVER_USER, Runner(), SystemClock(), "test")
    with scratch.open(sys.argv[2], 0) as workspace:
        workspace.start(Recipe("his", "postgresql", version=installed_major()))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
