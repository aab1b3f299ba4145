"""The benchmark itself: turns are fair, ratios are told as they are, memory is that of the process that is meant."""

import sys
from pathlib import Path

import pytest

from bench.contest import Contest, Score
from bench.measure import Measuring, Sample, measured, stored_bytes
from bench.report import BEGIN, END, Chapter, Target, page, put
from bench.sizes import Sizes
from drmgr.errors import ToolError
from drmgr.system.command import Command, Runner

SIZES = Sizes(scale=1, rows=1, files=1, rounds=2, nights=3)
HUNGRY = "import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
CHILD = "import time; kept = b'x' * 100_000_000; time.sleep(2)"
"""It is looked at every 20 ms; on a busy machine that may well be some tenths of a second apart."""


class Paced:
    """Stores ten bytes each time, and notes when it was its turn."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name = name
        self._turns = turns
        self._stored = 0

    def begin(self) -> None:
        self._stored = 0

    def store(self, _measuring: Measuring) -> None:
        self._turns.append(self.name)
        self._stored += 10

    def restore(self, _measuring: Measuring, _target: Path) -> None:
        self._turns.append(self.name)

    def stored(self) -> int:
        return self._stored


def test_nobody_always_comes_after_the_same_one(tmp_path: Path) -> None:
    turns: list[str] = []
    nights: list[int] = []
    contestants = [Paced(name, turns) for name in "ABC"]
    scores = Contest(contestants, nights.append, tmp_path, Runner()).play(SIZES)
    assert "".join(turns) == "ABCCBA" + "ABCCBAABC" + "ABCCBA"
    assert nights == [0, 1, 2]
    assert scores["B"].growth == [10, 10, 10, 10]
    assert [len(scores["B"].samples[act]) for act in ("full", "night", "restore")] == [2, 3, 2]


def test_the_memory_of_a_process_is_not_that_of_its_children() -> None:
    script = HUNGRY.format(child=CHILD)
    sample = measured(lambda measuring: measuring.run(Command((sys.executable, "-c", script))), Runner())
    assert sample.peak < 60_000_000
    assert sample.peak_child > 90_000_000
    assert sample.wall > 2
    assert sample.cpu > 0


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(ToolError, match="ended with 3"):
        measured(lambda measuring: measuring.run(Command((sys.executable, "-c", "raise SystemExit(3)"))), Runner())


def test_a_file_with_two_names_is_stored_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    assert stored_bytes(tmp_path) == 5


def score(*walls: float, growth: int) -> Score:
    samples = [Sample(wall, wall, 100_000_000, 200_000_000) for wall in walls]
    return Score(dict.fromkeys(("full", "night", "restore"), samples), [growth, growth, growth])


def test_a_ratio_that_is_missed_is_called_so() -> None:
    scores = {"drmgr": score(2.0, 4.0, 3.0, growth=10), "other": score(4.0, growth=100)}
    targets = (Target("a night", "night", "other", 0.75), Target("a night", "night", "other", 0.7))
    text = page([Chapter("Title", "About.", scores, targets)], ["drmgr 1"], 0.0, 1.0)
    assert "| other: a night | ≤ 0.75 × | 0.75 × | met |" in text
    assert "| other: a night | ≤ 0.7 × | 0.75 × | **missed** |" in text
    assert "| Title: drmgr | 100.0 MB | 200.0 MB | met |" in text


def test_only_what_was_measured_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put(path, f"{BEGIN}\nnew\n{END}")
    assert path.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    path.write_text("no place")
    with pytest.raises(ValueError, match="no place"):
        put(path, "new")
