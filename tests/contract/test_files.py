"""What only file trees do, with a real restic: whatever the names and whatever moves, no file is vouched for unseen."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drmgr.engines.files import FilesEngine, TreeSettings
from drmgr.engines.files.look import SAMPLE_ONE_IN
from drmgr.errors import NotAllowedError, RepositoryError, ScratchError, SourceError
from drmgr.model import CheckStatus, Entry, Facts, Instance, Part, Payload, Snapshot
from drmgr.repository.restic import ResticRepository
from drmgr.system.clock import SystemClock
from drmgr.system.command import Runner
from drmgr.system.secret import Secret
from tests.support.restic import restic_in

GBK = "检查报告".encode("gbk")
"""Not UTF-8; four characters, and so is every other name of four: restic's JSON tells them all alike."""
GBK_TOO = "出院小结".encode("gbk")

NAMES = (
    b"plain.txt",
    "报告.txt".encode(),
    GBK + b".txt",
    GBK_TOO + b".txt",
    GBK + b"/" + GBK_TOO,
    GBK_TOO + b"/" + "混合".encode() + GBK,
    b"line\nfeed",
    b"feed\n" + GBK + b"\n",
    b'quote"back\\slash',
    b"\\xbc literal",
    "\ufffd real".encode(),
    "\ufffd".encode() + b"\xff",
    b"\xff\xfe",
    b" blank ",
    b"star*[x]?",
    b"tab\tbell\x07",
    "\u2028\u200b\u00e9e\u0301".encode(),
)


def silent(_share: float, _word: str) -> None:
    return


class RepositorySink:
    """Stores parts in a repository; ``between`` acts when restic has read the files and drmgr has not."""

    def __init__(self, repository: ResticRepository, between: Callable[[], None] = lambda: None) -> None:
        self.repository = repository
        self.parts: list[Part] = []
        self.notes: list[str] = []
        self._between = between

    def save(self, payload: Payload) -> Part:
        done = self.repository.backup(payload, (), silent)
        self.parts.append(Part(payload.part, done.id, done.files, done.bytes))
        if payload.part == "files":
            self._between()
        return self.parts[-1]

    def save_together(self, *payloads: Payload) -> tuple[Part, ...]:
        return tuple(map(self.save, payloads))

    def entries(self, part: Part) -> Iterator[Entry]:
        return self.repository.entries(part.snapshot)

    def previous(self, part: str) -> Snapshot | None:
        return None

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ResticRepository:
    folder = tmp_path_factory.mktemp("repository")
    settings = restic_in(folder / "r", folder / "cache")
    made = ResticRepository(settings, lambda: Secret("p" * 64), Runner())
    made.init()
    return made


def write(root: Path, name: bytes, content: bytes) -> None:
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def plant(root: Path) -> None:
    for number, name in enumerate(NAMES):
        write(root, name, b"content %02d" % number)
    (root / "empty" / "below").mkdir(parents=True)
    (root / "link").symlink_to("plain.txt")
    (root / "broken link").symlink_to("/nowhere")
    (root / "folder link").symlink_to("empty")
    os.mkfifo(root / "pipe")


class Act:
    """A backup of the tree and its way back."""

    def __init__(self, repository: ResticRepository, folder: Path) -> None:
        self.repository = repository
        self.folder = folder
        self.root = folder / "tree"
        self.parts: list[Part] = []
        self.notes: list[str] = []
        self._count = 0

    def engine(self, **settings: Any) -> FilesEngine:
        return FilesEngine(TreeSettings(self.root, **settings), SystemClock(), self.folder / "runtime", Runner())

    def back_up(self, between: Callable[[], None] = lambda: None, **settings: Any) -> Facts:
        sink = RepositorySink(self.repository, between)
        with self.engine(**settings).capture() as capture:
            capture.store(sink)
            facts = capture.facts()
        self.parts, self.notes = sink.parts, sink.notes
        return facts

    def bring_back(self) -> Instance:
        self._count += 1
        staged, target = self.folder / f"staged{self._count}", self.folder / f"back{self._count}"
        target.mkdir()
        for part in self.parts:
            self.repository.restore(part.snapshot, staged / part.name, part.files, part.bytes, silent)
        return self.engine().load(staged, Instance("files", path=target), silent)

    def now(self, of: Instance, like: Facts) -> Facts:
        return self.engine().facts(of, like)


@pytest.fixture
def act(repository: ResticRepository, tmp_path: Path) -> Act:
    plant(tmp_path / "tree")
    return Act(repository, tmp_path)


