"""The entry point: every way out has its exit code, and none is a bare traceback."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from drmgr.cli import main as entry
from drmgr.errors import DrmgrError, Interrupted, LockedError, SourceError


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("given", "hoisted"),
    [
        (["backup", "--all", "--json"], ["--json", "backup", "--all"]),
        (["points", "his", "--config", "a.yaml"], ["--config", "a.yaml", "points", "his"]),
        (["points", "--config=a.yaml", "his"], ["--config=a.yaml", "points", "his"]),
        (["--json", "--config", "--json", "x"], ["--json", "--config", "--json", "x"]),
        (["x", "--", "--json", "--config", "a"], ["x", "--", "--json", "--config", "a"]),
        (["x", "--config"], ["--config", "x"]),
        (["restore", "--reason", "why not", "--jsonish"], ["restore", "--reason", "why not", "--jsonish"]),
        ([], []),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], hoisted: list[str]) -> None:
    assert entry._hoisted(given) == hoisted


def ways_out(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes every command end by that exception."""

    def command(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(entry, "_command", lambda _output: SimpleNamespace(main=command))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockedError("held"), 12),
        (SourceError("down"), 20),
        (DrmgrError("x"), 1),
        (Interrupted("SIGTERM"), 130),
        (typer.Abort(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_way_out_has_its_exit_code_and_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    ways_out(monkeypatch, error)
    assert entry.main(["doctor"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "drmgr: " in err
    assert "()" not in err


def test_a_failure_in_json_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in (
        (LockedError("held"), "locked"),
        (Interrupted("SIGTERM"), "interrupted"),
        (KeyError(), "error"),
    ):
        ways_out(monkeypatch, error)
        exit_code = entry.main(["--json", "doctor"])
        told = json.loads(capsys.readouterr().out)["error"]
        assert (told["code"], told["exit_code"]) == (code, exit_code)


@pytest.mark.parametrize("arguments", [["no-such-command"], ["points"], ["points", "his", "--no-such-option"]])
def test_a_misused_command_line_is_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert entry.main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_a_missing_site_file_is_a_matter_of_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["config", "check", "--config", str(tmp_path / "none.yaml"), "--json"]) == 10
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "config"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("drmgr ")
