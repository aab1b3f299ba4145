"""What a physical backup says of itself: from where to where in the binary log its copy of the files is carried."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from drmgr.engines.mariadb.log import LogPlace
from drmgr.errors import LoadError
from drmgr.system.files import write_atomically

LABEL_PART, BACKUP_PART, LOG_PART = "label", "backup", "binlog"
LABEL_NAME = "replay.json"


@dataclass(frozen=True)
class Label:
    """``copied`` is where the copy stands in the log, ``viewed`` where the view of the facts does."""

    database: str
    copied: LogPlace
    viewed: LogPlace


def write_label(folder: Path, label: Label) -> None:
    """Raises OSError."""
    write_atomically(folder / LABEL_NAME, json.dumps(asdict(label), indent=1).encode())


def read_label(folder: Path) -> Label:
    """Raises LoadError."""
    try:
        found = json.loads((folder / LABEL_NAME).read_text(encoding="utf-8"))
        return Label(str(found["database"]), LogPlace(**found["copied"]), LogPlace(**found["viewed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError("the label of the physical backup cannot be read") from error
