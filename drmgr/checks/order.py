"""Level 3 for sources that belong together: no row of the index can be without its file."""

from datetime import datetime, timedelta

from drmgr.model import CheckResult, CheckStatus, Json, Level, Member, RecoveryPoint, Restored, Text
from drmgr.system.clock import rfc3339

TOLERANCE = timedelta(seconds=60)
"""How far drmgr's own clock may have been set back between two sources."""


class OrderCheck:
    """The seal says that the index was captured before the files that its rows name, or that the writers stood still.

    A file that comes after its row was read is only one that no row names yet. The other way round a row is left without
    its file. The order is that of the seal; the instants in it must not speak against it.
    """

    level = Level.FACTS

    def __init__(self, index: str, files: str) -> None:
        self.name = f"order-{index}-{files}"
        self._index = index
        self._files = files

    def run(self, restored: Restored) -> CheckResult:
        # only what was brought back can be out of step
        restored.instance(self._index)
        restored.instance(self._files)
        point = restored.point
        index, files = point.member(self._index), point.member(self._files)
        wrong = _wrong(point, index, files)
        return CheckResult(
            self.name,
            CheckStatus.FAIL if wrong else CheckStatus.PASS,
            self.level,
            expected={"index_before_files": True},
            actual={"index_before_files": not wrong, **_instants(point, index, files)},
            source=self._files,
            title=Text(
                "索引先于文件备份，或期间暂停写入",
                "the index was captured before its files, or the writers stood still",
            ),
            message=wrong,
        )


def _wrong(point: RecoveryPoint, index: Member, files: Member) -> str:
    """What is wrong with the order; empty when nothing is."""
    if _stood_still(point, index, files):
        return ""
    if point.members.index(index) > point.members.index(files):
        return f"{files.source} was captured before {index.source}: rows may be without their files"
    if _until(index) > files.consistent_at + TOLERANCE:
        return f"the instants of {index.source} and {files.source} speak against their order"
    return ""


def _stood_still(point: RecoveryPoint, *members: Member) -> bool:
    """Whether both views were opened while the writers stood still."""
    still = point.standstill
    if still is None:
        return False
    first, last = still.since - TOLERANCE, still.until + TOLERANCE
    return all(first <= member.consistent_at <= last and _until(member) <= last for member in members)


def _until(member: Member) -> datetime:
    return member.consistent_at if member.seen_until is None else member.seen_until


def _instants(point: RecoveryPoint, index: Member, files: Member) -> dict[str, Json]:
    found = {"index_until": rfc3339(_until(index)), "files_from": rfc3339(files.consistent_at)}
    if point.standstill is None:
        return found
    return {**found, "still_from": rfc3339(point.standstill.since), "still_until": rfc3339(point.standstill.until)}
