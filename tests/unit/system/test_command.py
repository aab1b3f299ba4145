"""The only place that starts processes: what a child may know, and that nothing of it outlives its block."""

import gc
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.errors import Interrupted, ToolError
from drmgr.system.command import TAIL_BYTES, Command, Runner, find_program
from drmgr.system.secret import Secret

SHELL = "/bin/sh"
WORD = "correct horse battery staple"


def python(code: str, **more: object) -> Command:
    return Command((sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def gone(pid: int) -> bool:
    """Ended, whether or not somebody has taken note of it."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_command_leaves_behind() -> None:
    done = Runner().run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"))
    assert (done.code, done.stdout, done.stderr) == (7, b"out\n", "err\n")


def test_lines_are_handed_on_and_not_kept() -> None:
    seen: list[bytes] = []
    done = Runner().run_lines(python("print('a'); print('b', end='')"), seen.append)
    assert (seen, done.stdout, done.code) == ([b"a\n", b"b"], b"", 0)


def test_a_secret_reaches_the_child_by_its_descriptor_and_by_nothing_else() -> None:
    code = (
        "import os, sys, pathlib\n"
        "print(open(f'/dev/fd/{sys.argv[1]}').read())\n"
        "print(pathlib.Path('/proc/self/cmdline').read_bytes())\n"
        "print(pathlib.Path('/proc/self/environ').read_bytes())\n"
    )
    command = Command((sys.executable, "-c", code, "{secret_fd}"), secret=Secret(WORD))
    secret, _, rest = Runner().run(command).stdout.decode().partition("\n")
    assert secret == WORD
    assert WORD not in rest and rest
    assert WORD not in repr(command)


def test_no_descriptor_of_ours_is_left_open() -> None:
    runner = Runner()
    runner.run(Command(("/bin/true",), secret=Secret(WORD), stdin=b"x"))
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        runner.run(Command(("/bin/true",), secret=Secret(WORD), stdin=b"x"))
        with pytest.raises(ToolError):
            runner.run(Command(("/nowhere/program",), secret=Secret(WORD), stdin=b"x"))
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_the_environment_is_built_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WORD)
    monkeypatch.setenv("LC_ALL", "zh_CN.GB18030")
    done = Runner().run(Command(("/usr/bin/env",), env={"OURS": "1"}))
    names = {line.partition("=")[0] for line in done.stdout.decode().splitlines()}
    assert names <= {"PATH", "HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LC_ALL", "OURS"}
    assert {"PATH", "OURS"} <= names
    assert b"LC_ALL=C.UTF-8\n" in done.stdout


def test_standard_input_is_what_was_given_or_nothing() -> None:
    large = os.urandom(300_000)
    assert Runner().run(Command(("/bin/cat",), stdin=large)).stdout == large
    assert Runner().run(Command(("/bin/cat",))).stdout == b""


def test_a_flood_on_standard_error_blocks_nothing_and_leaves_its_tail() -> None:
    code = "import sys; sys.stderr.write('x' * 3_000_000 + 'last words'); print('done')"
    done = Runner().run(python(code), timeout=30)
    assert done.stdout == b"done\n"
    assert len(done.stderr) == TAIL_BYTES
    assert done.stderr.endswith("xlast words")


GRANDCHILD = "sleep 600 & echo $!; wait"
STUBBORN = "trap '' TERM; sleep 600 & echo $!; while :; do wait; done"


@pytest.mark.parametrize("script", [GRANDCHILD, "sleep 600 & echo $!"])
def test_the_whole_group_ends_with_the_block(script: str) -> None:
    with Runner().start(Command((SHELL, "-c", script))) as process:
        grandchild = int(next(process.lines()))
        assert not gone(grandchild)
    assert until(lambda: gone(grandchild))
    assert not process.running()


@pytest.mark.parametrize("stop", [Interrupted("SIGTERM"), ValueError("x")])
def test_an_exception_inside_the_block_ends_the_group_too(stop: BaseException) -> None:
    with pytest.raises(type(stop)), Runner().start(Command((SHELL, "-c", GRANDCHILD))) as process:
        grandchild = int(next(process.lines()))
        raise stop
    assert until(lambda: gone(grandchild))


def test_one_that_does_not_listen_is_ended_by_force() -> None:
    with Runner().start(Command((SHELL, "-c", STUBBORN))) as process:
        grandchild = int(next(process.lines()))
        process.stop(grace=0.1)
        assert process.wait() == -signal.SIGKILL
    assert until(lambda: gone(grandchild))


def test_a_command_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        Runner().run(Command((SHELL, "-c", "sleep 600")), timeout=0.1)
    assert time.monotonic() - started < 9


def test_stopping_all_frees_the_threads_that_wait() -> None:
    runner = Runner()
    ends: list[type[BaseException]] = []

    def work() -> None:
        try:
            runner.run(Command((SHELL, "-c", "sleep 600")))
        except Interrupted as stop:
            ends.append(type(stop))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert until(lambda: len(runner._running) == 2)
    runner.stop_all()
    for thread in threads:
        thread.join(10)
    assert ends == [Interrupted, Interrupted]
    with pytest.raises(Interrupted):
        runner.run(Command(("/bin/true",)))


def test_a_missing_program_is_named_with_a_hint() -> None:
    with pytest.raises(ToolError, match="the program no-such-program is not there") as caught:
        Runner().run(Command(("no-such-program",)))
    assert "install" in caught.value.hint


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot start in") as caught:
        Runner().run(Command(("/bin/true",), cwd=tmp_path / "unmounted"))
    assert "mounted" in caught.value.hint


def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(ToolError, match="tool cannot be started: Permission denied"):
        Runner().run(Command((str(tmp_path / "tool"),)))


def test_programs_are_found_in_the_given_folders_first(tmp_path: Path) -> None:
    own = tmp_path / "env"
    own.write_text("")
    assert find_program("env", [tmp_path]) != own
    own.chmod(0o755)
    assert find_program("env", [tmp_path]) == own
    with pytest.raises(ToolError):
        find_program("no-such-program", [tmp_path])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_keeps_none_of_our_rights() -> None:
    nobody = pwd.getpwnam("nobody")
    code = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    done = Runner().run(Command(("/usr/bin/env", "python3", "-c", code), user="nobody", cwd=Path("/")))
    uid, gid = nobody.pw_uid, nobody.pw_gid
    assert done.stdout.decode().strip() == f"{(uid,) * 3} {(gid,) * 3} {[gid]}"


def test_a_daemon_outlives_the_runner_and_is_taken_note_of_at_its_end(tmp_path: Path) -> None:
    runner = Runner()
    pid = runner.start_daemon(Command((SHELL, "-c", "echo up; exec sleep 600")), tmp_path / "log")
    try:
        del runner
        # a forgotten Popen complains when it is collected, and warnings are errors here
        gc.collect()
        assert until(lambda: (tmp_path / "log").read_text() == "up\n")
        assert os.getpgid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)
    # not even a zombie is left
    assert until(lambda: not Path(f"/proc/{pid}").exists())
