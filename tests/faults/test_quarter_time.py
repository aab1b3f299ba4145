"""A hospital's quarter is reported in seconds. Minutes to set up, so a part of ``make faults``."""

import os
import resource
from pathlib import Path

import pytest

from tests.support.big_quarter import DRILLS, NIGHTS, big_quarter
from tests.unit.evidence.quarters import SYSTEMS

CPU_SECONDS = 5.0
"""What is promised; of CPU time, which others beside it do not lengthen much."""


@pytest.mark.skipif(os.environ.get("DRMGR_FAULTS") != "all", reason="two minutes to set up; make faults")
def test_ten_systems_and_a_quarter_take_seconds(tmp_path: Path) -> None:
    site = big_quarter(tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = site.json("report", "quarter", "2026Q3")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"CPU seconds: {used:.1f}")
    text = Path(answer["figures"]).read_text(encoding="utf-8")
    assert text.count('"proven": ') > len(SYSTEMS)
    assert text.count('"number": "DR-') >= len(SYSTEMS) * DRILLS
    assert NIGHTS * len(SYSTEMS) == 920
    assert used < CPU_SECONDS
