"""drmgr as a contestant: its ordinary command with a real site file, a system of one source, keys and a folder store."""

import json
import secrets
import sys
from pathlib import Path

from bench.measure import Measuring, stored_bytes
from bench.place import folder_of
from drmgr.system.command import Command, Runner

DRMGR = str(Path(sys.executable).with_name("drmgr"))

SITE = """\
site: {{id: bench, name: {{zh: 基准, en: Benchmark}}, timezone: Asia/Shanghai}}
keys: {{directory: keys, passphrase: "file:secrets/passphrase"}}
store: {{kind: folder, path: repositories}}
connections:
  source: {connection}
restore: {{allow: {{folders: [{room}]}}}}
"""

JOB = """\
system: bench
title: {{zh: 基准, en: Benchmark}}
tier: 1
objectives: {{rpo: 1d, rto: 1h}}
sources:
  - {source}
"""


class Drmgr:
    """``connection`` and ``source`` are YAML in one line; ``password`` is what the connection may refer to."""

    def __init__(self, name: str, home: Path, room: Path, *, connection: str, source: str, password: str = "") -> None:
        self.name = name
        self._home = home
        self._room = room
        self._connection = connection
        self._source = source
        self._password = password

    def begin(self) -> None:
        home = folder_of(None, self._home, anew=True)
        for folder in ("jobs", "drills", "secrets"):
            (home / folder).mkdir(mode=0o700)
        for name, secret in (("passphrase", secrets.token_hex(32)), ("source", self._password)):
            (home / "secrets" / name).write_text(secret)
            (home / "secrets" / name).chmod(0o600)
        (home / "drmgr.yaml").write_text(SITE.format(connection=self._connection, room=self._room), encoding="utf-8")
        (home / "jobs" / "bench.yaml").write_text(JOB.format(source=self._source), encoding="utf-8")
        measuring = Measuring(Runner())
        self._run(measuring, "keys", "init")
        self._run(measuring, "repo", "init")

    def store(self, measuring: Measuring) -> None:
        answer = json.loads(self._run(measuring, "backup", "bench"))
        statuses = [run["status"] for run in answer["runs"]]
        if statuses != ["ok"]:
            raise ValueError(f"{self.name}: the backup is {statuses}")

    def restore(self, measuring: Measuring, target: Path) -> None:
        self._run(measuring, "restore", "bench", "--to", f"folder:{target}", "--reason", "bench")

    def stored(self) -> int:
        return stored_bytes(self._home / "repositories")

    def _run(self, measuring: Measuring, *arguments: str) -> str:
        config = ("--config", str(self._home / "drmgr.yaml"))
        return measuring.run(Command((DRMGR, *config, *arguments, "--json"), cwd=self._home))
