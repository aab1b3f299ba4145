"""Restores in place as they are known on this host: one file each, on disk before anything is renamed."""

import json
from pathlib import Path

from drmgr.errors import EvidenceError, UsageError
from drmgr.model import Swap, swap_from_json, swap_to_json
from drmgr.system.files import write_atomically


class FileSwapBook:
    """See interfaces.SwapBook. ``directory`` is made when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, swap: Swap) -> None:
        content = json.dumps(swap_to_json(swap), ensure_ascii=False, indent=1).encode()
        try:
            write_atomically(self._directory / f"{swap.run}.json", content)
        except OSError as error:
            raise EvidenceError(
                f"what is to be renamed could not be written down in {self._directory}: {error.strerror}",
                hint="nothing was renamed; free some space, or look at the rights of the state folder",
            ) from error

    def read(self, system: str, run: str) -> Swap:
        found = [swap for swap in self.all(system) if run and swap.run.startswith(run.upper())]
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} restores of {system} in its own place on this host begin with {run or 'nothing'}",
                hint="the run's id is in the answer of the restore and in: drmgr audit show",
            )
        return found[0]

    def all(self, system: str = "") -> list[Swap]:
        paths = sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []
        swaps = [self._load(path) for path in paths]
        return [swap for swap in swaps if system in ("", swap.system)]

    def _load(self, path: Path) -> Swap:
        try:
            return swap_from_json(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvidenceError(
                f"{path}, which tells of a restore in place, cannot be read",
                hint="it is written whole or not at all: find out who changed it, and put it aside",
            ) from error
