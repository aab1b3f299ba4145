"""The statement: groups, digests, zone, and what it refuses to carry."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import rfc8785

from drmgr.errors import EvidenceError
from drmgr.evidence.build import GROUPS, build_document
from drmgr.model import CheckStatus, DrillRecord, Json, Origin
from drmgr.privacy import WITHHELD, is_plain, mask_message, withhold_free_text
from tests.unit.evidence import records

ID = "01JGT8A0000000000000000EVD"


def with_actual(actual: Json, message: str = "") -> DrillRecord:
    record = records.failed()
    outcome = record.outcomes[0]
    check = replace(outcome.checks[2], actual=actual, message=message)
    return replace(record, outcomes=(replace(outcome, checks=(check,)), *record.outcomes[1:]))


def test_every_group_is_hashed_in_the_subject_by_its_canonical_json() -> None:
    statement = build_document(records.passed(), ID, 7, "ab" * 32)

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:drmgr:evidence:restore-proof:1"
    assert tuple(statement["predicate"]) == GROUPS
    assert [item["name"] for item in statement["subject"]] == list(GROUPS)
    for item in statement["subject"]:
        group = json.loads(json.dumps(statement["predicate"][item["name"]]))
        assert item["digest"]["sha256"] == hashlib.sha256(rfc8785.dumps(group)).hexdigest()


def test_the_whole_time_is_told_only_where_all_came_back() -> None:
    verdict = build_document(records.passed(), ID, 7, None)["predicate"]["verdict"]
    lines = [outcome.timeline for outcome in records.passed().outcomes]
    single = sum((line.t6 - line.t4).total_seconds() for line in lines if line.t6 and line.t4)
    assert verdict["total_seconds"] == max(outcome.rto.measured or 0 for outcome in records.passed().outcomes)
    assert verdict["single_seconds"] == pytest.approx(single)

    verdict = build_document(records.failed(), ID, 7, None)["predicate"]["verdict"]
    assert (verdict["total_seconds"], verdict["single_seconds"]) == (None, None)


def test_the_groups_say_what_the_record_says() -> None:
    predicate = build_document(records.passed(), ID, 7, "ab" * 32)["predicate"]

    header = predicate["header"]
    assert (header["sequence"], header["previous"], header["number"]) == (7, "ab" * 32, "DR-20260105-000007")
    assert header["started_at"] == "2026-01-05T14:03:22.123+08:00"
    snapshots = predicate["backup_set"][1]["point"]["members"][1]["snapshots"]
    assert [(part["part"], part["id"]) for part in snapshots] == [
        ("files", records.snapshot(8)),
        ("manifest", records.snapshot(9)),
    ]
    assert [step["number"] for step in predicate["steps"]] == list(range(1, 10))
    assert predicate["metrics"][1]["rpo"] == {"target": 3600.0, "measured": 1830, "met": True}
    assert predicate["facts"][0]["counts"]["rows"] == sum(1000 + number for number in range(12))
    assert predicate["facts"][2]["counts"]["files"] == 20_000
    assert len(predicate["checks"]) == 8
    assert predicate["destruction"][0]["gone"] is True


def test_it_is_told_from_what_and_into_what_all_came() -> None:
    predicate = build_document(records.passed(), ID, 7, None)["predicate"]

    index, images = (each for each in predicate["environment"]["sources"] if each["system"] == "pacs")
    assert (index["connection"], index["from"]["server"], index["into"]["server"]) == ("index-db", "15.14", "15.15")
    assert (images["connection"], images["from"], images["into"]) == ("pacs-files", {"pydicom": "3.0.1"}, {})
    pacs = predicate["backup_set"][1]
    assert [member["method"] for member in pacs["point"]["members"]] == ["logical-full", "images"]
    assert (pacs["medium"], pacs["key_version"], pacs["point"]["sha256"]) == ("s3", "2", records.SEAL)
    (logs,) = pacs["replayed"]
    assert (logs["source"], logs["target"]) == ("index", {"kind": "time", "value": "2026-01-05T14:02:22.123+08:00"})
    assert predicate["steps"][-1]["action"] == "verify-across"
    assert predicate["steps"][-1]["system"] == ""


@pytest.mark.parametrize(
    ("engine", "groups", "method", "server"),
    [
        ("postgresql-physical", {"server": {"version": 15}}, "physical-full", "15"),
        ("mariadb-physical", {"origin": {"version": "10.11.6-MariaDB"}}, "physical-full", "10.11.6-MariaDB"),
        ("sqlserver", {"origin": {"version": "16.0.4135", "backups": ["full"]}}, "native-full", "16.0.4135"),
        (
            "sqlserver",
            {"origin": {"version": "16.0.4135", "backups": ["full", "differential"]}},
            "native-differential",
            "16.0.4135",
        ),
        ("sqlite", {}, "online-copy", None),
        ("files", {}, "files", None),
        ("oracle", {}, None, None),
    ],
)
def test_an_older_point_says_what_its_facts_hold(
    engine: str, groups: dict[str, dict[str, Json]], method: str | None, server: str | None
) -> None:
    first = records.his()
    assert first.point is not None
    member = first.point.members[0]
    old = replace(member, engine=engine, facts=replace(member.facts, groups=groups), connection="", versions={})
    outcome = replace(first, point=replace(first.point, members=(old,)), origin=Origin())
    predicate = build_document(replace(records.passed(), outcomes=(outcome,)), ID, 1, None)["predicate"]

    (told,) = predicate["environment"]["sources"]
    assert (told["connection"], told["from"], told["into"]) == (None, {"server": server} if server else {}, {})
    found = predicate["backup_set"][0]
    assert found["point"]["members"][0]["method"] == method
    assert (found["medium"], found["key_version"], found["point"]["sha256"], found["replayed"]) == (
        None,
        None,
        None,
        [],
    )


def test_what_was_not_reached_is_null_and_the_error_is_kept() -> None:
    predicate = build_document(records.failed(), ID, 1, None)["predicate"]

    assert predicate["backup_set"][1]["point"] is None
    assert predicate["metrics"][1]["t5"] is None
    assert predicate["metrics"][1]["rto"] == {"target": 14400.0, "measured": None, "met": False}
    assert [(error["system"], error["code"]) for error in predicate["errors"]] == [("pacs", "repository-unreachable")]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        17,
        -3.5,
        "17",
        str(Decimal("98765432101.25")),
        "2026-01-05",
        "2026-01-05T14:03:22.5+08:00",
        "14:03",
        "9f" * 32,
        "0/16B3748",
        "public.charge",
        "zh_CN.UTF-8",
        {"public.住院费用": 3, "differences": ["tables"]},
    ],
)
def test_counts_dates_hashes_and_machine_names_are_plain(value: Json) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        "张三",
        "Zhang San",
        "11010119900101123X",
        "13800138000",
        {"name": "王小明"},
        {"Zhang San": 1},
        [1, ["two words"]],
    ],
)
def test_free_text_is_refused_and_the_check_is_named(value: Json) -> None:
    with pytest.raises(EvidenceError, match="charges-have-visit of system his"):
        build_document(with_actual(value), ID, 1, None)

    sealed = json.dumps(build_document(withhold_free_text(with_actual(value)), ID, 1, None), ensure_ascii=False)
    assert json.dumps(value, ensure_ascii=False) not in sealed
    assert json.dumps(dict(WITHHELD)) in sealed


def test_withholding_keeps_the_plain_values_beside_a_text() -> None:
    withheld = withhold_free_text(with_actual({"rows": 3, "first": "张三"}))

    assert withheld.outcomes[0].checks[0].actual == {"rows": 3, "first": dict(WITHHELD)}


def test_messages_lose_other_scripts_and_long_numbers() -> None:
    assert mask_message("row 张三 has id 110101199001011234 in 12 tables") == "row * has id * in 12 tables"
    predicate = build_document(with_actual(1, "bad value 李四"), ID, 1, None)["predicate"]
    assert predicate["checks"][0]["message"] == "bad value *"


def test_numbers_too_large_for_json_are_kept_as_text() -> None:
    predicate = build_document(with_actual(2**60), ID, 1, None)["predicate"]

    assert predicate["checks"][0]["actual"] == str(2**60)


@pytest.mark.parametrize("status", [CheckStatus.FAIL, CheckStatus.ERROR])
def test_a_pass_that_its_own_checks_deny_is_not_signed(status: CheckStatus) -> None:
    record = records.passed()
    outcome = record.outcomes[0]
    lying = replace(outcome, checks=(replace(outcome.checks[0], status=status), *outcome.checks[1:]))

    with pytest.raises(EvidenceError, match="his did not pass: integrity"):
        build_document(replace(record, outcomes=(lying, record.outcomes[1])), ID, 1, None)


def test_an_unknown_zone_and_a_time_without_zone_are_refused() -> None:
    with pytest.raises(EvidenceError, match="Mars/Base"):
        build_document(replace(records.passed(), timezone="Mars/Base"), ID, 1, None)
    naive = replace(records.passed(), finished_at=(records.START + timedelta(1)).replace(tzinfo=None))
    with pytest.raises(EvidenceError, match="without a zone"):
        build_document(naive, ID, 1, None)
