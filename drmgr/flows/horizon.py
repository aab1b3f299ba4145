"""Until when nothing that recovery points need can be deleted, told from the bucket itself with few requests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from drmgr.flows.protect import NOT_NEEDED, WORKERS
from drmgr.interfaces import Objects
from drmgr.model import Retention, Version
from drmgr.system.parallel import in_parallel

SAMPLE: Final = 32
"""About so many locks that were proven before are read once more each time."""


@dataclass(frozen=True)
class Statement:
    """What ``protect`` proved: at ``at`` (the store's clock) all ``objects`` were locked until ``until`` at least."""

    at: datetime
    until: datetime
    objects: int


@dataclass(frozen=True)
class Horizon:
    """``until`` None: something that is needed can be deleted now; ``problems`` say why. ``asked``: locks read."""

    until: datetime | None
    problems: tuple[str, ...]
    asked: int


@dataclass(frozen=True)
class _Question:
    """A version whose lock is read; ``promised`` is what the statement says of it."""

    version: Version
    promised: datetime | None


@dataclass
class _Answers:
    """What the locks say together."""

    now: datetime
    earliest: datetime | None
    asked: int = 0
    unlocked: int = 0
    shortened: int = 0
    problems: list[str] = field(default_factory=list)

    def take(self, question: _Question, found: Retention | None) -> None:
        self.asked += 1
        if found is None or found.until <= self.now:
            self.unlocked += 1
        elif question.promised is not None and found.until < question.promised:
            self.shortened += 1
        else:
            self.earliest = found.until if self.earliest is None else min(self.earliest, found.until)


def horizon(objects: Objects, statement: Statement | None) -> Horizon:
    """Reads the locks of what was stored since the statement, and of a sample of all else.

    Nobody can date a version back. So whatever is older than the statement was seen by it. Raises RepositoryError.
    """
    answers = _Answers(objects.now(), None if statement is None else statement.until)
    count = [0]
    questions = _questions(objects, statement, count)
    for question, found in in_parallel(lambda each: (each, objects.retention(each.version)), questions, WORKERS):
        answers.take(question, found)
    problems = answers.problems
    if count[0] == 0:
        problems.append("there is no object to protect")
    if answers.unlocked:
        problems.append(f"{answers.unlocked} of {answers.asked} objects that were looked at are not locked")
    if answers.shortened:
        problems.append(f"{answers.shortened} of {answers.asked} locks are shorter than drmgr had made them")
    if not problems and answers.earliest is not None and answers.earliest <= answers.now:
        problems.append("the locks have run out")
    return Horizon(None if problems else answers.earliest, tuple(problems), answers.asked)


def _questions(objects: Objects, statement: Statement | None, count: list[int]) -> Iterator[_Question]:
    step = 1 if statement is None else max(1, statement.objects // SAMPLE)
    for stored in objects.all():
        if stored.kind in NOT_NEEDED or stored.current is None:
            continue
        count[0] += 1
        oldest = min(stored.contents, key=lambda version: version.modified)
        if statement is None or oldest.modified >= statement.at:
            yield _Question(stored.current, None)
        elif count[0] % step == 0:
            yield _Question(oldest, statement.until)
