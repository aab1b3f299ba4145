"""A Repository in a folder, without restic: for tests of the flows. The contract suite holds it to the real one's ways."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from drmgr.errors import RepositoryDamagedError, RepositoryMissingError, SourceError
from drmgr.interfaces import Progress
from drmgr.model import CheckReport, Entry, Listing, Payload, Snapshot, Stream
from tests.support.folder_sink import files_of, folders_of


class FakeRepository:
    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self._path = path
        self.pruned = 0

    def init(self) -> bool:
        made = not self._path.exists()
        self._path.mkdir(parents=True, exist_ok=True)
        return made

    def probe(self) -> None:
        if not self._path.is_dir():
            raise RepositoryMissingError("there is no repository at this place")

    def backup(self, payload: Payload, tags: Sequence[str], progress: Progress) -> Snapshot:
        self.probe()
        if isinstance(payload, Stream):
            done = subprocess.run(payload.argv, env=dict(payload.env), capture_output=True, check=False)
            if done.returncode:
                raise SourceError(f"store {payload.part}: the source's own program failed")
            return self.store_bytes(payload.filename, done.stdout, tags)
        if not payload.root.is_dir():
            raise SourceError(f"the folder {payload.root} is not there")
        kept = {}
        for name in files_of(payload):
            try:
                kept[name] = (payload.root / name).read_bytes()
            except FileNotFoundError:
                if not payload.live:
                    raise
        progress(1.0, payload.part)
        saved = self._save(kept, payload.root, tags)
        for folder in folders_of(payload):
            (self._path / saved.id / "files" / folder).mkdir(parents=True, exist_ok=True)
        return saved

    def store_bytes(self, filename: str, content: bytes, tags: Sequence[str]) -> Snapshot:
        self.probe()
        return self._save({filename: content}, None, tags)

    def _save(self, files: dict[str, bytes], root: Path | None, tags: Sequence[str]) -> Snapshot:
        time = datetime.now(UTC)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        times = {name: _modified(root / name) if root else 0 for name in files}
        document = {"time": time.isoformat(), "tags": list(tags), "hashes": hashes, "times": times}
        identity = hashlib.sha256(json.dumps(document).encode()).hexdigest()
        for name, content in files.items():
            place = self._path / identity / "files" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        (self._path / identity).mkdir(exist_ok=True)
        (self._path / identity / "snapshot.json").write_text(json.dumps(document))
        size = sum(map(len, files.values()))
        return Snapshot(identity, time, tuple(tags), len(files), size, size)

    def read_bytes(self, snapshot: str, filename: str) -> bytes:
        path = self._proven(snapshot) / filename
        if not path.is_file():
            raise RepositoryDamagedError(f"snapshot {snapshot[:8]} has no {filename}")
        return path.read_bytes()

    def restore(self, snapshot: str, target: Path, files: int, size: int, progress: Progress) -> None:
        source = self._proven(snapshot)
        found = [path.stat().st_size for path in source.rglob("*") if path.is_file()]
        shutil.copytree(source, target)
        progress(1.0, "restore")
        if (len(found), sum(found)) != (files, size):
            raise RepositoryDamagedError(f"snapshot {snapshot[:8]}: the counts differ")

    def restore_some(self, snapshot: str, target: Path, patterns: Path, *, only: bool, progress: Progress) -> None:
        source, told = self._proven(snapshot), patterns.read_text(encoding="utf-8").splitlines()
        for path in (path for path in source.rglob("*") if path.is_file()):
            name = path.relative_to(source)
            names = [f"/{each}" for each in (name, *name.parents)]
            if any(fnmatchcase(each, pattern) for each in names for pattern in told) is only:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target / name)
        progress(1.0, "restore")

    def entries(self, snapshot: str) -> Iterator[Entry]:
        times = json.loads((self._path / snapshot / "snapshot.json").read_text())["times"]
        source = self._proven(snapshot)
        for path in sorted(source.rglob("*")):
            if path.is_file():
                name = str(path.relative_to(source))
                yield Entry(name, path.stat().st_size, times[name])

    def snapshots(self, tags: Sequence[str] = ()) -> Listing:
        self.probe()
        found, damaged = [], []
        for place in self._path.iterdir():
            try:
                document = json.loads((place / "snapshot.json").read_text())
            except ValueError:
                damaged.append(place.name)
                continue
            if set(tags) <= set(document["tags"]):
                time = datetime.fromisoformat(document["time"])
                sizes = [path.stat().st_size for path in (place / "files").rglob("*") if path.is_file()]
                hashes = json.dumps(document["hashes"], sort_keys=True)
                tree = hashlib.sha256(hashes.encode()).hexdigest()
                found.append(Snapshot(place.name, time, tuple(document["tags"]), len(sizes), sum(sizes), tree=tree))
        return Listing(tuple(sorted(found, key=lambda snapshot: snapshot.time)), tuple(damaged))

    def init_like(self, source: "FakeRepository") -> bool:
        source.probe()
        return self.init()

    def take(self, source: "FakeRepository", snapshots: Sequence[str], progress: Progress) -> None:
        self.probe()
        for number, snapshot in enumerate(snapshots):
            progress(number / len(snapshots), "copy")
            source._proven(snapshot)
            if not (self._path / snapshot).exists():
                shutil.copytree(source._path / snapshot, self._path / snapshot)

    def forget(self, snapshots: Sequence[str]) -> None:
        self.probe()
        for snapshot in snapshots:
            shutil.rmtree(self._path / snapshot)

    def prune(self) -> None:
        if self.snapshots().damaged:
            raise RepositoryDamagedError("a snapshot cannot be read")
        self.pruned += 1

    def check_group(self, group: int, groups: int) -> CheckReport:
        """Snapshots stand for packs."""
        return self._checked(lambda name: int(name[:2], 16) % groups == group - 1, 1 / groups)

    def touched_by(self, packs: Sequence[str]) -> frozenset[str]:
        return frozenset(packs)

    def drop_broken(self, packs: Sequence[str], snapshots: Sequence[str]) -> None:
        for snapshot in {*packs, *snapshots}:
            shutil.rmtree(self._path / snapshot, ignore_errors=True)

    def replace(self, source: "FakeRepository", snapshots: Sequence[str], progress: Progress) -> None:
        self.take(source, snapshots, progress)

    def check(self, share: float) -> CheckReport:
        return self._checked(lambda _name: True, share)

    def _checked(self, reads: Callable[[str], bool], share: float) -> CheckReport:
        self.probe()
        broken = []
        for place in filter(lambda place: reads(place.name), self._path.iterdir()):
            try:
                self._proven(place.name)
            except (RepositoryDamagedError, ValueError):
                broken.append(place.name)
        return CheckReport(not broken, len(broken), tuple(broken), share, 0.0)

    def _proven(self, snapshot: str) -> Path:
        place = self._path / snapshot
        if not place.is_dir():
            raise RepositoryDamagedError(f"snapshot {snapshot[:8]} is not there")
        for name, digest in json.loads((place / "snapshot.json").read_text())["hashes"].items():
            path = place / "files" / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise RepositoryDamagedError(f"snapshot {snapshot[:8]}: {name} is not what was stored")
        return place / "files"


def _modified(path: Path) -> int:
    """0 for a file of a live tree that has vanished since it was read."""
    return path.stat().st_mtime_ns if path.exists() else 0
