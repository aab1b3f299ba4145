"""A Sink that keeps parts in a plain folder, laid out as a restore would lay them out."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from drmgr.errors import SourceError
from drmgr.model import Entry, Part, Payload, Snapshot, Stream, Tree


class FolderSink:
    """``after_first_bytes`` is called once, in the middle of the first stream."""

    def __init__(self, folder: Path, after_first_bytes: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self.parts: list[Part] = []
        self.before: Snapshot | None = None
        self.notes: list[str] = []
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
            status = path.lstat()
            kind = "symlink" if path.is_symlink() else "dir" if path.is_dir() else "file"
            yield Entry(str(path.relative_to(root)), status.st_size, status.st_mtime_ns, kind=kind)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def previous(self, part: str) -> Snapshot | None:
        return self.before if part == "cluster" else None

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
        if tree.only and not tree.live:
            (self.folder / tree.part).mkdir(parents=True)
            for name in tree.only:
                (self.folder / tree.part / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree.root / name, self.folder / tree.part / name)
            return
        if tree.live:
            _copy_live(tree, self.folder / tree.part)
            return
        shutil.copytree(tree.root, self.folder / tree.part, symlinks=True)


def _copy_live(tree: Tree, target: Path) -> None:
    """Copies a tree whose files come and go, without what it excludes."""
    for folder in folders_of(tree):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name in files_of(tree):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(tree.root / name, target / name)


def folders_of(tree: Tree) -> Iterator[str]:
    """The folders that belong to a tree, relative to its root, which comes first."""
    for folder, _, _ in os.walk(tree.root):
        place = Path(folder).relative_to(tree.root)
        wanted = not tree.only or (place.parts and place.parts[0] in tree.only)
        if wanted and not any(_excluded(each, tree.excludes) for each in (place, *place.parents)):
            yield str(place)


def files_of(tree: Tree) -> Iterator[str]:
    """The files that belong to a tree, relative to its root."""
    for folder, names, files in os.walk(tree.root):
        place = Path(folder).relative_to(tree.root)
        names[:] = sorted(name for name in names if not _excluded(place / name, tree.excludes))
        for name in sorted(files):
            path = place / name
            if not _excluded(path, tree.excludes) and (not tree.only or {path.parts[0], str(path)} & {*tree.only}):
                yield str(path)


def _excluded(path: Path, patterns: tuple[str, ...]) -> bool:
    anchored = (pattern.removeprefix("/") for pattern in patterns if pattern.startswith("/"))
    loose = (pattern for pattern in patterns if not pattern.startswith("/"))
    return any(fnmatch(str(path), pattern) for pattern in anchored) or any(fnmatch(path.name, each) for each in loose)


def regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
