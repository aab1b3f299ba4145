"""A place that is a folder, for the tests of restores in place."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from drmgr.errors import DrmgrError, Interrupted, InUseError
from drmgr.interfaces import Engine
from drmgr.model import Facts, Instance, Member, Move


@dataclass
class FakePlace:
    """``busy`` sessions work in it, and the programs ``open_in`` have files of it open.

    ``raises`` is what the rename into that name raises, before it or, ``late``, after it.
    """

    engine: Engine
    root: Path
    busy: int = 0
    by_scratch: bool = False
    replays: bool = False
    by_hand: str = ""
    raises: dict[str, DrmgrError | Interrupted] = field(default_factory=dict)
    late: bool = False
    renamed: list[str] = field(default_factory=list)
    wrong: DrmgrError | None = None
    lacks: tuple[str, ...] = ()
    open_in: tuple[str, ...] = ()
    cut_off: bool = False

    def survey(self, member: Member) -> None:
        if self.wrong is not None:
            raise self.wrong

    def users(self) -> int:
        return self.busy

    def programs(self) -> tuple[str, ...]:
        return self.open_in

    def disk(self) -> Path | None:
        return self.root.parent

    def staging(self, run: str) -> Path | None:
        return None

    def make(self, run: str, facts: Facts) -> Instance:
        restored = self._named(f"restored-{run}")
        restored.mkdir()
        return Instance(self.engine.name, path=restored)

    def settle(self, run: str, staged: Path, loaded: Instance) -> None:
        assert staged.is_dir()
        assert loaded.path is not None and loaded.path.is_dir()

    def moves(self, run: str, source: str) -> tuple[Move, ...]:
        return (
            Move(source, self.root.name, f"{self.root.name}.before-{run}", kept=True),
            Move(source, f"{self.root.name}.restored-{run}", self.root.name),
        )

    def begun(self, move: Move) -> bool:
        return False

    def done(self, move: Move) -> bool:
        old, new = self.root.with_name(move.old), self.root.with_name(move.new)
        return new.exists() and (move.kept or not old.exists())

    def rename(self, move: Move, *, end_sessions: bool) -> None:
        old, new = self.root.with_name(move.old), self.root.with_name(move.new)
        assert not new.exists(), "something would be written over"
        if self.busy and not end_sessions:
            raise InUseError("others work in it")
        self.cut_off |= bool(self.busy)
        failure = self.raises.pop(move.new, None)
        if failure is not None and not self.late:
            raise failure
        old.rename(new)
        self.renamed.append(move.new)
        if failure is not None:
            raise failure

    def live(self, run: str) -> Instance | None:
        return None if self.by_hand else Instance(self.engine.name, path=self.root)

    def lacking(self, run: str) -> tuple[str, ...]:
        return self.lacks

    def tidy(self, run: str) -> None:
        return

    def discard(self, run: str) -> None:
        shutil.rmtree(self._named(f"restored-{run}"), ignore_errors=True)

    def _named(self, ending: str) -> Path:
        return self.root.with_name(f"{self.root.name}.{ending}")
