"""restic as a test needs it."""

from pathlib import Path

from drmgr.repository.plainfiles import FolderFiles
from drmgr.repository.restic_call import ResticSettings


def restic_that_obeys_file_modes(folder: Path) -> Path:
    """A restic for which file modes count even when root runs it: without root's capability to pass over them."""
    script = folder / "obedient-restic"
    script.write_text('#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search -- restic "$@"\n')
    script.chmod(0o755)
    return script


def restic_in(repository: Path, cache: Path) -> ResticSettings:
    """Calls restic for the repository in that folder."""
    return ResticSettings(str(repository), "site", cache, FolderFiles(repository))
