"""The papers tell the truth: commands exist, links lead somewhere, tables agree with the code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from drmgr.cli.main import _hoisted, app
from drmgr.errors import DrmgrError, Interrupted

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def console_lines(path: Path) -> Iterator[list[str]]:
    """The commands that a paper shows at a prompt, as words."""
    for block in re.findall(r"^```console\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield shlex.split(line.removeprefix("$ "), comments=True)


def inline_commands(path: Path) -> Iterator[list[str]]:
    """The commands that stand between backquotes within the text."""
    for text in re.findall(r"`(drmgr [^`\n]+)`", path.read_text(encoding="utf-8")):
        yield shlex.split(text)


def parse(words: list[str], *, whole: bool) -> None:
    """Walks down to the command and, if it is shown whole, reads its options. Raises what typer raises for wrong ones."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("drmgr", _hoisted(words), resilient_parsing=not whole)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"there is no command {' '.join(words)}"
        context = command.make_context(name, rest, parent=context, resilient_parsing=not whole)


@pytest.mark.parametrize("name", READMES)
def test_every_command_of_the_readme_can_be_typed(name: str) -> None:
    shown = [words[1:] for words in console_lines(ROOT / name) if words[0] == "drmgr"]
    assert len(shown) > 10
    for words in shown:
        parse(words, whole=True)


@pytest.mark.parametrize("wrong", [["nosuch"], ["drill", "play"], ["backup", "--nosuch"], ["points"]])
def test_a_command_that_does_not_exist_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises(TyperException):
        parse(wrong, whole=True)


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_every_command_named_in_a_text_exists(path: Path) -> None:
    for words in inline_commands(path):
        parse(words[1:], whole=False)


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = (list(console_lines(ROOT / name)) for name in READMES)
    assert english == chinese


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert ROOT in there.parents, target
        assert not anchor or anchor in anchors(there), target


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def error_classes(base: type[DrmgrError] = DrmgrError) -> Iterator[type[DrmgrError]]:
    yield base
    for each in base.__subclasses__():
        yield from error_classes(each)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    text = (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8")
    table = [
        (int(number), code) for number, code in re.findall(r"^\| (\d+) \| ([a-z-]+) \| .+ \|$", text, re.MULTILINE)
    ]
    raised = {(each.exit_code, each.code) for each in error_classes() if each.__module__ == DrmgrError.__module__}
    assert table == sorted(table, key=lambda row: row[0])
    assert len(table) == len(set(table))
    assert set(table) == {(0, "-"), (Interrupted.exit_code, Interrupted.code), *raised}


@pytest.mark.parametrize("name", READMES)
def test_the_short_table_of_exit_codes_names_all_but_the_bug(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (section,) = re.findall(r"^## (?:Exit codes|退出码)$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (\d[^|]*) \|", section, re.MULTILINE)
    shown = {int(number) for row in rows for number in re.findall(r"\d+", row)}
    known = {0, Interrupted.exit_code, *(each.exit_code for each in error_classes())}
    assert shown == known - {DrmgrError.exit_code}


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_no_paper_names_a_place_of_the_machine_it_was_written_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:tmp|work|root|home)/\S*", text)
    assert str(ROOT) not in text


def test_the_decisions_are_numbered_and_short() -> None:
    found = sorted((ROOT / "docs/adr").glob("*.md"))
    # numbers are given out before the decisions are written, so one may be missing for a while
    assert len({path.name[:4] for path in found}) == len(found)
    for path in found:
        text = path.read_text(encoding="utf-8")
        number = path.name.partition("-")[0]
        assert re.fullmatch(r"[0-9]{4}", number), path.name
        assert text.startswith(f"# {number} "), path.name
        assert [part for part in ("Context", "Decision", "Consequences") if f"\n## {part}\n" not in text] == []
        assert len(text.split()) <= 450, path.name


def test_every_test_that_the_bad_days_name_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/bad-days.md").read_text(encoding="utf-8"))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 15
    assert [name for name in named if name not in defined] == []
