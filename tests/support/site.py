"""A small site on real parts, where drmgr runs as its users run it: the command, in a process of its own."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from drmgr.keystore.store import FileKeystore
from drmgr.keystore.wrapping import ScryptCost
from drmgr.system.secret import Secret

DRMGR = str(Path(sys.executable).with_name("drmgr"))
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.02
PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore", "vacuumdb", "pg_amcheck")

Json = Any


@dataclass(frozen=True)
class Answer:
    """What one command left behind. ``words`` is the last line of an error before its hint."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Json:
        """The one JSON document on standard output; a second one, or none, is an error."""
        return json.loads(self.out)

    @property
    def error(self) -> Json:
        error = self.document["error"]
        assert set(error) >= {"code", "message", "hint", "exit_code"}
        assert error["exit_code"] == self.code
        return error


@dataclass(frozen=True)
class Recorded:
    """One run as the catalog holds it; ``error`` is the code of its error."""

    kind: str
    system: str
    status: str
    error: str | None


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Polls; fails the test when the condition does not come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(POLL_SECONDS)


class Site:
    """One site in a directory of its own. ``secrets`` are texts that no output may hold."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "drmgr.yaml"
        self.temporary = directory / "tmp"

    # --- running drmgr ---

    def run(self, *arguments: str, wrapper: tuple[str, ...] = (), config: Path | None = None) -> Answer:
        """Runs one command to its end; never accepts a traceback or a secret in what it prints."""
        argv = [*wrapper, DRMGR, "--config", str(config or self.config), *arguments]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=self.environment(), check=False
        )
        return self._seen(Answer(done.returncode, done.stdout, done.stderr))

    def json(self, *arguments: str, code: int = 0, wrapper: tuple[str, ...] = ()) -> Json:
        """Runs one command with ``--json`` and gives its document."""
        answer = self.run(*arguments, "--json", wrapper=wrapper)
        assert answer.code == code, answer
        return answer.document

    def refused(self, code: int, *arguments: str) -> Json:
        """Runs a command that fails, once for people and once for programs; gives the error both tell."""
        told = self.run(*arguments, "--json")
        shown = self.run(*arguments)
        assert (told.code, shown.code) == (code, code), (told, shown)
        error = told.error
        assert_clear(error)
        lines = shown.err.splitlines()
        assert f"drmgr: {error['message']}" in lines
        assert f"HINT: {error['hint']}" in lines
        return error

    def at_terminal(self, *arguments: str, typed: str) -> Answer:
        """Runs one command at a terminal where a person types these lines; all that is on the screen is in ``out``."""
        ours, theirs = os.openpty()
        argv = [DRMGR, "--config", str(self.config), *arguments]
        with subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, env=self.environment() | {"TERM": "dumb"}
        ) as process:
            os.close(theirs)
            os.write(ours, typed.encode())
            seen = b""
            # a terminal whose last process has ended cannot be read
            with suppress(OSError):
                while more := os.read(ours, 65536):
                    seen += more
            os.close(ours)
            code = process.wait(PATIENCE_SECONDS)
        return self._seen(Answer(code, " ".join(seen.decode().split()), ""))

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command that runs while the block does."""
        argv = [DRMGR, "--config", str(self.config), *arguments]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment()
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def ended(self, process: "subprocess.Popen[str]", number: signal.Signals | None = None) -> Answer:
        """Signals the command, if asked, and waits for its end."""
        if number is not None:
            process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return self._seen(Answer(process.returncode, out, err))

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "TMPDIR": str(self.temporary)}

    def _seen(self, answer: Answer) -> Answer:
        both = answer.out + answer.err
        assert "Traceback" not in both, both
        for file in (self.directory / "secrets").iterdir():
            assert file.read_text().strip() not in both, f"the secret {file.name} was printed"
        return answer

    def init_keys(self) -> None:
        """Makes the keys, under a passphrase that costs next to nothing to try: a third of a second in every command."""
        self.json("keys", "init")
        self._keystore().rewrap(self._passphrase())

    def init_repositories(self) -> None:
        self.json("repo", "init")

    def _passphrase(self) -> Secret:
        return Secret((self.directory / "secrets/passphrase").read_text())

    def _keystore(self) -> FileKeystore:
        return FileKeystore(self.directory / "keys", self._passphrase, cost=ScryptCost(n=2**10, r=8, p=1))

    # --- looking at it ---

    def runs(self) -> list[Recorded]:
        """The catalog's runs, oldest first."""
        with closing(sqlite3.connect(self.directory / "state/catalog.db")) as catalog:
            rows = catalog.execute("SELECT kind, system, status, error FROM runs ORDER BY number").fetchall()
        return [
            Recorded(kind, system, status, None if error is None else json.loads(error)["code"])
            for kind, system, status, error in rows
        ]

    def points(self, system: str, code: int = 0) -> list[str]:
        """The recovery points that are offered."""
        return [point["id"] for point in self.json("points", system, code=code)["points"]]

    def assert_clean(self) -> None:
        """No process, scratch, private file or temporary file is there that a run should have taken away with it."""
        places = [self.directory / "scratch", self.directory / "state/runtime", self.temporary]
        assert [str(entry) for place in places if place.is_dir() for entry in place.iterdir()] == []
        # one that was killed a moment ago may still stand in the table
        wait_until(lambda: not self.processes(), "all processes to end", seconds=30)

    def processes(self) -> list[int]:
        """Those that have this site in their arguments or environment, or work in it.

        A restic between two buckets names the site in its environment alone.
        """
        mark = os.fsencode(self.directory)
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                words += os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            if mark in words:
                found.append(int(entry.name))
        return found

    def kill_all(self) -> None:
        """Ends every process of the site at once, as a loss of power does.

        None is there afterwards, not even as one that nobody has waited for yet: to restic that one would be alive, and
        its lock too. Our own children are left to whoever started them.
        """
        killed: set[int] = set()

        def nobody() -> bool:
            found = self.processes()
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(found)
            return not found and not any(_parent(pid) not in (None, os.getpid()) for pid in killed)

        wait_until(nobody, "killed processes to end", seconds=40)

    # --- changing it ---

    def edit(self, change: Callable[[Json], object], name: str = "drmgr.yaml") -> None:
        """Changes one of its YAML files."""
        yaml, path = YAML(), self.directory / name
        document = yaml.load(path)
        change(document)
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(document, file)

    def repository_files(self, system: str, kind: str) -> list[Path]:
        """A folder repository's files of one kind, oldest first."""
        found = [path for path in (self.directory / "repositories" / system / kind).rglob("*") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def hold(self, program: str, *, at: str = "", begun: str = "") -> "Held":
        """Puts a program in the place of restic or of one of PostgreSQL's that stands still where the test wants it.

        ``at``: only calls with this word are held, all others go through to the real program. ``begun`` is written to
        standard output before it stands still.
        """
        held = Held(self.directory / "held", program, at, begun)
        if program == "restic":
            self.edit(lambda site: site["restic"].update(program=str(held.script)))
        else:
            self.edit(
                lambda site: [site["connections"][name].update(binaries="held") for name in ("his-main", "standby")]
            )
        return held


def _parent(pid: int) -> int | None:
    """None when there is no such process."""
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


class Held:
    """A program that tells its pid in a file and waits for another file; then it does what it was asked to do."""

    def __init__(self, folder: Path, program: str, at: str, begun: str) -> None:
        folder.mkdir(exist_ok=True)
        self._mark, self._go = folder / f"{program}.pid", folder / f"{program}.go"
        self.script = folder / program
        for name in PROGRAMS:
            if not (folder / name).exists():
                (folder / name).symlink_to(real_program(name))
        self.script.unlink(missing_ok=True)
        self.script.write_text(
            f'#!/bin/sh\ncase "$*" in --version|version) ;; *"{at}"*) printf "{begun}"; echo $$ > {self._mark}.$$; '
            f"mv {self._mark}.$$ {self._mark}; while [ ! -e {self._go} ]; do sleep 0.05; done ;; esac\n"
            f'exec {real_program(program)} "$@"\n'
        )
        self.script.chmod(0o755)

    def wait(self) -> int:
        """Waits until the program stands still; its pid."""
        wait_until(self._mark.exists, f"{self.script.name} to be called")
        return int(self._mark.read_text())

    def let_go(self) -> None:
        self._go.touch()


def real_program(name: str) -> str:
    """restic from PATH; PostgreSQL's programs from the newest version that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    for folder in reversed(folders):
        if (folder / name).is_file():
            return str(folder / name)
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return found


def assert_clear(error: Json) -> None:
    """One sentence for a person, and what to do next."""
    message, hint = error["message"], error["hint"]
    assert message
    assert hint
    assert "\n" not in message + hint
    assert len(message) < 400
    assert message[0] == message[0].lower() or message.split()[0].isupper()


def flip_byte(path: Path) -> None:
    """Turns one bit in the middle of a file around, and keeps its times."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def digest_of(folder: Path) -> str:
    """One hash over every file below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def small_disk(folder: Path, size: str, kept: Path) -> tuple[str, ...]:
    """A wrapper: for the command alone ``folder`` is a file system of that size; ``kept`` is its content afterwards."""
    script = (
        f"mkdir -p {folder} && cp -a {folder} {kept} && mount -t tmpfs -o mode=711,size={size} tmpfs {folder} && "
        f'cp -a {kept}/. {folder}/ && rm -r {kept} && "$@"; code=$?; cp -a {folder} {kept}; exit $code'
    )
    # not root: root of a name space of one's own may mount as well
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", *as_root, "--mount", "sh", "-c", script, "sh")
