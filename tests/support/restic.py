"""restic as a test needs it."""

from pathlib import Path


def restic_that_obeys_file_modes(folder: Path) -> Path:
    """A restic for which file modes count even when root runs it: without root's capability to pass over them."""
    script = folder / "obedient-restic"
    script.write_text('#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search -- restic "$@"\n')
    script.chmod(0o755)
    return script
