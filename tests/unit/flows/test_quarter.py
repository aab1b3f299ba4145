"""The figures of a quarter: what is proven, what is not, and nothing better than it was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drmgr.errors import UsageError
from drmgr.flows.quarter import Proof, Saved, SystemYear, measures, problems, quarter, summary, trend
from drmgr.flows.undeclared import problems_of, undeclared
from drmgr.model import Json, Run, RunStatus
from tests.unit.evidence.quarters import (
    AFTER,
    DAY,
    HOUR,
    PERIOD,
    SHANGHAI,
    in_doubt,
    named,
    nightly,
    played,
    run,
    system,
    ten_systems,
)


def told(found: SystemYear, now: datetime = AFTER) -> Json:
    return summary(PERIOD, found, now)


def codes(found: SystemYear, now: datetime = AFTER) -> list[str]:
    return sorted(row["code"] for row in problems(PERIOD, [found], [told(found, now)], now))


@pytest.mark.parametrize(
    ("name", "begin", "end", "weeks"),
    [("2026Q4", (2026, 10, 1), (2027, 1, 1), 14), ("2027q1", (2027, 1, 1), (2027, 4, 1), 14)],
)
def test_a_quarter_begins_and_ends_at_midnight_of_the_site(
    name: str, begin: tuple[int, int, int], end: tuple[int, int, int], weeks: int
) -> None:
    period = quarter(name, SHANGHAI)
    assert (period.begin, period.end) == (datetime(*begin, tzinfo=SHANGHAI), datetime(*end, tzinfo=SHANGHAI))
    days = [day for week in period.weeks() for day in week]
    assert (days[0], days[-1]) == (period.begin.date(), period.end.date() - DAY)
    assert len(period.weeks()) == weeks
    assert all((last - first).days <= 6 for first, last in period.weeks())


@pytest.mark.parametrize("name", ["2026Q5", "2026", "26Q4", "2026Q4 "])
def test_what_is_no_quarter_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        quarter(name, SHANGHAI)


def test_a_quarter_is_refused_until_its_first_midnight_at_the_site() -> None:
    period = quarter("2026Q4", SHANGHAI)
    with pytest.raises(UsageError, match="2026Q4 has not begun: its first day is 2026-10-01"):
        period.refuse_unbegun(datetime(2026, 9, 30, 15, 59, 59, tzinfo=UTC))
    period.refuse_unbegun(datetime(2026, 9, 30, 16, tzinfo=UTC))


def test_a_good_quarter_has_no_problem() -> None:
    his = named(ten_systems(), "his")
    good = replace(his, system=replace(his.system, objectives=replace(his.system.objectives, rpo=25 * HOUR)))
    assert codes(good) == []
    found = told(good)
    assert found["days"] == {"proven": 92, "doubted": 0, "elapsed": 92}
    assert found["rpo"]["share"] == 1
    assert found["rpo"]["longest"] == 24 * 3600 + 20 * 60
    assert {week["state"] for week in found["weeks"]} == {"proven"}


def test_a_promise_that_is_missed_for_minutes_each_night_is_missed() -> None:
    share = told(named(ten_systems(), "his"))["rpo"]["share"]
    assert share == pytest.approx(1 - 20 / 1440, abs=1e-4)
    # one second of one night is not rounded away
    late = [*nightly(-1, 40), *nightly(41, 91, minutes=20)]
    late[50] = replace(late[50], at=late[50].until + timedelta(hours=1, seconds=1))
    objectives = replace(system(5).objectives, rpo=25 * HOUR)
    found = told(SystemYear(replace(system(5), objectives=objectives), tuple(late), (), ()))
    assert 0.99999 < found["rpo"]["share"] < 1


def test_a_repository_without_points_proves_nothing_whatever_the_runs_say() -> None:
    mrm = named(ten_systems(), "mrm")
    found = told(mrm)
    assert found["days"]["proven"] == 0
    assert found["rpo"] == {"target": 25 * 3600, "share": 0, "longest": None}
    assert [week["state"] for week in found["weeks"]].count("run-only") == 9
    assert {"unasked", "days-unproven", "rpo-missed", "not-drilled"} <= set(codes(mrm))


def test_time_before_the_first_point_is_not_attained_and_the_loss_is_not_told() -> None:
    found = told(named(ten_systems(), "mi"))
    assert found["rpo"]["share"] < 0.62
    assert found["rpo"]["longest"] is None
    assert measures([found], copies=0, lock_days=0)["rpo_worst"] is None


def test_a_point_that_was_taken_away_by_rule_was_there() -> None:
    assert told(named(ten_systems(), "pacs"))["days"]["proven"] == 92


def test_a_suspicious_point_that_nobody_accepted_proves_no_day_and_saves_nothing() -> None:
    objectives = replace(system(5).objectives, rpo=25 * HOUR)
    emptied = SystemYear(
        replace(system(5), objectives=objectives),
        (*nightly(-1, 29), *in_doubt(nightly(30, 90)), *in_doubt(nightly(91, 91, proof=Proof.EXPIRED))),
        tuple(run("pacs", day, RunStatus.OK) for day in range(92)),
        (),
    )
    found = told(emptied)
    assert found["days"] == {"proven": 30, "doubted": 62, "elapsed": 92}
    assert [(week["state"], week["doubted"]) for week in found["weeks"]][3:7] == [
        ("proven", 0),
        ("partly", 2),
        ("doubted", 7),
        ("doubted", 7),
    ]
    # nothing newer than the last night that is trusted could be brought back: from then on, all is lost
    assert found["rpo"]["share"] == pytest.approx((29 * 24 + 1 + 25) / (92 * 24), abs=1e-4)
    assert found["rpo"]["longest"] == (62 * 24 + 23) * 3600
    assert measures([found], copies=0, lock_days=0)["daily_backup_share"] == 30 / 92
    rows = {row["code"]: row for row in problems(PERIOD, [emptied], [found], AFTER)}
    assert rows["points-doubted"]["figures"] == {"count": 62, "days": 62}
    assert rows["points-doubted"]["at"] == "2026-10-31T01:20:00+08:00"
    assert "days-unproven" not in rows


def test_a_day_that_has_a_good_point_beside_a_suspicious_one_is_proven() -> None:
    good = nightly(-1, 91)
    later = [replace(each, at=each.at + HOUR, until=each.until + HOUR) for each in in_doubt(nightly(40, 41))]
    (pacs,) = [SystemYear(system(5), (*good, *later), (), ())]
    found = told(pacs)
    assert found["days"] == {"proven": 92, "doubted": 0, "elapsed": 92}
    assert {week["state"] for week in found["weeks"]} == {"proven"}
    assert found["rpo"] == told(replace(pacs, saved=tuple(good)))["rpo"]
    (row,) = [row for row in problems(PERIOD, [pacs], [found], AFTER) if row["code"] == "points-doubted"]
    assert row["figures"] == {"count": 2, "days": 0}


def test_shipped_logs_carry_the_rpo_but_are_no_backup_of_a_day() -> None:
    first = nightly(-1, -1)
    shipped = tuple(
        Saved(
            PERIOD.begin + step * timedelta(minutes=5), PERIOD.begin + (step - 1) * timedelta(minutes=5), Proof.SHIPPED
        )
        for step in range(1, 92 * 288 + 2)
    )
    objectives = replace(system(0).objectives, rpo=timedelta(minutes=10))
    found = told(SystemYear(replace(system(0), objectives=objectives), (*first, *shipped), (), ()))
    assert found["days"]["proven"] == 0
    assert found["rpo"]["share"] > 0.99
    without = told(SystemYear(replace(system(0), objectives=objectives), tuple(first), (), ()))
    assert without["rpo"]["share"] < 0.01


def test_drills_that_failed_or_cannot_be_believed_never_count_as_passed() -> None:
    found = ten_systems()
    assert told(named(found, "nis"))["passed_in_quarter"] is False
    assert told(named(found, "nis"))["drills"][0]["verdict"] == "error"
    assert told(named(found, "nis"))["rto"]["worst"] is None
    assert told(named(found, "lis"))["rto"]["worst"] == 2.6 * 3600
    assert told(named(found, "phr"))["passed_in_year"] is False
    rows = problems(PERIOD, found, [told(each) for each in found], AFTER)
    verdicts = {row["figures"]["verdict"] for row in rows if row["code"] == "drill-failed"}
    assert verdicts == {"failed", "error"}
    assert "not-drilled" in codes(named(found, "opd-emr"))
    assert trend(PERIOD, found, SHANGHAI)[-1] == {"quarter": "2026Q4", "passed": 6, "failed": 1, "error": 2}


def test_a_drill_that_did_not_pass_attains_no_rto_however_quick_it_was() -> None:
    quick = played("lis", 42, "failed", 0.01)
    found = SystemYear(system(2), tuple(nightly(-1, 91)), (), (quick, played("lis", 50, "error", 0.02)))
    each = told(found)
    assert (each["rto"]["worst"], each["rto"]["best"]) == (None, None)
    assert [(drill["rto"]["met"], drill["rpo"]["met"]) for drill in each["drills"]] == [(False, False)] * 2
    assert measures([each], copies=0, lock_days=0)["rto_key_systems_worst"] is None
    assert "rto-missed" not in codes(found)
    # beside one that passed it makes nothing better either
    both = told(replace(found, drills=(quick, played("lis", 49, hours=1.4))))
    assert (both["rto"]["worst"], both["rto"]["best"]) == (1.4 * 3600, 1.4 * 3600)
    assert [drill["rto"]["met"] for drill in both["drills"]] == [False, True]
    # and a slow one makes it worse: that it took so long was measured
    slow = told(replace(found, drills=(played("lis", 42, "failed", 2.6), played("lis", 49, hours=1.4))))
    assert (slow["rto"]["worst"], slow["rto"]["best"]) == (2.6 * 3600, 1.4 * 3600)


def test_an_rto_is_missed_by_the_promise_of_then_and_by_that_of_now() -> None:
    def missed(found: SystemYear) -> list[Json]:
        rows = problems(PERIOD, [found], [told(found)], AFTER)
        return [(row["at"], row["figures"]) for row in rows if row["code"] == "rto-missed"]

    his = named(ten_systems(), "his")
    took, slower = played("his", 40, hours=0.5), played("his", 60, hours=0.75)
    drilled = replace(his, drills=(took, slower))
    assert missed(drilled) == []
    tightened = replace(his.system, objectives=replace(his.system.objectives, rto=HOUR / 2))
    (now,) = missed(replace(drilled, system=tightened))
    assert now == ("2026-11-30T00:00:00+08:00", {"measured": 0.75 * 3600, "target": 1800})
    # what was promised at the time was missed, though less is promised now
    (then,) = missed(replace(drilled, drills=(took, replace(slower, verdict="failed", rto_target=2000.0))))
    assert then == ("2026-11-30T00:00:00+08:00", {"measured": 0.75 * 3600, "target": 2000})
    # evidence that does not hold measures nothing
    assert missed(replace(drilled, drills=(took, replace(slower, rto_target=2000.0, broken="changed")))) == []
    # nor was the objective of now missed by the drill of another quarter
    assert missed(replace(drilled, system=tightened, drills=(took, played("his", -10, hours=0.75)))) == []


def test_a_system_whose_job_has_vanished_is_known_by_its_runs_and_drills_unless_it_is_retired() -> None:
    def point(name: str, day: int) -> Run:
        return replace(run(name, day, RunStatus.OK), detail={"point": "P"})

    runs = [point("lis", 3), point("lis", 4), run("lis", 5, RunStatus.FAILED, "source"), point("emr", 3)]
    runs += [point("pacs", -1), point("mi", 92), point("queue", 3)]
    drills = {"nis": [played("nis", 20, "failed")], "phr": [played("phr", -5)], "his": [played("his", 20)]}
    found = undeclared(PERIOD, {"his", "emr"}, runs, drills, retired=["queue"])
    assert [(each.system, each.points, len(each.drills)) for each in found] == [("lis", 2, 0), ("nis", 0, 1)]
    rows = [(row["system"], row["code"], row["figures"].get("points")) for row in problems_of(PERIOD, found)]
    assert rows == [("lis", "undeclared", 2), ("nis", "undeclared", 0), ("nis", "drill-failed", None)]


def test_a_system_whose_job_has_vanished_makes_no_figure_better() -> None:
    good = told(named(ten_systems(), "his"))
    figures = measures([good], copies=1, lock_days=30, retention_years=30)
    assert figures["systems_drilled_this_quarter_share"] == 1
    without = measures([good], copies=1, lock_days=30, retention_years=30, undeclared=1)
    assert (figures["retention_years"], without["retention_years"]) == (30, None)
    assert without["daily_backup_share"] == 0
    assert without["systems_drilled_this_quarter_share"] == without["systems_drilled_this_year_share"] == 0.5
    assert [without[name] for name in ("rto_worst", "rpo_worst", "rto_key_systems_worst", "rpo_key_systems_worst")] == [
        None
    ] * 4
    assert (without["copies"], without["object_lock_days"]) == (1, 30)
    assert measures([], copies=0, lock_days=0, undeclared=1)["daily_backup_share"] == 0


def test_within_the_quarter_days_to_come_are_neither_proven_nor_missing() -> None:
    now = PERIOD.begin + 10 * DAY + 12 * HOUR
    found = told(SystemYear(system(5), tuple(nightly(-1, 9)), (), ()), now)
    # the backup of today may still come
    assert found["days"] == {"proven": 10, "doubted": 0, "elapsed": 10}
    assert found["weeks"][-1]["state"] == "future"
    assert codes(SystemYear(system(5), tuple(nightly(-1, 9)), (), ()), now) == ["not-drilled-yet", "rpo-missed"]
    before = told(SystemYear(system(5), (), (), ()), PERIOD.begin - DAY)
    assert before["rpo"]["share"] is None
    assert before["days"]["elapsed"] == 0


def test_failed_runs_are_counted_by_their_kind_and_locked_ones_are_not() -> None:
    runs = [run("his", day, RunStatus.FAILED, "source") for day in (1, 2)]
    runs += [run("his", 3, RunStatus.FAILED, "locked"), run("his", -9, RunStatus.FAILED, "source")]
    rows = problems(PERIOD, [each := SystemYear(system(5), (), tuple(runs), ())], [told(each)], AFTER)
    (row,) = [row for row in rows if row["code"] == "runs-failed"]
    assert row["figures"] == {"error": "source", "count": 2}


def test_a_figure_of_all_systems_is_that_of_the_worst_and_none_where_one_has_none() -> None:
    found = [told(each) for each in ten_systems()]
    figures = measures(found, copies=1, lock_days=30)
    assert figures["daily_backup_share"] == 0
    assert figures["systems_drilled_this_quarter_share"] == 0.6
    assert figures["rto_key_systems_worst"] is None
    drilled = [each for each in found if each["system"] in {"his", "emr", "lis"}]
    assert measures(drilled, copies=1, lock_days=30)["rto_key_systems_worst"] == 2.6 * 3600
    assert measures([], copies=0, lock_days=0)["daily_backup_share"] is None
    assert played("his", 1).at.astimezone(UTC) < AFTER
