"""New repository passwords: made, added, proven, kept safe, and only then is the old one revoked."""

from collections.abc import Callable
from dataclasses import dataclass

from drmgr.errors import KeystoreError, RepositoryAccessError
from drmgr.flows.bench import Bench, recorded
from drmgr.interfaces import Renewal, RepositoryPasswords
from drmgr.model import RunKind
from drmgr.system.secret import Secret


@dataclass(frozen=True)
class Renewed:
    """What was done. ``others`` are keys of the repository that are not ours: somebody added them."""

    run: str
    system: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One repository, the system's own (``place`` empty) or a copy, and the password that opens it."""

    system: str
    place: str
    keys: Renewal
    passwords: RepositoryPasswords


def renew_keys(bench: Bench, lock: Lock, keep_safe: Callable[[], None]) -> Renewed:
    """Gives the repository a new password and revokes the old one.

    Killed at any moment the repository opens with what the keystore holds, and the next call finishes. ``keep_safe`` puts
    the keystore where a lost host is recovered from; until it has, the old password stays. Raises LockedError,
    RepositoryError, KeystoreError.
    """
    keys, passwords = lock.keys, lock.passwords
    with recorded(bench, RunKind.RENEW_KEYS, lock.system) as run, bench.locks.hold(f"system-{lock.system}"):
        run.detail.update(place=lock.place)
        if keys.retired() is None:
            _change(keys, passwords)
        keep_safe()
        others = _revoke(keys, passwords)
        run.detail.update(others=len(others))
        return Renewed(run.run.id, lock.system, others)


def _change(keys: Renewal, passwords: RepositoryPasswords) -> None:
    new = keys.begin()
    if not passwords.opens(new):
        present = keys.present()
        if not passwords.opens(present):
            raise RepositoryAccessError("the repository does not open with our password")
        passwords.add(present, new)
        _insist(passwords, new)
    keys.complete()


def _insist(passwords: RepositoryPasswords, password: Secret) -> None:
    if not passwords.opens(password):
        raise RepositoryAccessError("the repository does not open with its new password; the old one is kept")


def _revoke(keys: Renewal, passwords: RepositoryPasswords) -> tuple[str, ...]:
    """The ids of keys that are neither the new one nor the old."""
    old, new = keys.retired(), keys.present()
    if old is None:
        raise KeystoreError("the keystore does not remember the password that is to be revoked")
    _insist(passwords, new)
    removed: set[str] = set()
    # more than one key may open with it, where a lighter one was about to take the place of a dear one
    while passwords.opens(old):
        stale, _ = passwords.ids(old)
        if stale in removed:
            raise RepositoryAccessError("the old password still opens the repository after it was revoked")
        passwords.remove(new, stale)
        removed.add(stale)
    keys.forget()
    _, others = passwords.ids(new)
    return others