@pytest.fixture(scope="module")
def stored(repository: ResticRepository, tmp_path_factory: pytest.TempPathFactory) -> tuple[Act, Facts]:
    """One backup, and its parts restored once, for the tests that only look at what came back."""
    act = Act(repository, tmp_path_factory.mktemp("stored"))
    plant(act.root)
    facts = act.back_up()
    for part in act.parts:
        act.repository.restore(part.snapshot, act.folder / "parts" / part.name, part.files, part.bytes, silent)
    return act, facts


@pytest.fixture
def back(stored: tuple[Act, Facts], tmp_path: Path) -> Instance:
    """The stored tree, loaded into a folder of the test's own."""
    act, _ = stored
    subprocess.run(["cp", "-a", act.folder / "parts", tmp_path / "staged"], check=True)
    (tmp_path / "back").mkdir()
    return act.engine().load(tmp_path / "staged", Instance("files", path=tmp_path / "back"), silent)


def files_below(root: Path) -> dict[bytes, bytes]:
    paths = (Path(place, name) for place, _, names in os.walk(root) for name in names)
    return {
        bytes(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file() and not path.is_symlink()
    }


def manifest(of: Instance) -> dict[bytes, dict[str, Any]]:
    assert of.manifest is not None
    lines = [json.loads(line) for line in of.manifest.read_text(encoding="ascii").splitlines()]
    assert len({line["path"] for line in lines}) == len(lines)
    lines = [line for line in lines if "kind" not in line]
    return {line["path"].encode("utf-8", "surrogateescape"): line for line in lines}


def place(of: Instance, name: bytes) -> Path:
    assert of.path is not None
    return of.path / os.fsdecode(name)


def test_every_file_is_hashed_under_its_own_name_whatever_its_encoding(
    stored: tuple[Act, Facts], back: Instance
) -> None:
    act, facts = stored
    count = len(NAMES)
    assert facts.groups["files"] == {"count": count, "hashed": count, "moving": 0, "bytes": 10 * count}
    assert back.path is not None
    assert set(manifest(back)) == set(NAMES)
    assert all("sha256" in line for line in manifest(back).values())
    assert files_below(back.path) == files_below(act.root)
    assert act.now(back, facts).groups == facts.groups
    assert act.engine().integrity(back).status is CheckStatus.PASS


def test_links_and_empty_folders_come_back_too(back: Instance) -> None:
    assert back.path is not None
    assert (back.path / "empty" / "below").is_dir()
    links = {name: (back.path / name).readlink() for name in ("link", "broken link", "folder link")}
    assert links == {"link": Path("plain.txt"), "broken link": Path("/nowhere"), "folder link": Path("empty")}


def test_names_without_any_oddity_need_one_listing_only(
    repository: ResticRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tree", b"plain", b"x")
    act = Act(repository, tmp_path)
    act.back_up()
    calls: list[tuple[str, ...]] = []
    real = repository._start

    def counted(*arguments: str, **more: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **more)

    monkeypatch.setattr(repository, "_start", counted)
    assert [entry.path for entry in repository.entries(act.parts[0].snapshot)] == ["plain"]
    assert len(calls) == 1


def change(back: Instance, name: bytes) -> None:
    content = bytearray(place(back, name).read_bytes())
    content[0] ^= 1
    place(back, name).write_bytes(content)


def lose(back: Instance, name: bytes) -> None:
    place(back, name).unlink()


def add(back: Instance, name: bytes) -> None:
    place(back, name + b"+").write_bytes(b"")


def replace_by_link(back: Instance, name: bytes) -> None:
    """By one that leads to the very same content, as a link to production would."""
    outside = place(back, name).rename(place(back, b"") / ".." / "outside")
    place(back, name).symlink_to(outside.resolve())


@pytest.mark.parametrize("name", [NAMES[0], NAMES[2], NAMES[5], NAMES[7]])
@pytest.mark.parametrize(
    ("damage", "counted", "opens"),
    [
        (change, {"changed": 1, "metadata": 1}, True),
        (lose, {"missing": 1}, False),
        (add, {"extra": 1}, True),
        (replace_by_link, {"missing": 1, "extra": 1}, False),
    ],
)
def test_what_is_wrong_is_counted_under_its_name(
    stored: tuple[Act, Facts],
    back: Instance,
    damage: Callable[[Instance, bytes], None],
    counted: dict[str, int],
    name: bytes,
    *,
    opens: bool,
) -> None:
    act, facts = stored
    damage(back, name)
    found = act.now(back, facts)
    assert {key: count for key, count in found.groups["differences"].items() if count} == counted
    assert found.groups != facts.groups
    assert (act.engine().integrity(back).status is CheckStatus.PASS) is opens


def test_two_files_with_exchanged_contents_are_two_changes(stored: tuple[Act, Facts], back: Instance) -> None:
    act, facts = stored
    first, second = place(back, NAMES[2]), place(back, NAMES[3])
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert act.now(back, facts).groups["differences"] == {"missing": 0, "changed": 2, "extra": 0, "metadata": 2}


def grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def same_size(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def vanishes(path: Path) -> None:
    path.unlink()


def turns_into_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def turns_into_a_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


MOVES = {
    NAMES[0]: grows,
    NAMES[2]: grows,
    NAMES[1]: same_size,
    NAMES[3]: vanishes,
    NAMES[6]: turns_into_a_pipe,
    NAMES[8]: turns_into_a_link,
}


def test_files_that_moved_meanwhile_are_not_vouched_for(act: Act) -> None:
    def meanwhile() -> None:
        for name, moves in MOVES.items():
            moves(act.root / os.fsdecode(name))
        write(act.root, b"late", b"x")

    facts = act.back_up(meanwhile)
    counts = facts.groups["files"]
    assert (counts["count"], counts["moving"], counts["hashed"]) == (len(NAMES), len(MOVES), len(NAMES) - len(MOVES))
    back = act.bring_back()
    lines = manifest(back)
    assert {name for name in lines if "sha256" not in lines[name]} == set(MOVES)
    assert lines[b"plain.txt"].keys() == {"path", "size", "mtime", "moving"}
    # what was stored is what restic read, and that is what comes back
    assert place(back, b"plain.txt").read_bytes() == b"content 00"
    assert act.now(back, facts).groups == facts.groups


def test_sampled_hashes_some_files_and_measures_all(repository: ResticRepository, tmp_path: Path) -> None:
    act = Act(repository, tmp_path)
    for number in range(160):
        write(act.root, b"%03d" % number, b"%03d" % number)
    facts = act.back_up(facts="sampled")
    hashed = facts.groups["files"]["hashed"]
    assert 1 <= hashed <= 4 * 160 // SAMPLE_ONE_IN
    assert act.back_up(facts="sampled").groups == facts.groups
    back = act.bring_back()
    assert act.now(back, facts).groups == facts.groups
    lines = manifest(back)
    (seen, *_), (unseen, *_) = (
        [name for name in lines if ("sha256" in lines[name]) is wanted] for wanted in (True, False)
    )
    before = place(back, unseen).stat()
    place(back, unseen).write_bytes(b"xxx")
    os.utime(place(back, unseen), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert act.now(back, facts).groups == facts.groups
    place(back, unseen).write_bytes(b"xxxx")
    assert act.now(back, facts).groups["differences"]["changed"] == 1
    place(back, seen).write_bytes(b"xxx")
    assert act.now(back, facts).groups["differences"]["changed"] == 2


def test_excludes_leave_files_out_of_tree_and_facts(act: Act) -> None:
    facts = act.back_up(excludes=("*.txt", f"/{os.fsdecode(NAMES[6])}"))
    left = [name for name in NAMES if not name.endswith(b".txt") and name != NAMES[6]]
    assert facts.groups["files"]["count"] == len(left)
    assert set(manifest(act.bring_back())) == set(left)


def test_a_tree_of_which_nothing_was_stored_is_an_error(act: Act) -> None:
    with pytest.raises((SourceError, RepositoryError)):
        act.back_up(excludes=("*",))


def test_a_tree_is_never_restored_over_itself(act: Act) -> None:
    with pytest.raises(NotAllowedError):
        act.engine().target()


def test_a_target_that_cannot_be_written_is_a_matter_of_scratch(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    act.back_up()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ScratchError, match="No space left"):
        act.bring_back()


def test_a_listing_that_lacks_a_file_is_not_believed(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RepositorySink.entries

    def fewer(self: RepositorySink, part: Part) -> Iterator[Entry]:
        entries = real(self, part)
        next(entries)
        return entries

    monkeypatch.setattr(RepositorySink, "entries", fewer)
    with pytest.raises(RepositoryError, match=f"lists {len(NAMES) - 1} files, {len(NAMES)} were stored"):
        act.back_up()
