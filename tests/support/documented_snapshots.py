"""The commands for snapshots of file systems, as docs/files.md writes them, with the places of a test in them."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from drmgr.engines.files import FileSystemSnapshot
from drmgr.engines.hooks import Argv, Hooks

DOCUMENT = Path(__file__).parents[2] / "docs" / "files.md"
KINDS = ("LVM", "btrfs", "ZFS")


def documented(kind: str, places: Mapping[str, Path], marks: Path) -> FileSystemSnapshot:
    """What the document says for that kind of file system, with its example paths replaced."""
    found = re.search(
        rf"^    snapshot: +# {kind}\n((?:      .*\n)+)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None, f"the document has no commands for {kind}"
    text = re.sub(r" +#.*", "", found[1])
    for example in sorted(places, key=len, reverse=True):
        text = text.replace(example, str(places[example]))
    path = re.search(r"^      path: (\S+)$", text, re.MULTILINE)
    assert path is not None
    hooks = Hooks(
        "snapshot-pacs", _commands(text, "create"), _commands(text, "remove"), 60, marks, lambda _mark: False, {}
    )
    return FileSystemSnapshot(hooks, Path(path[1]))


def _commands(text: str, key: str) -> tuple[Argv, ...]:
    block = re.search(rf"^      {key}:(.*(?:\n        .*)*)", text, re.MULTILINE)
    assert block is not None
    return tuple(
        tuple(shlex.split(inner.replace(",", " ").replace("ro nouuid", "ro,nouuid")))
        for inner in re.findall(r"\[([^\[\]]+)\]", block[1])
    )
