"""Verification names the very document and field group, and every way of breaking the chain."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from drmgr.evidence.build import GROUPS
from drmgr.evidence.canonical import digest
from drmgr.evidence.sign import sign_statement
from drmgr.evidence.verify import Verification, verify_all, verify_path
from drmgr.model import EvidenceEntry
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence.sealing import KEY, OTHER_KEY, change, seal

PUBLIC = KEY.public_key()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def sealed(folder: Path) -> list[EvidenceEntry]:
    return seal(folder, FakeCatalog(), 4)


def path_of(entry: EvidenceEntry) -> Path:
    return Path(entry.path)


def reasons(found: Verification) -> str:
    return "\n".join(gap.reason for gap in found.chain.gaps)


def statement_of(path: Path) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    return statement


def test_what_was_sealed_verifies_and_answers_in_the_agreed_shape(folder: Path, sealed: list[EvidenceEntry]) -> None:
    found = verify_all(folder, PUBLIC, sealed)

    assert found.to_json() == {
        "ok": True,
        "documents": [
            {"path": entry.path, "ok": True, "reason": "signature and all field groups hold"} for entry in sealed
        ],
        "chain": {"ok": True, "length": 4, "gaps": []},
    }


@pytest.mark.parametrize("group", GROUPS)
def test_the_group_that_was_tampered_with_is_named_alone(sealed: list[EvidenceEntry], group: str) -> None:
    path = path_of(sealed[1])

    def tamper(statement: dict[str, Any]) -> None:
        value = statement["predicate"][group]
        value.update(added=1) if isinstance(value, dict) else value.append({"added": 1})

    change(path, tamper)
    verdict = verify_path(path, PUBLIC)

    assert not verdict.ok
    assert f"{path.name}: field group tampered with: {group};" in verdict.reason
    assert "signature does not match" in verdict.reason


def test_a_group_tampered_with_together_with_its_digest_still_breaks_the_signature(
    folder: Path, sealed: list[EvidenceEntry]
) -> None:
    path = path_of(sealed[1])

    def tamper(statement: dict[str, Any]) -> None:
        statement["predicate"]["verdict"]["level"] = 6
        index = GROUPS.index("verdict")
        statement["subject"][index]["digest"]["sha256"] = digest(statement["predicate"]["verdict"])

    change(path, tamper)
    found = verify_all(folder, PUBLIC, sealed)

    assert [document.ok for document in found.documents] == [True, False, True, True]
    assert found.documents[1].reason == f"{path.name}: the signature does not match the content"
    assert f"document 3 ({path_of(sealed[2]).name}) does not follow {path.name}" in reasons(found)


def test_groups_taken_out_or_put_in_are_named(sealed: list[EvidenceEntry]) -> None:
    change(path_of(sealed[0]), lambda statement: statement["predicate"].pop("errors"))
    change(path_of(sealed[1]), lambda statement: statement["predicate"].update(praise=[]))

    assert "field group taken out: errors" in verify_path(path_of(sealed[0]), PUBLIC).reason
    assert "field group put in: praise" in verify_path(path_of(sealed[1]), PUBLIC).reason


def test_wrong_key_is_told_from_tampering(sealed: list[EvidenceEntry]) -> None:
    verdict = verify_path(path_of(sealed[0]), OTHER_KEY.public_key())

    assert not verdict.ok
    assert "signed with another key" in verdict.reason
    assert "tampered" not in verdict.reason


def test_every_flipped_byte_of_the_file_is_noticed(sealed: list[EvidenceEntry]) -> None:
    path = path_of(sealed[0])
    content = path.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 150)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert not verify_path(path, PUBLIC).ok, position
    path.write_bytes(content + b"\n")
    assert "changed after sealing" in verify_path(path, PUBLIC).reason


def test_files_that_are_no_evidence_say_why(tmp_path: Path, sealed: list[EvidenceEntry]) -> None:
    whole = path_of(sealed[0]).read_bytes()
    odd = tmp_path / "odd.json"
    cases = {
        b"": "empty",
        whole[: len(whole) // 2]: "truncated",
        b"hello}": "not JSON",
        b"[1]": "not a signed envelope",
        b'{"payload": "%%%", "payloadType": "x", "signatures": []}': "not a signed envelope",
    }
    for content, reason in cases.items():
        odd.write_bytes(content)
        assert reason in verify_path(odd, PUBLIC).reason
    odd.write_bytes(whole)
    assert "file's name" in verify_path(odd, PUBLIC).reason
    assert "cannot be read" in verify_path(tmp_path / "nowhere.json", PUBLIC).reason


def test_damage_inside_the_signed_content_names_the_group(sealed: list[EvidenceEntry]) -> None:
    path = path_of(sealed[0])
    envelope = json.loads(path.read_bytes())
    payload = base64.b64decode(envelope["payload"])
    at = payload.index(b'"metrics":') + 40
    envelope["payload"] = base64.b64encode(payload[:at] + b"\xff" + payload[at + 1 :]).decode()
    path.write_bytes(json.dumps(envelope, indent=2, sort_keys=True).encode() + b"\n")

    assert "damaged in field group metrics" in verify_path(path, PUBLIC).reason


def test_a_document_taken_from_the_middle_is_a_gap(folder: Path, sealed: list[EvidenceEntry]) -> None:
    path_of(sealed[1]).unlink()
    found = verify_all(folder, PUBLIC, None)

    assert not found.ok
    assert all(document.ok for document in found.documents)
    assert found.to_json()["chain"]["gaps"] == [{"sequence": 2, "reason": "document 2 is missing"}]


def test_the_first_document_taken_away_is_a_gap(folder: Path, sealed: list[EvidenceEntry]) -> None:
    path_of(sealed[0]).unlink()
    path_of(sealed[1]).unlink()

    assert reasons(verify_all(folder, PUBLIC, None)) == "documents 1 to 2 are missing"


def test_a_cut_off_tail_is_seen_with_the_catalog_only(folder: Path, sealed: list[EvidenceEntry]) -> None:
    path_of(sealed[3]).unlink()

    assert verify_all(folder, PUBLIC, None).ok
    found = verify_all(folder, PUBLIC, sealed)
    assert not found.ok
    assert f"document 4 ({path_of(sealed[3]).name}) is in the catalog but not in the folder" in reasons(found)


def test_swapped_files_are_named(folder: Path, sealed: list[EvidenceEntry]) -> None:
    first, second = path_of(sealed[1]), path_of(sealed[2])
    first_content, second_content = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_content)
    second.write_bytes(first_content)
    found = verify_all(folder, PUBLIC, sealed)

    assert [document.ok for document in found.documents] == [True, False, False, True]
    assert {gap.sequence for gap in found.chain.gaps} >= {2, 3}


def test_a_document_signed_anew_by_the_key_holder_differs_from_the_catalog(
    folder: Path, sealed: list[EvidenceEntry]
) -> None:
    path = path_of(sealed[3])
    statement = statement_of(path)
    statement["predicate"]["header"]["operator"] = "someone-else"
    statement["subject"][0]["digest"]["sha256"] = digest(statement["predicate"]["header"])
    path.write_bytes(sign_statement(statement, KEY))

    assert verify_path(path, PUBLIC).ok
    assert "not the one the catalog remembers" in reasons(verify_all(folder, PUBLIC, sealed))


def test_a_sequence_number_that_is_there_twice_is_named(folder: Path, sealed: list[EvidenceEntry]) -> None:
    path = path_of(sealed[1])
    path.with_name(path.name.replace(sealed[1].id, "0" * 26)).write_bytes(path.read_bytes())

    assert "document 2 is there 2 times" in reasons(verify_all(folder, PUBLIC, sealed))


def test_an_empty_folder_is_ok_only_when_nothing_is_remembered(folder: Path, sealed: list[EvidenceEntry]) -> None:
    for entry in sealed:
        path_of(entry).unlink()

    assert not verify_all(folder, PUBLIC, sealed).ok
    empty = verify_all(folder, PUBLIC, [])
    assert (empty.ok, empty.chain.length) == (True, 0)
    assert not verify_all(folder / "nowhere", PUBLIC, []).ok
    # an auditor who named the wrong folder has proven nothing
    assert "no evidence document" in reasons(verify_all(folder, PUBLIC, None))
