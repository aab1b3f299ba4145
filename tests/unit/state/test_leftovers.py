"""Runs that a dead process left open."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from drmgr.model import RunKind, RunStatus
from drmgr.state.catalog import SqlCatalog, open_catalog
from drmgr.state.database import open_database
from drmgr.state.marks import Marks
from drmgr.state.runtime import ALIVE, runtime_directory
from drmgr.system.clock import SystemClock
from drmgr.system.command import Command, Runner
from drmgr.system.process import ProcessIdentity, is_alive, process_started, this_process

OPEN_A_RUN = """
import sys, time
from pathlib import Path
from drmgr.model import RunKind
from drmgr.state.catalog import open_catalog
from drmgr.system.clock import SystemClock
catalog = open_catalog(None, Path(sys.argv[1]), SystemClock())
if len(sys.argv) > 2:
    from dataclasses import replace
    catalog._process = replace(catalog._process, host=sys.argv[2])
print(catalog.open_run(RunKind.BACKUP, "his").id, flush=True)
time.sleep(600)
"""


def test_the_run_of_a_killed_process_becomes_interrupted(tmp_path: Path) -> None:
    with Runner().start(Command((sys.executable, "-c", OPEN_A_RUN, str(tmp_path)))) as process:
        run = next(process.lines()).decode().strip()
        with open_catalog(None, tmp_path, SystemClock()) as catalog:
            assert catalog.runs()[0].status is RunStatus.RUNNING
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        found = catalog.runs()[0]
    assert (found.id, found.status) == (run, RunStatus.INTERRUPTED)
    assert found.finished_at is not None
    assert found.error is not None
    assert found.error["code"] == "interrupted"


def test_the_run_of_a_host_that_was_renamed_becomes_interrupted_once_its_process_is_gone(tmp_path: Path) -> None:
    command = Command((sys.executable, "-c", OPEN_A_RUN, str(tmp_path), "its-old-name"))
    with Runner().start(command) as process:
        next(process.lines())
        with open_catalog(None, tmp_path, SystemClock()) as catalog:
            assert [run.status for run in catalog.open_runs()] == [RunStatus.RUNNING]
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        assert catalog.open_runs() == []
        assert catalog.runs()[0].status is RunStatus.INTERRUPTED
    assert list((tmp_path / "running").iterdir()) == []


def test_a_run_of_an_older_drmgr_in_this_state_folder_is_judged_by_its_process(tmp_path: Path) -> None:
    database = open_database(None, tmp_path)
    before = replace(this_process(), host="its-old-name")
    alive = SqlCatalog(database, SystemClock(), before).open_run(RunKind.BACKUP, "his").id
    gone = SqlCatalog(database, SystemClock(), replace(before, started="boot/1")).open_run(RunKind.BACKUP, "lis").id
    for run in (alive, gone):
        (tmp_path / "running" / run).unlink()
    catalog = SqlCatalog(database, SystemClock(), this_process())
    assert [run.id for run in catalog.interrupt_leftovers()] == [gone]


def test_the_private_folder_of_a_host_that_was_renamed_goes_once_its_process_is_gone(tmp_path: Path) -> None:
    left = tmp_path / "run-its-old-name+1+boot-1+x"
    for folder in (left, tmp_path / "run-its-old-name+2+boot-2+y"):
        folder.mkdir()
    alive = Marks(left)
    alive.set(ALIVE)
    with runtime_directory(tmp_path):
        assert len(list(tmp_path.iterdir())) == 3
    (left / "secret").touch()
    os.close(alive._held.pop(ALIVE))
    with runtime_directory(tmp_path):
        # nobody knows of the other one whether its process has yet to mark it
        assert sorted(path.name for path in tmp_path.glob("run-its*")) == ["run-its-old-name+2+boot-2+y"]


def test_only_dead_processes_are_judged(tmp_path: Path) -> None:
    me = this_process()
    database = open_database(None, tmp_path)

    def run_of(process: ProcessIdentity) -> str:
        return SqlCatalog(database, SystemClock(), process).open_run(RunKind.BACKUP, "his").id

    mine = run_of(me)
    elsewhere = run_of(replace(me, host="another-host", started="gone"))
    reused_pid = run_of(replace(me, started="another-boot/1"))
    catalog = SqlCatalog(database, SystemClock(), me)
    assert [run.id for run in catalog.interrupt_leftovers()] == [reused_pid]
    assert catalog.interrupt_leftovers() == []
    statuses = {run.id: run.status for run in catalog.runs()}
    assert statuses == {
        mine: RunStatus.RUNNING,
        elsewhere: RunStatus.RUNNING,
        reused_pid: RunStatus.INTERRUPTED,
    }


def test_opening_a_run_marks_what_was_left_since_the_catalog_was_opened(tmp_path: Path) -> None:
    with open_catalog(None, tmp_path, SystemClock()) as catalog:
        gone = SqlCatalog(open_database(None, tmp_path), SystemClock(), replace(this_process(), started="gone"))
        left = gone.open_run(RunKind.DRILL, "pacs")
        catalog.open_run(RunKind.BACKUP, "his")
        assert {run.id: run.status for run in catalog.runs()}[left.id] is RunStatus.INTERRUPTED


def test_a_process_is_told_from_one_that_is_gone() -> None:
    with Runner().start(Command(("sleep", "600"))) as process:
        started = process_started(process.pid)
        child = replace(this_process(), pid=process.pid, started=started or "")
        assert started is not None
        assert is_alive(child)
        assert not is_alive(replace(child, started=this_process().started + "0"))
    assert not is_alive(child)
    assert process_started(child.pid) != started


def test_a_process_that_ended_but_was_not_waited_for_is_gone() -> None:
    with Runner().start(Command(("true",))) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_started(process.pid) is None
