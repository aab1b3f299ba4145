"""The whole hospital's drill beside the drills of each system alone, on a hospital that ``drmgr demo --keep`` left up.

``python -m bench.alone drmgr-demo/drmgr.yaml [ROUNDS]``. In each round the ten single drills are played, one after another, and
the whole hospital's; every second round in the other order, so that whatever else the machine does disturbs both alike. A new
recovery point is made of every system before each of the two, for a drill's RPO counts from it. Time is that of the evidence:
from T0 until the last system was verified. A drill that did not pass ends it: half a proof takes no time at all.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median
from typing import Any

from drmgr.system.command import Command, Runner

WHOLE = "hospital-restore"
PASSED = "passed"


def main(arguments: list[str]) -> int:
    """Exit 1 when a drill did not pass."""
    config, rounds = Path(arguments[0]).absolute(), int(arguments[1]) if len(arguments) > 1 else 3
    load, drills = getloadavg()[0], [each["drill"] for each in _drmgr(config, "drill", "list")["drills"]]
    systems = _systems(config)
    missing = [system for system in systems if f"{system}-restore" not in drills]
    if missing or WHOLE not in drills:
        sys.exit(f"there is no drill of {', '.join(missing) or 'the whole hospital'}")
    alone: dict[str, list[float]] = {system: [] for system in systems}
    whole: list[float] = []

    def singly() -> None:
        for system in systems:
            alone[system].append(_play(config, f"{system}-restore"))

    def at_once() -> None:
        whole.append(_play(config, WHOLE))

    for number in range(rounds):
        acts: list[Callable[[], None]] = [singly, at_once]
        for act in acts if number % 2 == 0 else reversed(acts):
            _drmgr(config, "backup", "--all")
            act()
    sys.stdout.write("\n".join(told(alone, whole, load)) + "\n")
    return 0


def _systems(config: Path) -> list[str]:
    """Those of the whole hospital's drill, in its order: what may lose least comes first."""
    found = _drmgr(config, "drill", "list")["drills"]
    return next((list(each["systems"]) for each in found if each["drill"] == WHOLE), [])


def _play(config: Path, drill: str) -> float:
    (played,) = _drmgr(config, "drill", "run", drill)["drills"]
    if played["verdict"] != PASSED:
        sys.exit(f"{drill} {played['verdict']}: its time says nothing")
    return float(played["total_seconds"])


def _drmgr(config: Path, *arguments: str) -> Any:
    command = (str(Path(sys.executable).with_name("drmgr")), "--config", str(config), "--json", *arguments)
    done = Runner().run(Command(command))
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"drmgr {' '.join(arguments)} ended with {done.code}: {done.stderr.strip()}")


def told(alone: Mapping[str, Sequence[float]], whole: Sequence[float], load: float) -> list[str]:
    """The lines of the table. ``alone``: seconds of each system's own drill, in as many rounds as ``whole`` has."""
    sums = [sum(each) for each in zip(*alone.values(), strict=True)]
    singly, at_once = median(sums), median(whole)
    return [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {len(whole)} rounds in turns, {cpu_count()} processors, "
        f"load of this machine by others at the start: {load:.1f}.",
        "",
        "| drill | from T0 until verified, median |",
        "| --- | --- |",
        *(f"| {system}-restore | {median(times):.1f} s |" for system, times in alone.items()),
        f"| these, one after another | {singly:.1f} s ({min(sums):.1f} to {max(sums):.1f}) |",
        f"| {WHOLE}, all at once | {at_once:.1f} s ({min(whole):.1f} to {max(whole):.1f}) |",
        f"| all at once, of one after another | {at_once / singly:.0%} |",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
