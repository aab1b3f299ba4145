"""What is still to come of restores, one file each; implements interfaces.RestBook."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from drmgr.errors import PreflightError
from drmgr.model import Json, OccasionKind, Rest, told_from_json, told_to_json
from drmgr.system.files import write_atomically


class FileRestBook:
    """Files below ``directory``. One that cannot be read is told by PreflightError: a restore may be unfinished."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def all(self) -> list[Rest]:
        return [_read(path) for path in sorted(self._directory.glob("*.json"))]

    def note(self, rest: Rest) -> None:
        try:
            write_atomically(
                self._path(rest), json.dumps(asdict(rest) | {"told": told_to_json(rest.told)}, default=str).encode()
            )
        except OSError as failure:
            raise PreflightError(
                f"what is still to come of the restore cannot be noted: {failure.strerror}",
                hint=f"give drmgr's account the right to write, and free space, in {self._directory}",
            ) from failure

    def strike(self, rest: Rest) -> None:
        self._path(rest).unlink(missing_ok=True)
        self.log(rest).unlink(missing_ok=True)

    def log(self, rest: Rest) -> Path:
        """Where the process in the background writes."""
        return self._path(rest).with_suffix(".log")

    def _path(self, rest: Rest) -> Path:
        mark = hashlib.sha256(str(rest.target).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return self._directory / f"{rest.system}-{mark}.json"


def _read(path: Path) -> Rest:
    try:
        return _rest(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise PreflightError(
            f"{path} cannot be read, which tells what is still to come of a restore",
            hint="see which folder was restored last, remove both, and restore again",
        ) from failure


def _rest(found: Mapping[str, Json]) -> Rest:
    def instant(name: str) -> datetime | None:
        return None if found[name] is None else datetime.fromisoformat(found[name])

    return Rest(
        run=found["run"],
        worker=found["worker"],
        system=found["system"],
        point=found["point"],
        target=Path(found["target"]),
        since=datetime.fromisoformat(found["since"]),
        sources=tuple(found["sources"]),
        copy=found["copy"],
        t0=datetime.fromisoformat(found["t0"]),
        t4=instant("t4"),
        t5=instant("t5"),
        later=tuple(found["later"]),
        moving=tuple(found["moving"]),
        told=told_from_json(found.get("told", {})),
        occasion=OccasionKind(found.get("occasion", OccasionKind.SIMULATION)),
    )
