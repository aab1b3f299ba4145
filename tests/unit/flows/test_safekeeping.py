"""The kit and the records that a new host needs: what is kept, what comes back, and what nobody can slip in."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.errors import EvidenceError, KeystoreError, PreflightError, UsageError
from drmgr.flows import recover
from drmgr.flows.kit import Kit, KitFile
from drmgr.flows.safekeeping import Records, keep
from drmgr.keystore.sealing import MasterSealer
from drmgr.repository.shelf import FOLDER, FolderShelf
from tests.support.fakes import START

SEALER = MasterSealer(b"k" * 32)
OTHER = MasterSealer(b"o" * 32)
KIT = Kit(
    "hospital",
    START,
    {"restic": "0.18.0"},
    (KitFile("drmgr.yaml", 0o640, "site: 医院".encode()), KitFile("keys/keystore.json", 0o600, bytes(range(256)))),
)
LINES = [f"line {number}\n".encode() * 3 for number in range(4)]


@pytest.fixture
def shelf(tmp_path: Path) -> FolderShelf:
    (tmp_path / "store").mkdir()
    return FolderShelf(tmp_path / "store")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    folder = tmp_path / "evidence"
    folder.mkdir()
    documents = [folder / f"00000{number}-A.json" for number in (1, 2)]
    for document in documents:
        document.write_text(f"evidence {document.name}")
    (tmp_path / "audit.jsonl").write_bytes(LINES[0])
    return Records("A1", documents, tmp_path / "audit.jsonl")


def append(records: Records, content: bytes) -> None:
    with records.audit_log.open("ab") as file:
        file.write(content)


def brought_back(shelf: FolderShelf, tmp_path: Path, sealer: MasterSealer = SEALER) -> recover.WrittenRecords:
    return recover.write_records(shelf, sealer, tmp_path / "back/evidence", tmp_path / "back/audit/audit.jsonl")


def stored(tmp_path: Path, folder: str) -> list[Path]:
    return sorted(path for path in (tmp_path / "store" / FOLDER / folder).rglob("*") if path.is_file())


def test_everything_comes_back_as_it_was(shelf: FolderShelf, records: Records, tmp_path: Path) -> None:
    keep(shelf, SEALER, KIT, records)
    append(records, LINES[1] + b"a torn li")
    assert keep(shelf, SEALER, KIT, records).audit_bytes == len(LINES[1])
    opened = recover.newest_kit(shelf, SEALER)
    assert (opened.kit, opened.problems) == (KIT, ())
    with recover.new_folder(tmp_path / "site") as folder:
        recover.write_files(opened.kit, folder)
        assert not (tmp_path / "site").exists()
    for file in KIT.files:
        path = tmp_path / "site" / file.path
        assert path.read_bytes() == file.content
        assert path.stat().st_mode & 0o077 == 0
    # scratch servers run under another account, and must be able to pass
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "site/keys").stat().st_mode & 0o777 == 0o700
    written = brought_back(shelf, tmp_path)
    assert written == recover.WrittenRecords(2, len(LINES[0] + LINES[1]), ())
    assert (tmp_path / "back/audit/audit.jsonl").read_bytes() == LINES[0] + LINES[1]
    for document in records.evidence:
        assert (tmp_path / "back/evidence" / document.name).read_bytes() == document.read_bytes()


def test_nothing_is_stored_in_the_clear(shelf: FolderShelf, records: Records, tmp_path: Path) -> None:
    keep(shelf, SEALER, KIT, records)
    whole = b"".join(path.read_bytes() + path.name.encode() for path in stored(tmp_path, "."))
    for word in ("医院".encode(), b"evidence 0", b"line 0", b"hospital"):
        assert word not in whole


def test_the_kit_is_stored_again_when_it_changed_or_grew_old_and_only_then(
    shelf: FolderShelf, records: Records, tmp_path: Path
) -> None:
    def kept(kit: Kit) -> bool:
        return keep(shelf, SEALER, kit, records).kit

    def later(kit: Kit, days: int) -> Kit:
        return replace(kit, made_at=START + timedelta(days=days))

    changed = replace(KIT, files=(KitFile("drmgr.yaml", 0o640, b"site: other"),))
    assert kept(KIT)
    assert not kept(later(KIT, 6))
    assert kept(later(changed, 6))
    # back to the first: another host's newer kit must not pass for ours
    assert kept(replace(KIT, made_at=START + timedelta(days=6, seconds=1)))
    assert kept(later(KIT, 14))
    assert recover.newest_kit(shelf, SEALER).kit.made_at == START + timedelta(days=14)


def test_a_forged_or_damaged_newer_kit_is_named_and_the_sound_one_taken(
    shelf: FolderShelf, records: Records, tmp_path: Path
) -> None:
    keep(shelf, SEALER, KIT, records)
    [sound] = stored(tmp_path, "kit")
    forged = "kit/29990101T000000-0000000000000000"
    # a sound kit under another name, one of another key, and no kit at all
    shelf.put(forged, sound.read_bytes())
    shelf.put(f"{forged}1", OTHER.seal(f"{forged}1", b"{}"))
    shelf.put(f"{forged}2", b"x")
    opened = recover.newest_kit(shelf, SEALER)
    assert opened.kit == KIT
    assert [problem.split()[0] for problem in opened.problems] == [f"{forged}2", f"{forged}1", forged]


def test_no_kit_and_another_master_key_are_told_apart(shelf: FolderShelf, records: Records) -> None:
    with pytest.raises(PreflightError, match="no recovery kit"):
        recover.newest_kit(shelf, SEALER)
    keep(shelf, SEALER, KIT, records)
    with pytest.raises(KeystoreError, match="none of the 1 recovery kits"):
        recover.newest_kit(shelf, OTHER)


def test_an_audit_log_that_grew_shorter_is_not_passed_over(shelf: FolderShelf, records: Records) -> None:
    append(records, LINES[1])
    keep(shelf, SEALER, KIT, records)
    records.audit_log.write_bytes(LINES[0])
    with pytest.raises(EvidenceError, match="are kept in the folder"):
        keep(shelf, SEALER, KIT, records)


def test_a_rehearsal_on_another_host_does_not_mix_into_the_log(
    shelf: FolderShelf, records: Records, tmp_path: Path
) -> None:
    keep(shelf, SEALER, KIT, records)
    rehearsal = Records("Z9", records.evidence[:1], tmp_path / "rehearsal.jsonl")
    rehearsal.audit_log.write_bytes(LINES[0] + LINES[2][:3] + b"\n")
    keep(shelf, SEALER, KIT, rehearsal)
    append(records, LINES[1] + LINES[2])
    keep(shelf, SEALER, KIT, records)
    assert brought_back(shelf, tmp_path).evidence == 2
    assert (tmp_path / "back/audit/audit.jsonl").read_bytes() == LINES[0] + LINES[1] + LINES[2]


def test_a_shorter_log_that_was_begun_anew_wins_by_what_was_sealed_since(
    shelf: FolderShelf, records: Records, tmp_path: Path
) -> None:
    append(records, LINES[1] + LINES[2])
    keep(shelf, SEALER, KIT, replace(records, evidence=records.evidence[:1]))
    accepted = Records("B2", records.evidence, tmp_path / "accepted.jsonl")
    accepted.audit_log.write_bytes(LINES[0])
    keep(shelf, SEALER, KIT, accepted)
    assert brought_back(shelf, tmp_path).evidence == 2
    assert (tmp_path / "back/audit/audit.jsonl").read_bytes() == LINES[0]


def test_what_is_kept_and_does_not_open_is_named(shelf: FolderShelf, records: Records, tmp_path: Path) -> None:
    for line in (b"", *LINES[1:]):
        append(records, line)
        keep(shelf, SEALER, KIT, records)
    stored(tmp_path, "audit")[2].write_bytes(b"{}")
    spoilt = stored(tmp_path, "evidence")[0]
    spoilt.write_bytes(spoilt.read_bytes()[:-5])
    written = brought_back(shelf, tmp_path)
    assert (written.evidence, written.audit_bytes) == (1, len(LINES[0] + LINES[1]))
    assert len(written.problems) == 2
    assert "audit log" in written.problems[0]
    assert spoilt.name in written.problems[1]


def test_nothing_is_overwritten_and_nothing_is_left_of_a_recovery_that_failed(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    with pytest.raises(UsageError), recover.new_folder(tmp_path / "taken"):
        pass
    with pytest.raises(KeystoreError), recover.new_folder(tmp_path / "new") as folder:
        recover.write_files(replace(KIT, files=(KitFile("../out", 0o600, b""),)), folder)
    outside = tmp_path / "elsewhere.yaml"
    outside.write_text("mine")
    with pytest.raises(UsageError, match="there already"), recover.new_folder(tmp_path / "new") as folder:
        recover.write_files(replace(KIT, files=(*KIT.files, KitFile(str(outside), 0o600, b"theirs"))), folder)
    assert outside.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.yaml", "taken"]
