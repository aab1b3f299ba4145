"""What a job declares as a check, and what a level may rest on."""

from typing import Any, cast

import pytest

from drmgr.cli.wiring.checks import declared
from drmgr.config import models
from drmgr.model import CheckStatus
from tests.unit.checks.test_sql import Answers, restored


@pytest.mark.parametrize(("sql", "carries"), [("SELECT 1", False), ("SELECT 1 FROM visit", True)])
def test_no_level_rests_on_a_check_that_asks_nothing(sql: str, carries: bool) -> None:
    told = {"name": "any", "kind": "sql", "title": {"zh": "任意", "en": "any"}, "source": "main", "sql": sql}
    check = models.SqlCheck.model_validate({**told, "expect": {"equals": 1}})
    result = declared(check, {"main": cast(Any, Answers({sql: 1}))}, lambda: b"").run(restored())
    assert (result.status, result.carries) == (CheckStatus.PASS, carries)
    assert ("asks nothing" in result.message) is not carries
