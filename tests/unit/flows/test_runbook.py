"""A runbook prints only commands that exist, and says what a site has not set up."""

import shlex
from dataclasses import replace
from datetime import timedelta

import pytest

from drmgr.flows.runbook import ALL_KINDS, Surroundings, commands, decisions
from drmgr.model import Objectives, System, Text
from tests.unit.test_docs import parse

HIS = System("his", Text("医院信息系统", "HIS"), 1, Objectives(timedelta(minutes=5), timedelta(hours=2)))
BARE = Surroundings(HIS, "/srv/drmgr/drmgr.yaml", ("main",), "/srv/store")
FULL = replace(
    BARE,
    sources=("main", "scans"),
    repository="s3:https://s3.example.org/drmgr",
    folders=("/srv/restored",),
    connections=(("main", "his-new"), ("main", "his-second")),
    original=True,
    copies=("offsite", "tape"),
    logged=True,
    bucket=True,
    trees=True,
    tables=("main",),
)


@pytest.mark.parametrize("place", [BARE, FULL], ids=["bare", "full"])
def test_every_printed_command_can_be_typed(place: Surroundings) -> None:
    found = commands(place)
    assert found["config"] == "export DRMGR_CONFIG=/srv/drmgr/drmgr.yaml"
    typed = [shlex.split(line) for key, line in found.items() if key != "config"]
    assert all(words[0] == "drmgr" for words in typed)
    for words in typed:
        parse(words[1:], whole=True)


def test_what_the_site_has_is_offered_and_nothing_else() -> None:
    bare, full = commands(BARE), commands(FULL)
    assert not {"at", "table", "connection", "original", "copy", "rewind", "folder", "source"} & set(bare)
    assert {
        "at",
        "connection",
        "connection_his-second",
        "original",
        "undo",
        "copy",
        "copy_tape",
        "rewind",
        "newest",
        "table",
    } <= set(full)
    assert "--source main --table TABLE --at" in full["table"]


def test_every_kind_of_incident_has_a_way_and_lacks_are_named() -> None:
    full, bare = decisions(commands(FULL)), decisions(commands(BARE))
    assert [each["kind"] for each in full] == list(ALL_KINDS)
    assert all(each["steps"] for each in [*full, *bare])
    assert {each["lacking"] for each in full} == {""}
    lacking = {each["kind"]: each["lacking"] for each in bare if each["lacking"]}
    assert lacking == {
        "rows-changed-by-mistake": "at",
        "database-corrupted": "back",
        "server-lost": "back",
        "storage-lost": "back",
        "ransomware": "rewind",
        "site-lost": "copy",
        "chain-broken": "copy",
    }


def test_a_system_without_files_is_not_told_to_bring_the_newest_first() -> None:
    assert "newest" not in commands(replace(FULL, trees=False))
    assert "folder" in commands(replace(FULL, trees=False))


@pytest.mark.parametrize(("trees", "ends"), [(False, "scratch"), (True, "folder")])
def test_where_nothing_may_be_put_into_use_that_is_said_and_dumps_in_a_folder_are_no_end(
    trees: bool, ends: str
) -> None:
    shut = replace(FULL, original=False, connections=(), trees=trees)
    told = {each["kind"]: each for each in decisions(commands(shut))}
    assert (told["server-lost"]["steps"], told["server-lost"]["lacking"]) == (
        ["points", "scratch", "folder"][: 3 if trees else 2],
        "back",
    )
    assert told["ransomware"]["lacking"] == "back"
    assert told["keys-lost"]["lacking"] == ""
    assert told["storage-lost"]["steps"][-1] == ends  # type: ignore[index]
    # one way is enough
    one = {each["kind"]: each for each in decisions(commands(replace(shut, original=True)))}
    assert one["server-lost"]["lacking"] == ""


def test_lost_keys_end_under_a_new_passphrase() -> None:
    line = commands(replace(FULL, passphrase="env:DRMGR_PASSPHRASE"))["combine"]
    assert line == "drmgr keys combine --new-passphrase env:DRMGR_PASSPHRASE"
