"""Which sealed ways back tell how long the next one will take, and what was proven."""

from dataclasses import replace

import pytest

from drmgr.cli.restoring.measured import Measured, from_documents
from drmgr.evidence.build import build_document
from drmgr.model import CheckResult, CheckStatus, DrillRecord, LaidAs, Level, Outcome, Told
from tests.unit.evidence import incidents, records
from tests.unit.evidence.records import at

DRILL = records.passed()
HIS, PACS = DRILL.outcomes
POINT = "01JGT7Z3V6" + "HIS".rjust(16, "0")


def known(*documents: DrillRecord, system: str = "his") -> Measured:
    return from_documents([build_document(each, "ID", 1, None)["predicate"] for each in documents], system)


def took(*documents: DrillRecord, system: str = "his") -> list[float]:
    return [each.seconds for each in known(*documents, system=system).took]


def of_his(record: DrillRecord, outcome: Outcome) -> DrillRecord:
    return replace(record, outcomes=(outcome,))


def test_a_drill_and_a_restore_with_checks_tell_both() -> None:
    assert took(DRILL) == [21.9]
    assert took(DRILL, system="pacs") == [190.5]
    assert known(DRILL).proven[POINT].level == 4
    in_place = incidents.restored(Told(), swap=incidents.IN_PLACE)
    assert took(in_place, DRILL) == [981.9, 21.9]


def test_the_time_counts_from_the_command_and_not_from_the_fault() -> None:
    restored = incidents.restored(Told(at(-7200)))
    assert restored.outcomes[0].rto.measured == 7200 + 981.9
    assert took(restored) == [981.9]


def test_a_folder_without_a_server_tells_no_time() -> None:
    line = replace(HIS, level=Level.STRUCTURE)
    folder = replace(of_his(DRILL, line), target="folder:/srv/x")
    assert took(folder) == []
    assert known(folder).proven[POINT].level == 0
    # without a check beyond the files there is nothing to compare with either
    assert took(of_his(DRILL, line)) == []


def test_single_tables_tell_no_time() -> None:
    assert took(replace(of_his(DRILL, HIS), laid=(LaidAs("main", "a", "b"),))) == []
    compare = replace(HIS.phases[0], name="compare")
    assert took(of_his(DRILL, replace(HIS, phases=(*HIS.phases, compare)))) == []


@pytest.mark.parametrize("action", ["load", "restore-newest", "restore-older", "verify-in-place"])
def test_what_did_not_bring_every_source_back_proves_no_point(action: str) -> None:
    phases = tuple(
        replace(each, name=action) if (each.name, each.source) == ("restore", "images") else each
        for each in PACS.phases
    )
    partial = of_his(DRILL, replace(PACS, phases=phases))
    assert (took(partial, system="pacs"), known(partial, system="pacs").proven) == ([], {})


def test_a_check_that_was_left_out_tells_of_a_source_that_was() -> None:
    skipped = CheckResult("facts-images", CheckStatus.SKIPPED, Level.FACTS, source="images")
    partial = of_his(DRILL, replace(PACS, checks=(*PACS.checks, skipped)))
    assert (took(partial, system="pacs"), known(partial, system="pacs").proven) == ([], {})


def test_what_ended_an_earlier_restore_tells_nothing() -> None:
    ended = incidents.restored(swap=incidents.IN_PLACE)
    phases = tuple(each for each in ended.outcomes[0].phases if each.name == "checks")
    ended = replace(ended, run="01JGT8C", outcomes=(replace(ended.outcomes[0], phases=phases),))
    assert (took(ended), known(ended).proven) == ([], {})


def test_the_best_proof_of_a_point_counts() -> None:
    lower = of_his(DRILL, replace(HIS, level=Level.OPENS))
    assert known(lower, DRILL).proven[POINT].level == 4
    assert known(DRILL, lower).proven[POINT].level == 4
