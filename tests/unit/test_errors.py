"""Each failure has a code of its own, and the exit code that people and schedulers were promised."""

import importlib
import pkgutil

import drmgr
from drmgr import errors
from drmgr.errors import DrmgrError, Interrupted

PROMISED = {
    "UsageError": 2,
    "IncompleteError": 3,
    "ObjectiveMissedError": 4,
    "ConfigError": 10,
    "PreflightError": 11,
    "LockedError": 12,
    "NotAllowedError": 13,
    "SourceError": 20,
    "RepositoryError": 21,
    "ScratchError": 22,
    "EvidenceError": 23,
    "KeystoreError": 24,
    "NotifyError": 25,
}


def every_class() -> list[type[DrmgrError]]:
    for module in pkgutil.walk_packages(drmgr.__path__, "drmgr."):
        if ".migrations." not in module.name:
            importlib.import_module(module.name)
    found: list[type[DrmgrError]] = [DrmgrError]
    for kind in found:
        found += kind.__subclasses__()
    return found


def test_codes_are_told_apart() -> None:
    kinds = every_class()
    codes = [kind.code for kind in kinds]
    assert len(kinds) > 20
    assert sorted(codes) == sorted(set(codes))
    # inherited is not owned
    assert [kind.__name__ for kind in kinds if "code" not in vars(kind)] == []


def test_exit_codes_are_those_that_were_promised() -> None:
    assert (DrmgrError.exit_code, Interrupted.exit_code) == (1, 130)
    assert {name: getattr(errors, name).exit_code for name in PROMISED} == PROMISED
    families: list[type[DrmgrError]] = [getattr(errors, name) for name in PROMISED]
    for kind in every_class()[1:]:
        family = next(each for each in families if issubclass(kind, each))
        assert kind.exit_code == family.exit_code, kind.__name__


def test_a_hint_is_the_classes_own_unless_another_is_given() -> None:
    assert errors.LockedError("x").hint == errors.LockedError.default_hint != ""
    assert errors.LockedError("x", hint="").hint == ""
    assert str(errors.LockedError("x is held")) == "x is held"


def test_an_interruption_is_not_caught_as_a_failure() -> None:
    assert not issubclass(Interrupted, Exception)
