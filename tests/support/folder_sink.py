"""A Sink that keeps parts in a plain folder, laid out as a restore would lay them out."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from drmgr.errors import SourceError
from drmgr.model import Entry, Part, Payload, Stream, Tree


class FolderSink:
    """``after_first_bytes`` is called once, in the middle of the first stream."""

    def __init__(self, folder: Path, after_first_bytes: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self.parts: list[Part] = []
        self._after_first_bytes = after_first_bytes

    def save(self, payload: Payload) -> Part:
        if isinstance(payload, Stream):
            self._stream(payload)
        else:
            self._tree(payload)
        files = [path for path in (self.folder / payload.part).rglob("*") if regular(path)]
        size = sum(path.stat().st_size for path in files)
        part = Part(payload.part, f"folder-{payload.part}", len(files), size)
        self.parts.append(part)
        return part

    def save_together(self, *payloads: Payload) -> tuple[Part, ...]:
        return tuple(self.save(payload) for payload in payloads)

    def entries(self, part: Part) -> Iterator[Entry]:
        root = self.folder / part.name
        for path in sorted(root.rglob("*")):
            if regular(path):
                status = path.stat()
                yield Entry(str(path.relative_to(root)), status.st_size, status.st_mtime_ns)

    def _stream(self, stream: Stream) -> None:
        target = self.folder / stream.part / stream.filename
        target.parent.mkdir(parents=True)
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **stream.env}
        with (
            target.open("wb") as file,
            subprocess.Popen(stream.argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None and process.stderr is not None
            file.write(process.stdout.read(1))
            if self._after_first_bytes is not None:
                self._after_first_bytes()
                self._after_first_bytes = None
            shutil.copyfileobj(process.stdout, file)
            message = process.stderr.read().decode()
            code = process.wait()
        if code != 0:
            shutil.rmtree(target.parent)
            raise SourceError(f"{Path(stream.argv[0]).name} failed: {message}")

    def _tree(self, tree: Tree) -> None:
        shutil.copytree(tree.root, self.folder / tree.part, symlinks=True)


def regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
