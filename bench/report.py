"""What was measured, as the tables of docs/benchmarks.md; what people wrote around them stays."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.contest import ACTS, Score, Scores

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
MEMORY_LIMIT = 150_000_000
OURS = "drmgr"


@dataclass(frozen=True)
class Target:
    """``act`` is one of ACTS, or ``growth`` of a night; at most ``limit`` times what ``rival`` needs."""

    words: str
    act: str
    rival: str
    limit: float


@dataclass(frozen=True)
class Chapter:
    """One contest: its title, what was measured, who was how good, and what was asked of drmgr."""

    title: str
    about: str
    scores: Scores
    targets: tuple[Target, ...] = ()


TARGETS = (
    Target("nightly repeat, wall time", "night", "pgBackRest", 0.75),
    Target("nightly repeat, stored growth", "growth", "pgBackRest", 0.25),
    Target("restore, wall time", "restore", "pgBackRest", 0.6),
    Target("first full, wall time", "full", "pgBackRest", 1.2),
    Target("first full, wall time", "full", "restic by hand", 1.05),
    Target("nightly repeat, wall time", "night", "restic by hand", 1.05),
    Target("restore, wall time", "restore", "restic by hand", 1.05),
)


def page(chapters: Sequence[Chapter], versions: Sequence[str], load: float, minutes: float) -> str:
    """The measured part of the page."""
    about = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} in one run of {minutes:.0f} minutes: {platform.system()} "
        f"{platform.release().split('-')[0]}, {_cores()}; load of this machine by others at the start: {load:.1f}."
    )
    lines = [BEGIN, "", about, "", f"Versions: {', '.join(versions)}.", ""]
    for chapter in chapters:
        lines += [f"## {chapter.title}", "", chapter.about, "", *_times(chapter.scores), ""]
        lines += [*_bytes(chapter.scores), ""]
        if chapter.targets:
            lines += [*_targets(chapter), ""]
    return "\n".join([*lines, *_memory(chapters), "", END])


def put(path: Path, measured: str) -> None:
    """Puts the measured part in the place of the one before. Raises ValueError for a page without its marks."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} has no place for what was measured")
    path.write_text(before + measured + after, encoding="utf-8")


def _cores() -> str:
    import os

    return f"{os.cpu_count()} processors"


def _times(scores: Scores) -> list[str]:
    """Medians, and how many times drmgr's that is."""
    ours = scores[OURS]
    rows = [
        "| median of | first full | nightly repeat | restore | processor time: full, night, restore |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, score in scores.items():
        cells = [_wall(score, ours, act) for act in ACTS]
        cpu = ", ".join(f"{score.cpu(act):.1f} s" for act in ACTS)
        rows.append(f"| {name} | {' | '.join(cells)} | {cpu} |")
    return rows


def _wall(score: Score, ours: Score, act: str) -> str:
    share = "" if score is ours or not score.wall(act) else f" (drmgr {ours.wall(act) / score.wall(act):.2f} ×)"
    return f"{score.wall(act):.1f} s{share}"


def _bytes(scores: Scores) -> list[str]:
    nights = max(len(score.growth) for score in scores.values()) - 1
    rows = [
        f"| stored, MB | first full | a night (median) | all, after {nights} nights |",
        "| --- | --- | --- | --- |",
    ]
    for name, score in scores.items():
        rows.append(f"| {name} | {_mb(score.growth[0])} | {_mb(score.night_growth())} | {_mb(sum(score.growth))} |")
    return rows


def _targets(chapter: Chapter) -> list[str]:
    rows = ["| drmgr against | asked | measured | |", "| --- | --- | --- | --- |"]
    for target in chapter.targets:
        ours, rival = (_value(chapter.scores[name], target.act) for name in (OURS, target.rival))
        ratio = ours / rival
        verdict = "met" if ratio <= target.limit else "**missed**"
        rows.append(f"| {target.rival}: {target.words} | ≤ {target.limit} × | {ratio:.2f} × | {verdict} |")
    return rows


def _value(score: Score, act: str) -> float:
    return score.night_growth() if act == "growth" else score.wall(act)


def _memory(chapters: Sequence[Chapter]) -> list[str]:
    rows = [
        "## Memory",
        "",
        "Peak resident memory of drmgr's own process over all it did (≤ 150 MB is asked), and of the largest of its",
        "children (restic, mariadb-backup, the readers of files), which are processes of their own.",
        "",
        "| | drmgr | its largest child | |",
        "| --- | --- | --- | --- |",
    ]
    for chapter in chapters:
        for name, score in chapter.scores.items():
            if name.startswith(OURS):
                verdict = "met" if score.peak() <= MEMORY_LIMIT else "**missed**"
                rows.append(
                    f"| {chapter.title}: {name} | {_mb(score.peak())} | {_mb(score.peak_child())} | {verdict} |"
                )
    return rows


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
