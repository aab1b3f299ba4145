"""Levels 1 and 2: the restored source opens, and its engine finds its structures sound."""

from dataclasses import replace

from drmgr.interfaces import Engine
from drmgr.model import CheckResult, CheckStatus, Level, Restored, Text


class OpensCheck:
    """The instance answers and says who it is."""

    level = Level.OPENS

    def __init__(self, source: str, engine: Engine) -> None:
        self.name = f"opens-{source}"
        self._source = source
        self._engine = engine

    def run(self, restored: Restored) -> CheckResult:
        answered = bool(self._engine.identity(restored.instance(self._source)))
        status = CheckStatus.PASS if answered else CheckStatus.FAIL
        title = Text("恢复后可打开", "restored and opens")
        return CheckResult(self.name, status, self.level, True, answered, source=self._source, title=title)


class IntegrityCheck:
    """The engine's own proof."""

    level = Level.INTEGRITY

    def __init__(self, source: str, engine: Engine) -> None:
        self.name = f"integrity-{source}"
        self._source = source
        self._engine = engine

    def run(self, restored: Restored) -> CheckResult:
        result = self._engine.integrity(restored.instance(self._source))
        title = Text("引擎完整性检查", "integrity by the engine's own tools")
        return replace(result, name=self.name, source=self._source, title=title, level=self.level)
