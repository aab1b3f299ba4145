"""Which paths come first: every new file is among them, whatever its name, and not much else."""

import random
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from drmgr.engines.files.newest import MOST_SINGLE_FILES, is_newer, newer_paths, patterns

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = (int(datetime(year, 6, 1, tzinfo=UTC).timestamp() * 1e9) for year in (2025, 2026))

Line = dict[str, Any]


def tree(*files: tuple[str, int]) -> list[Line]:
    """The manifest's lines of these files and of every folder above them."""
    folders = {path[:place] for path, _ in files for place, sign in enumerate(path) if sign == "/"}
    lines: list[Line] = [{"path": folder, "kind": "dir"} for folder in sorted(folders)]
    return [*lines, *({"path": path, "mtime": time, "size": 1} for path, time in files)]


def chosen(*files: tuple[str, int]) -> set[str]:
    return set(newer_paths(tree(*files), SINCE)[0])


def test_whole_folders_are_named_where_all_in_them_is_new() -> None:
    assert chosen(("2025/a/1", OLD), ("2026/b/1", NEW), ("2026/b/2", NEW), ("2026/c/1", NEW)) == {"2026"}
    assert chosen(("x/1", OLD), ("x/y/1", NEW), ("x/y/2", OLD), ("z/1", OLD)) == {"x/y"}


def test_single_files_are_named_where_a_folder_would_bring_much_that_is_old() -> None:
    old = [(f"flat/{number}", OLD) for number in range(20)]
    assert chosen(*old, ("flat/new", NEW)) == {"flat/new"}
    many = [(f"flat/new{number}", NEW) for number in range(MOST_SINGLE_FILES + 1)]
    paths, files, _ = newer_paths(tree(("a", OLD), *many, *((f"flat/old{n}", OLD) for n in range(30_000))), SINCE)
    assert (paths, files) == (["flat"], MOST_SINGLE_FILES + 1)


def test_nothing_new_and_all_new_are_told() -> None:
    assert newer_paths(tree(("a/1", OLD)), SINCE) == ([], 0, False)
    assert newer_paths(tree(("a/1", NEW), ("2", NEW)), SINCE)[1:] == (2, True)


def test_no_new_file_is_left_out_of_any_tree() -> None:
    rng = random.Random(7)
    for _ in range(300):
        names = {"/".join(rng.choices("abc", k=rng.randint(1, 4))) + str(rng.randint(0, 5)) for _ in range(25)}
        # a name is a file's or a folder's
        files = [name for name in sorted(names) if not any(other.startswith(f"{name}/") for other in names)]
        told = [(name, rng.choice((OLD, OLD, NEW))) for name in files]
        paths, count, everything = newer_paths(tree(*told), SINCE)
        covered = {name for name, _ in told if any(name == path or name.startswith(f"{path}/") for path in paths)}
        new = {name for name, time in told if time == NEW}
        assert count == len(new)
        assert everything or new <= covered


def test_an_image_counts_by_the_day_of_its_study() -> None:
    assert is_newer({"mtime": OLD, "dicom": ["1", "2", "3", "20260101"]}, SINCE)
    assert not is_newer({"mtime": NEW, "dicom": ["1", "2", "3", "20251231"]}, SINCE)
    assert is_newer({"mtime": NEW, "dicom": ["1", "2", "3", ""]}, SINCE)
    assert is_newer({"mtime": NEW, "dicom": None}, SINCE)


def test_a_pattern_matches_its_path_and_holds_nothing_that_restic_would_read_otherwise() -> None:
    for path in (
        "#no comment",
        " blank ",
        "$HOME",
        "a*[b]?",
        "!not",
        "line\nfeed",
        "\udcbc\udcec/张三.dcm",
        "back\\slash",
    ):
        (pattern,) = patterns([path])
        assert fnmatchcase(f"/{path}", pattern)
        assert not set(pattern[1:]) & set("#$*[]!\\\n ")
