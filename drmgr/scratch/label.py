"""The label on a workspace: whose it is, and until when. What has no label is never touched."""

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from drmgr.scratch.processes import alive, boot_id, start_time
from drmgr.system.clock import rfc3339
from drmgr.system.files import write_atomically

FILE = "label.json"
PREFIX = "drmgr-"


@dataclass(frozen=True)
class Label:
    """``started`` tells the process from another that later got the same pid; ``sockets`` lie outside the workspace.

    ``elsewhere``: the run may have databases on the scratch SQL Server.
    """

    run: str
    pid: int
    started: int
    host: str
    boot: str
    created_at: str
    keep_until: str | None = None
    sockets: tuple[str, ...] = ()
    elsewhere: bool = False

    def kept(self, now: datetime) -> bool:
        return self.keep_until is not None and now < datetime.fromisoformat(self.keep_until)

    def orphaned(self) -> bool:
        """Whether the process that made it is gone."""
        return self.boot != boot_id() or not alive(self.pid) or start_time(self.pid) != self.started

    def keeping(self, until: datetime) -> "Label":
        return replace(self, keep_until=rfc3339(until))


def new_label(run: str, host: str, now: datetime) -> Label:
    """The label of a workspace of this very process."""
    pid = os.getpid()
    return Label(run, pid, start_time(pid) or 0, host, boot_id(), rfc3339(now))


def write_label(workspace: Path, label: Label) -> None:
    write_atomically(workspace / FILE, json.dumps(asdict(label), indent=1).encode())


def read_label(workspace: Path) -> Label | None:
    """The label, or None when the directory is not surely one of ours."""
    try:
        if workspace.is_symlink() or workspace.stat().st_uid != os.geteuid():
            return None
        fields = json.loads((workspace / FILE).read_text(encoding="utf-8"))
        label = Label(**{**fields, "sockets": tuple(fields["sockets"])})
        right = label.run == workspace.name.removeprefix(PREFIX) and isinstance(label.pid, int)
        if label.keep_until is not None:
            datetime.fromisoformat(label.keep_until)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return label if right else None
