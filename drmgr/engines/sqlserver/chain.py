"""Which backups follow one another, by their log sequence numbers. A break is found here, before anything is restored."""

from collections.abc import Sequence
from dataclasses import dataclass

from drmgr.engines.sqlserver.headers import DIFFERENTIAL, FULL, LOG, Header
from drmgr.errors import LoadError


@dataclass(frozen=True)
class Chain:
    """What is to be restored, in this order."""

    full: Header
    differential: Header | None
    logs: tuple[Header, ...]

    @property
    def base(self) -> Header:
        return self.differential or self.full

    @property
    def last(self) -> int:
        """The log sequence number that the whole chain reaches."""
        return self.logs[-1].last if self.logs else self.base.last


def chain_of(headers: Sequence[Header]) -> Chain:
    """The one chain that the files make up. Raises LoadError that names what is missing or does not fit."""
    for header in headers:
        if not header.sound:
            raise LoadError(f"the backup {header.file} is damaged or was made without checksums")
    full = _only(FULL, headers)
    if full is None:
        raise LoadError("there is no full backup among the restored files")
    strangers = sorted({header.file for header in headers if header.family != full.family})
    if strangers:
        raise LoadError(f"the backup {strangers[0]} is that of another database than {full.file}")
    differential = _only(DIFFERENTIAL, headers)
    if differential is not None and differential.base != full.set_id:
        raise LoadError(f"the differential backup {differential.file} does not build upon {full.file}")
    base = differential or full
    return Chain(full, differential, _logs_after(base, [header for header in headers if header.kind == LOG]))


def follows(base: Header, log: Header) -> bool:
    """Whether the log can be restored right after the base."""
    return log.fork == base.fork and log.family == base.family and log.first <= base.last <= log.last


def _only(kind: str, headers: Sequence[Header]) -> Header | None:
    found = [header for header in headers if header.kind == kind]
    if len(found) > 1:
        raise LoadError(f"there are {len(found)} {kind} backups where one was to be")
    return found[0] if found else None


def _logs_after(base: Header, logs: Sequence[Header]) -> tuple[Header, ...]:
    """Logs may overlap, for a recovery point holds a copy of what is shipped as well; but none may be missing."""
    reached, fork = base.last, base.fork
    chosen: list[Header] = []
    for log in sorted(logs, key=lambda each: (each.first, each.last)):
        if log.fork != fork:
            raise LoadError(f"the log {log.file} belongs to another life of the database than {base.file}")
        if log.last <= reached:
            continue
        if log.first > reached:
            raise LoadError(
                f"the log chain is broken: {log.file} begins at {log.first}, and what comes before ends at {reached}",
                hint="a log backup is missing that was taken by somebody else; restore to an earlier time",
            )
        chosen.append(log)
        reached = log.last
    return tuple(chosen)
