"""A canary sings only when it is there, whole, and what was planted."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from drmgr.checks.canary import CanaryCheck, FilePerch, LiveCanary, Perch, RowPerch, token_of
from drmgr.errors import PreflightError, SourceError
from drmgr.interfaces import SqlEngine
from drmgr.model import (
    CheckStatus,
    Facts,
    Instance,
    Json,
    Level,
    Member,
    NotRestored,
    Objectives,
    Part,
    PointStatus,
    RecoveryPoint,
    Restored,
)
from tests.support.fakes import START
from tests.unit.checks.test_sql import RPO

TOKEN = token_of(b"key", "his", "main")
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


class Rows:
    """An SqlEngine with one table."""

    def __init__(self, rows: list[tuple[Json, ...]] | None) -> None:
        self._rows = rows

    def rows(self, of: Instance, sql: str) -> Iterator[tuple[Json, ...]]:
        assert sql == "SELECT token FROM drmgr_canary WHERE id = 1"
        if self._rows is None:
            raise SourceError("there is no such table")
        yield from self._rows


def row_perch(rows: list[tuple[Json, ...]] | None) -> Perch:
    return RowPerch(cast("SqlEngine", Rows(rows)), "drmgr_canary", "id", 1, "token")


def restored(instance: Instance) -> Restored:
    member = Member("main", "fake", START, (Part("p", "s", 1, 1),), Facts("fake", START, {}))
    point = RecoveryPoint("P", "his", "R", START, START, PointStatus.COMPLETE, (member,), {}, "h")
    return Restored(point, {"main": instance}, Objectives(RPO, RPO))


def judged(perch: Perch, instance: Instance) -> tuple[CheckStatus, str]:
    result = CanaryCheck("main", perch, lambda: DIGEST).run(restored(instance))
    living = LiveCanary("main", perch, lambda: DIGEST, lambda: instance)
    assert living.sound() == (result.status is CheckStatus.PASS)
    assert (result.level, result.expected) == (Level.BUSINESS, DIGEST)
    return result.status, result.message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(TOKEN,)], ""),
        ([(TOKEN[:-1] + "x",)], "the canary has changed"),
        ([(TOKEN + " ",)], "the canary has changed"),
        ([(None,)], "the canary is not there"),
        ([(TOKEN,), (TOKEN,)], "the canary is not there"),
        ([], "the canary is not there"),
        (None, "there is no such table"),
    ],
)
def test_a_row(rows: list[tuple[Json, ...]] | None, message: str) -> None:
    status = CheckStatus.FAIL if message else CheckStatus.PASS
    assert judged(row_perch(rows), Instance("fake")) == (status, message)


def test_a_file(tmp_path: Path) -> None:
    perch, tree, file = FilePerch("deep/canary.txt"), tmp_path / "tree", tmp_path / "tree/deep/canary.txt"
    file.parent.mkdir(parents=True)
    assert judged(perch, Instance("files", path=tree)) == (CheckStatus.FAIL, "the canary is not there")
    file.write_text(TOKEN)
    assert judged(perch, Instance("files", path=tree)) == (CheckStatus.PASS, "")
    file.write_text(TOKEN + "\n")
    assert judged(perch, Instance("files", path=tree)) == (CheckStatus.FAIL, "the canary has changed")
    # production's own file is not what came back
    file.unlink()
    (tmp_path / "production.txt").write_text(TOKEN)
    file.symlink_to(tmp_path / "production.txt")
    assert judged(perch, Instance("files", path=tree))[0] is CheckStatus.FAIL


def test_a_source_that_was_left_out_is_not_judged() -> None:
    with pytest.raises(NotRestored):
        CanaryCheck("scans", row_perch([]), lambda: DIGEST).run(restored(Instance("fake")))


def test_a_source_that_cannot_be_asked_has_no_sound_canary() -> None:
    def away() -> Instance:
        raise PreflightError("no account")

    assert not LiveCanary("main", row_perch([(TOKEN,)]), lambda: DIGEST, away).sound()


def test_every_source_of_every_site_has_a_token_of_its_own() -> None:
    tokens = {token_of(key, system, source) for key in (b"k", b"l") for system in "ab" for source in "ab"}
    assert len(tokens) == 8
    assert all(len(token) <= 80 for token in tokens)
