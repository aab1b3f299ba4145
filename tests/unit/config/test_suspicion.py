"""Canaries sit where they can, and no name in a job becomes a statement."""

from typing import Any

import pytest
from pydantic import ValidationError

from drmgr.cli.wiring.canaries import sensitivity_of
from drmgr.config.references import job_mistakes
from drmgr.config.suspicion import Canary, Suspicion
from drmgr.flows.suspicion import Sensitivity

SOURCES = [{"name": "main", "kind": "database"}, {"name": "scans", "kind": "files"}]


@pytest.mark.parametrize(
    ("canaries", "loc"),
    [
        ([{"source": "main"}, {"source": "scans"}], None),
        ([{"source": "main", "table": "t", "key": 2}, {"source": "scans", "path": "a/b"}], None),
        ([{"source": "mian"}], ("canary", 0, "source")),
        ([{"source": "main"}, {"source": "main"}], ("canary", 1, "source")),
        ([{"source": "main", "path": "a"}], ("canary", 0, "path")),
        ([{"source": "scans", "table": "t"}], ("canary", 0, "table")),
        ([{"source": "scans", "key": 2}], ("canary", 0, "key")),
    ],
)
def test_a_canary_sits_in_a_source_of_its_kind_and_alone(canaries: list[dict[str, Any]], loc: Any) -> None:
    found = [mistake.loc for mistake in job_mistakes({"sources": SOURCES, "canary": canaries})]
    assert found == ([] if loc is None else [loc])


@pytest.mark.parametrize(
    "wrong",
    [
        {"table": "t; DROP TABLE t"},
        {"table": 'public."t"'},
        {"column": "token, name"},
        {"key_column": "1=1 OR id"},
        {"key": "1"},
        {"sha256": "abc"},
    ],
)
def test_names_are_plain_and_the_key_is_a_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Canary.model_validate({"source": "main", **wrong})


def test_what_the_configuration_leaves_open_is_what_the_rules_leave_open() -> None:
    assert sensitivity_of(Suspicion()) == Sensitivity()
    with pytest.raises(ValidationError):
        Suspicion.model_validate({"lost": 0})
    with pytest.raises(ValidationError):
        Suspicion.model_validate({"replaced": 1.5})
