"""The bars of systems that came back at once."""

import io
from dataclasses import replace

from rich.console import Console

from drmgr.cli.course import show_course
from drmgr.model import Outcome
from tests.unit.evidence import records


def shown(*outcomes: Outcome) -> list[str]:
    out = io.StringIO()
    show_course(Console(file=out, width=80), outcomes)
    return out.getvalue().splitlines()


def test_bars_begin_where_the_system_did_and_fit_80_columns() -> None:
    his = records.his()
    later = replace(his.timeline, t4=records.at(20), t5=records.at(40), t6=records.at(43.8))
    emr = replace(his, system=replace(his.system, id="opd-emr"), timeline=later, rto=replace(his.rto, measured=43.8))
    lines = shown(emr, his)
    bars = {line.split()[0]: line for line in lines if "━" in line and "since" not in line}
    assert bars["opd-emr"].index("━") - bars["his"].index("━") == round(36 * 20 / 43.8) - round(36 * 2 / 43.8)
    assert max(map(len, lines)) <= 80
    assert "all verified after 43.8 s; their own times, side by side, add up to 43.7 s" in lines[-1]


def test_one_that_did_not_come_back_has_no_bar_that_looks_whole() -> None:
    his = records.his()
    lost = replace(his, system=replace(his.system, id="lis"), timeline=replace(his.timeline, t5=None, t6=None))
    never = replace(lost, system=replace(his.system, id="mi"), timeline=replace(lost.timeline, t4=None))
    text = "\n".join(shown(his, lost, never))
    assert "━ did not come back" in text
    assert "did not begin" in text
    assert "all verified" not in text


def test_one_system_has_no_bars() -> None:
    assert shown(records.his()) == []
