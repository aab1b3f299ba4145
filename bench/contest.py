"""Several ways to do the same work, in turns, so that whatever else this machine does disturbs all of them alike."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Protocol

from bench.measure import Measuring, Sample, measured
from bench.sizes import Sizes
from drmgr.system.command import Runner

ACTS = ("full", "night", "restore")


class Contestant(Protocol):
    """One way. Every method raises when what it did was not done well."""

    name: str

    def begin(self) -> None:
        """Makes an empty repository in the place of the one before. Not measured."""

    def store(self, measuring: Measuring) -> None:
        """Makes one backup: the first one, or the next."""

    def restore(self, measuring: Measuring, target: Path) -> None:
        """Brings the newest backup back to ``target``, which is not there yet."""

    def stored(self) -> int:
        """Bytes in the repository."""


@dataclass
class Score:
    """What one contestant needed, in order. ``growth``: bytes that the first backup stored, then each night's."""

    samples: dict[str, list[Sample]] = field(default_factory=lambda: {act: [] for act in ACTS})
    growth: list[int] = field(default_factory=list)

    def wall(self, act: str) -> float:
        """The median, in seconds; 0 for an act that was not measured."""
        return median(sample.wall for sample in self.samples[act]) if self.samples[act] else 0.0

    def cpu(self, act: str) -> float:
        """The median, in seconds."""
        return median(sample.cpu for sample in self.samples[act]) if self.samples[act] else 0.0

    def night_growth(self) -> float:
        """Bytes that a night added, the median."""
        return median(self.growth[1:]) if self.growth[1:] else 0.0

    def peak(self) -> int:
        """Of its own process, over everything it did."""
        return max(sample.peak for samples in self.samples.values() for sample in samples)

    def peak_child(self) -> int:
        return max(sample.peak_child for samples in self.samples.values() for sample in samples)


Scores = dict[str, Score]


class Contest:
    """``churn`` changes one percent of the source; ``room`` is an empty folder for what is restored."""

    def __init__(
        self, contestants: Sequence[Contestant], churn: Callable[[int], None], room: Path, runner: Runner
    ) -> None:
        self._contestants = contestants
        self._churn = churn
        self._room = room
        self._runner = runner
        self._scores: Scores = {contestant.name: Score() for contestant in contestants}

    def play(self, sizes: Sizes) -> Scores:
        """First backups, nights, restores; in each round everybody once."""
        for number in range(sizes.rounds):
            for contestant in self._turn(number):
                contestant.begin()
                self._store(contestant, "full", first=True)
        for number in range(sizes.nights):
            self._churn(number)
            for contestant in self._turn(number):
                self._store(contestant, "night", first=False)
        for number in range(sizes.rounds):
            for contestant in self._turn(number):
                self._restore(contestant, number)
        return self._scores

    def _turn(self, number: int) -> Sequence[Contestant]:
        """A B C, then C B A: nobody always comes after the same one."""
        return self._contestants if number % 2 == 0 else self._contestants[::-1]

    def _store(self, contestant: Contestant, act: str, *, first: bool) -> None:
        score, before = self._scores[contestant.name], 0 if first else contestant.stored()
        sample = measured(contestant.store, self._runner)
        added = contestant.stored() - before
        if first:
            score.growth.clear()
        score.growth.append(added)
        self._note(contestant, act, sample, added)

    def _restore(self, contestant: Contestant, number: int) -> None:
        target = self._room / f"{number}-{contestant.name.split()[0]}"
        sample = measured(lambda measuring: contestant.restore(measuring, target), self._runner)
        self._note(contestant, "restore", sample, 0)
        if target.exists():
            shutil.rmtree(target)

    def _note(self, contestant: Contestant, act: str, sample: Sample, added: int) -> None:
        self._scores[contestant.name].samples[act].append(sample)
        say(
            f"  {act:8}{contestant.name:34}{sample.wall:8.2f} s wall {sample.cpu:8.2f} s cpu "
            f"{added / 1e6:9.1f} MB stored {sample.peak / 1e6:7.0f} MB peak"
        )


def say(text: str) -> None:
    """One line of progress, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
