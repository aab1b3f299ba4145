"""The papers show the policies that the command prints."""

import json
from pathlib import Path

import pytest

from drmgr.repository.policies import NEVER, ROLES, policy

FOLDER = Path(__file__).parents[3] / "docs/policies"


@pytest.mark.parametrize("role", ROLES)
def test_the_papers_show_what_the_command_prints(role: str) -> None:
    shown = json.loads((FOLDER / f"{role}.json").read_text(encoding="utf-8"))
    assert shown == policy(role, "BUCKET", "PREFIX")
    given = {action for each in shown["Statement"] if each["Effect"] == "Allow" for action in each["Action"]}
    assert not given & set(NEVER)
    assert not any("*" in action for action in given)
    assert ("s3:DeleteObject" in given, "s3:PutObject" in given) == (role != "verifier", role != "verifier")


def test_a_site_at_the_top_of_its_bucket_names_no_folder() -> None:
    resources = {item for each in policy("writer", "b", "")["Statement"] for item in each["Resource"]}
    assert resources == {"arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/*/locks/*"}
