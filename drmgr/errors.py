"""Every error drmgr raises on purpose. Each class owns its code, its exit code and a hint for the person who reads it."""

from collections.abc import Sequence
from typing import ClassVar


class DrmgrError(Exception):
    """Base of all expected failures.

    ``code`` names the failure in JSON and in the catalog, ``exit_code`` is what the process returns (docs/exit-codes.md),
    ``hint`` says what a person can do next. Messages are lowercase sentences without patient data or secrets.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.run: str | None = None
        """The run that this error ended, once it is recorded."""


class UsageError(DrmgrError):
    code = "usage"
    exit_code = 2
    default_hint = "see the command's --help"


class IncompleteError(DrmgrError):
    """Something was done, but part of a source could not be read."""

    code = "incomplete"
    exit_code = 3
    default_hint = "make the unreadable files readable, or exclude them in the job on purpose, then back up again"


class ObjectiveMissedError(DrmgrError):
    """Done, but an objective or a check failed."""

    code = "objective-missed"
    exit_code = 4


class UnprotectedError(ObjectiveMissedError):
    """Objects that recovery points need were without a lock, overwritten, or are gone."""

    code = "unprotected"
    default_hint = (
        "find out who did it: drmgr audit show, and the store's own log; see what can be brought back with: "
        "drmgr repo rewind SYSTEM --to TIME --dry-run"
    )


class RewindIncompleteError(ObjectiveMissedError):
    """The repository was brought back, but not all of it."""

    code = "rewind-incomplete"
    default_hint = "try an earlier time, or a clean place with --into; a copy elsewhere may have what is lost"


class ConfigError(DrmgrError):
    """All mistakes of a configuration at once; ``problems`` are lines ``file:line: what``."""

    code = "config"
    exit_code = 10
    default_hint = "mend the lines named above, then run: drmgr config check"

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class PreflightError(DrmgrError):
    """Refused before anything was changed."""

    code = "preflight"
    exit_code = 11
    default_hint = "run: drmgr doctor"


class ToolError(PreflightError):
    """A program that drmgr drives is missing or too old."""

    code = "tool"


class PointNotFoundError(PreflightError):
    code = "point-not-found"
    default_hint = "list what can be restored with: drmgr points SYSTEM"


class ExpireRefusedError(PreflightError):
    """Nothing may be taken away now."""

    code = "expire-refused"


class LockedError(DrmgrError):
    code = "locked"
    exit_code = 12
    default_hint = "wait for the other run to end; the message names its process"


class NotAllowedError(DrmgrError):
    """A target, or an act, that the site file does not allow."""

    code = "not-allowed"
    exit_code = 13
    default_hint = "targets are named under restore.allow in the site file; changing that is the hospital's decision"


class InUseError(NotAllowedError):
    """Others work in what is to be set aside, and nobody said that they may be cut off."""

    code = "in-use"
    default_hint = "stop the programs that work in it, or let drmgr end their sessions: --end-sessions"


class SourceError(DrmgrError):
    """A database or file tree could not be read, or a loaded one not be queried."""

    code = "source"
    exit_code = 20
    default_hint = "check that the source runs and that drmgr's account may read all of it: drmgr doctor"


class RepositoryError(DrmgrError):
    code = "repository"
    exit_code = 21
    default_hint = "check the object store and drmgr's access to it: drmgr doctor"


class RepositoryUnreachableError(RepositoryError):
    code = "repository-unreachable"
    default_hint = "is the object store up, and its endpoint in the site file right?"


class RepositoryMissingError(RepositoryError):
    code = "repository-missing"
    default_hint = "create it with: drmgr repo init"


class RepositoryAccessError(RepositoryError):
    """The store refused the keys, or restic refused the repository password."""

    code = "repository-access"
    default_hint = (
        "check store.access_key and store.secret_key in the site file, and that keys/ belongs to this repository"
    )


class RepositoryLockedError(RepositoryError):
    code = "repository-locked"
    default_hint = "another restic works on this repository; try again when it is done"


class RepositoryDamagedError(RepositoryError):
    """What the repository returned is not what was stored."""

    code = "repository-damaged"
    default_hint = (
        "find the broken packs with: drmgr repo check --read-data, and restore from another point or copy meanwhile"
    )


class SpoolFullError(RepositoryError):
    """Shipped logs wait on this host for a store that is away, and there is no room for more of them."""

    code = "spool-full"
    default_hint = "bring the object store back; nothing is lost while the server keeps its log"


class ScratchError(DrmgrError):
    code = "scratch"
    exit_code = 22
    default_hint = "look at scratch.directory in the site file: free space, rights, path length"


class LoadError(ScratchError):
    """Restored data did not load into its instance: the proof failed, not the environment."""

    code = "load"
    default_hint = "the recovery point's data did not load; try the point before it and keep this one for study"


class EvidenceError(DrmgrError):
    code = "evidence"
    exit_code = 23
    default_hint = "evidence is never repaired in place; find out who changed it: drmgr evidence verify --all"


class KeystoreError(DrmgrError):
    code = "keystore"
    exit_code = 24
    default_hint = "see which keys there are with: drmgr keys status"


class NotifyError(DrmgrError):
    """An alarm did not reach somebody. It is kept, and tried again."""

    code = "notify"
    exit_code = 25
    default_hint = "try the addresses under notify in the site file with: drmgr notify test"


class Interrupted(BaseException):
    """SIGINT or SIGTERM, raised in the main thread so that every ``with`` block cleans up on the way out."""

    code: ClassVar[str] = "interrupted"
    exit_code: ClassVar[int] = 130

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name
        self.left = ""
        """What is left behind, and how it is removed; empty where nobody has anything to say."""
