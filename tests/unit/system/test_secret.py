import copy
import json
import pickle
from dataclasses import dataclass

import pytest

from drmgr.system.secret import LaterSecret, Secret

WORD = "hunter2"


@dataclass(frozen=True)
class Holder:
    secret: Secret


def test_a_secret_shows_itself_to_nobody_but_who_asks() -> None:
    secret = Secret(WORD)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!s} {secret!r}", repr(Holder(secret))]
    shown += [repr([secret]), str({"k": secret})]
    assert not [text for text in shown if WORD in text]
    assert all("****" in text for text in shown)
    assert secret.reveal() == WORD


def test_a_secret_is_not_written_anywhere() -> None:
    secret = Secret(WORD)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"k": secret})
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_equal_secrets_are_equal() -> None:
    assert Secret(WORD) == Secret(WORD)
    assert hash(Secret(WORD)) == hash(Secret(WORD))
    assert Secret(WORD) != Secret("other")
    assert Secret(WORD) != WORD


def test_a_later_secret_is_fetched_once_and_only_when_it_is_revealed() -> None:
    asked: list[int] = []

    def fetch() -> Secret:
        asked.append(1)
        return Secret("hunter2")

    later = LaterSecret(fetch)
    assert (str(later), repr(later), asked) == ("****", "Secret(****)", [])
    assert (later.reveal(), later == Secret("hunter2"), hash(later)) == ("hunter2", True, hash(Secret("hunter2")))
    assert asked == [1]
