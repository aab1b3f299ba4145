"""What a stopped restore is told to leave behind: never more and never less than what is there."""

from pathlib import Path
from typing import Any, cast

import pytest

from drmgr.errors import Interrupted
from drmgr.flows.leftovers import NOTHING, left_behind
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import ToConnection, ToFolder
from tests.unit.flows.conftest import Site
from tests.unit.flows.ground import GOOD, SPOILT, Ground, allowed, moving_into, spoilt_site


@pytest.fixture
def ground(site: Site) -> Ground:
    return spoilt_site(site)


def test_a_database_is_only_called_filled_once_it_was_begun_to_be() -> None:
    target = ToConnection("spare", cast("Any", None), allowed, 'DROP DATABASE "x"; CREATE DATABASE "x";')
    assert left_behind(target, "his", "R", loading=False) == NOTHING
    assert 'DROP DATABASE "x"' in left_behind(target, "his", "R", loading=True)


def test_a_folder_is_named_only_if_it_is_there(tmp_path: Path) -> None:
    target = ToFolder(tmp_path / "now", allowed)
    assert left_behind(target, "his", "R", loading=False) == NOTHING
    target.folder.partial.mkdir()
    assert str(target.folder.partial) in left_behind(target, "his", "R", loading=False)


def test_a_place_says_how_far_it_had_come(ground: Ground) -> None:
    assert left_behind(ground.target, "his", "R", loading=False) == NOTHING
    moving_into(ground.places["main"], ground, 0, Interrupted("SIGINT"))
    with pytest.raises(Interrupted) as stop:
        restore(ground.site.bench, ground.site.wired, ground.plan())
    assert f"--finish {ground.swap().run}" in stop.value.left
    ground.undo()
    assert ground.both() in (SPOILT, GOOD)


def test_what_came_while_names_changed_finds_it_in_place(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise Interrupted("SIGTERM")

    monkeypatch.setattr("drmgr.flows.original.prove_in_place", late)
    with pytest.raises(Interrupted) as stop:
        ground.restore()
    assert stop.value.left.startswith("it is in place, and was not checked once more there")
    assert ground.both() == GOOD
