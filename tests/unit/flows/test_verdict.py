"""What may be called passed: only a restore whose every check was made and passed. A false pass is the worst bug."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from drmgr.errors import LoadError, PreflightError, RepositoryDamagedError, RepositoryUnreachableError, SourceError
from drmgr.flows.bringback import data_lost, level_reached
from drmgr.flows.drill import overall
from drmgr.flows.story import verdict
from drmgr.model import CheckResult, CheckStatus, Level, Verdict
from tests.support.fakes import START
from tests.unit.flows.test_points import a_point

PASS, FAIL, ERROR, SKIPPED = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.ERROR, CheckStatus.SKIPPED


def checks(*results: tuple[Level, CheckStatus]) -> tuple[CheckResult, ...]:
    return tuple(CheckResult(f"c{number}", status, level) for number, (level, status) in enumerate(results))


WHOLE = checks(*((level, PASS) for level in list(Level)[:5]))


def test_everything_made_and_passed_is_passed() -> None:
    assert verdict(WHOLE, None, objectives_met=True) is Verdict.PASSED


@pytest.mark.parametrize(
    ("results", "error", "objectives_met", "wanted"),
    [
        ((), None, True, Verdict.ERROR),
        (checks((Level.STRUCTURE, PASS)), None, True, Verdict.ERROR),
        ((*WHOLE, *checks((Level.BUSINESS, SKIPPED))), None, True, Verdict.ERROR),
        ((*WHOLE, *checks((Level.FACTS, ERROR))), None, True, Verdict.ERROR),
        ((*WHOLE, *checks((Level.STRUCTURE, FAIL))), None, True, Verdict.FAILED),
        ((*WHOLE, *checks((Level.BUSINESS, FAIL), (Level.FACTS, ERROR))), None, True, Verdict.FAILED),
        (checks((Level.BUSINESS, SKIPPED)), None, True, Verdict.ERROR),
        (WHOLE, None, False, Verdict.FAILED),
        (WHOLE, RepositoryDamagedError("x"), True, Verdict.FAILED),
        (WHOLE, LoadError("x"), True, Verdict.FAILED),
        (WHOLE, RepositoryUnreachableError("x"), True, Verdict.ERROR),
        (WHOLE, SourceError("x"), True, Verdict.ERROR),
        (WHOLE, PreflightError("x"), False, Verdict.ERROR),
        ((*WHOLE, *checks((Level.FACTS, FAIL))), PreflightError("x"), True, Verdict.FAILED),
    ],
)
def test_anything_less_is_not(
    results: tuple[CheckResult, ...], error: SourceError | None, objectives_met: bool, wanted: Verdict
) -> None:
    assert verdict(results, error, objectives_met) is wanted


@pytest.mark.parametrize(("first", "second"), list(product(Verdict, Verdict)))
def test_a_drill_is_as_good_as_its_worst_system(first: Verdict, second: Verdict) -> None:
    worst = next(each for each in (Verdict.FAILED, Verdict.ERROR, Verdict.PASSED) if each in {first, second})
    assert overall([first, second]) is worst


def test_a_drill_of_nothing_is_no_pass() -> None:
    assert overall([]) is Verdict.ERROR


@pytest.mark.parametrize(
    ("results", "level"),
    [
        ((), Level.STRUCTURE),
        (checks((Level.OPENS, PASS)), Level.OPENS),
        (checks((Level.STRUCTURE, FAIL), (Level.OPENS, PASS)), Level.STRUCTURE),
        (checks((Level.OPENS, PASS), (Level.FACTS, PASS)), Level.OPENS),
        (checks((Level.OPENS, PASS), (Level.INTEGRITY, PASS), (Level.INTEGRITY, FAIL)), Level.OPENS),
        (checks((Level.OPENS, PASS), (Level.INTEGRITY, SKIPPED), (Level.FACTS, PASS)), Level.OPENS),
        (checks((Level.OPENS, ERROR), (Level.INTEGRITY, PASS)), Level.STRUCTURE),
        (checks((Level.BUSINESS, PASS)), Level.STRUCTURE),
        (checks(*((level, PASS) for level in Level)), Level.NEGATIVE_CONTROL),
        (WHOLE[::-1], Level.BUSINESS),
    ],
)
def test_a_level_is_reached_by_passing_all_below_it(results: tuple[CheckResult, ...], level: Level) -> None:
    assert level_reached(results) is level


@pytest.mark.parametrize("carries", [True, False])
def test_a_canary_or_a_fresh_row_alone_is_not_level_four(*, carries: bool) -> None:
    planted = replace(CheckResult("canary-main", PASS, Level.BUSINESS), carries=False)
    other = CheckResult("other", PASS, Level.BUSINESS, carries=carries)

    reached = level_reached((*WHOLE[:-1], planted, other))

    assert reached is (Level.BUSINESS if carries else Level.FACTS)


@pytest.mark.parametrize(("ahead", "lost"), [(-90, 90.0), (0, 0.0), (59, 0.0), (61, None)])
def test_a_point_from_the_future_proves_no_objective(ahead: float, lost: float | None) -> None:
    assert data_lost(a_point("01").consistent_at, START - timedelta(seconds=ahead)) == lost
