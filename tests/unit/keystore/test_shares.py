"""Word shares: any K of N give the key back, and every share that will not do is named without showing a word of it."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.errors import KeystoreError, UsageError
from drmgr.keystore.shares import (
    WORDS,
    Combined,
    GivenShare,
    SplitKey,
    check_code,
    combine_shares,
    split_key,
)
from drmgr.keystore.store import FileKeystore
from drmgr.keystore.wrapping import ScryptCost
from drmgr.system.secret import Secret

KEY = bytes(range(32))


def keystore(directory: Path, passphrase: str) -> FileKeystore:
    return FileKeystore(directory, lambda: Secret(passphrase), cost=ScryptCost(n=2**4))


@pytest.fixture(scope="module")
def made() -> SplitKey:
    return split_key(KEY, 5, 3)


def typed(split: SplitKey, *numbers: int) -> list[GivenShare]:
    return [GivenShare(f"share {place}", " ".join(split.shares[n - 1])) for place, n in enumerate(numbers, start=1)]


def refused(given: list[GivenShare]) -> str:
    with pytest.raises(KeystoreError) as caught:
        combine_shares(given)
    error: BaseException | None = caught.value
    words = {word for share in given for word in share.text.split() if len(word) > 5}
    while error is not None:
        shown = set(str(error).replace(".", " ").replace('"', " ").split())
        # a word of the list that is also one of ours
        assert not words & shown - {"together"}, "the message holds words of a share"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return caught.value.message


def test_every_choice_of_three_gives_the_key_and_no_two_do(made: SplitKey) -> None:
    assert [len(words) for words in made.shares] == [WORDS] * 5
    for size in (3, 4, 5):
        for numbers in (
            itertools.permutations(range(1, 6), size) if size == 3 else itertools.combinations(range(1, 6), size)
        ):
            combined = combine_shares(typed(made, *numbers))
            assert combined == Combined(KEY, made.set_id, check_code(KEY), numbers)
    for numbers in itertools.combinations(range(1, 6), 2):
        message = refused(typed(made, *numbers))
        assert message == (
            f"1 more share is needed: set {made.set_id} takes 3, given were no. {numbers[0]}, {numbers[1]}"
        )


@pytest.mark.parametrize(("count", "threshold"), [(2, 2), (16, 16), (16, 2), (7, 4)])
def test_other_numbers_of_shares(count: int, threshold: int) -> None:
    made = split_key(KEY, count, threshold)
    numbers = random.Random(count).sample(range(1, count + 1), threshold)
    assert combine_shares(typed(made, *numbers)).master == KEY
    assert "1 more share is needed" in refused(typed(made, *numbers[1:]))


@pytest.mark.parametrize(("count", "threshold"), [(1, 1), (5, 1), (3, 4), (17, 3), (0, 0), (5, 0)])
def test_numbers_that_make_no_sense_are_refused(count: int, threshold: int) -> None:
    with pytest.raises(UsageError, match="cannot be split"):
        split_key(KEY, count, threshold)


def test_a_share_given_twice_counts_once(made: SplitKey) -> None:
    assert "given were no. 2, 4" in refused(typed(made, 2, 4, 2))
    assert combine_shares(typed(made, 2, 2, 4, 5)).numbers == (2, 4, 5)


def test_nothing_given() -> None:
    assert refused([]) == "no share was given"


@pytest.mark.parametrize(
    "style",
    [
        str.upper,
        lambda text: " ".join(word[:4] for word in text.split()),
        lambda text: " ".join(f"{n}. {word}" for n, word in enumerate(text.split(), start=1)),
        lambda text: "\t" + text.replace(" ", "   ") + "  ",
    ],
)
def test_words_may_be_written_as_people_write_them(made: SplitKey, style: Callable[[str], str]) -> None:
    given = [GivenShare(share.label, style(share.text)) for share in typed(made, 1, 3, 5)]
    assert combine_shares(given).master == KEY


def change(text: str, place: int, word: str) -> str:
    words = text.split()
    words[place] = word
    return " ".join(words)


def test_every_wrong_word_is_found_and_its_share_named(made: SplitKey) -> None:
    for place in range(WORDS):
        given = typed(made, 1, 2, 3)
        other = "academic" if given[1].text.split()[place] != "academic" else "zero"
        given[1] = GivenShare("share 2", change(given[1].text, place, other))
        assert refused(given) == "share 2 is wrong: its checksum does not hold", place
        given[1] = GivenShare("share 2", change(given[1].text, place, "password"))
        assert refused(given) == f"share 2 is wrong: word {place + 1} is not in the list"


def test_a_word_that_only_begins_like_one_of_the_list_is_wrong(made: SplitKey) -> None:
    given = typed(made, 1, 2, 3)
    given[0] = GivenShare("share 1", change(given[0].text, 6, given[0].text.split()[6] + "s"))
    assert refused(given) == "share 1 is wrong: word 7 is not in the list"


def test_all_wrong_shares_are_named_at_once(made: SplitKey) -> None:
    given = typed(made, 1, 2, 3)
    swapped = given[0].text.split()
    swapped[10], swapped[20] = swapped[20], swapped[10]
    short = given[2].text.split()[:-1]
    message = refused([GivenShare("A", " ".join(swapped)), given[1], GivenShare("C", " ".join(short))])
    assert message == "A is wrong: its checksum does not hold; C has 32 words, not 33"


def test_shares_of_another_set_are_named(made: SplitKey) -> None:
    other = split_key(KEY, 5, 3)
    assert other.set_id != made.set_id
    assert other.check == made.check
    message = refused([*typed(made, 1, 2), GivenShare("the stranger", " ".join(other.shares[2]))])
    assert f"the stranger is of set {other.set_id}; the others are of set {made.set_id}" in message
    one_each = [GivenShare("A", " ".join(made.shares[0])), GivenShare("B", " ".join(other.shares[1]))]
    assert f"A is of set {made.set_id}, B is of set {other.set_id}" in refused(one_each)


def test_a_share_of_something_else_is_named() -> None:
    from shamir_mnemonic import generate_mnemonics

    [texts] = generate_mnemonics(1, [(2, 3)], b"short secret 16b")
    assert "has 20 words, not 33" in refused([GivenShare("A", texts[0])])
    groups = generate_mnemonics(2, [(2, 3), (2, 3)], KEY, iteration_exponent=0)
    assert "a share of something else" in refused([GivenShare("A", groups[0][0])])


def test_shares_that_were_made_up_do_not_pass_for_the_key(made: SplitKey) -> None:
    from dataclasses import replace

    from shamir_mnemonic import Share

    honest = Share.from_mnemonic(" ".join(made.shares[1]))
    forged = replace(honest, value=bytes(32)).mnemonic()
    assert "do not fit together" in refused([*typed(made, 1, 3), GivenShare("forged", forged)])
    assert "contradicts another share no. 2" in refused([*typed(made, 1, 2, 3), GivenShare("forged", forged)])


def test_the_key_is_not_shown_by_accident(made: SplitKey) -> None:
    assert KEY.hex() not in repr(combine_shares(typed(made, 1, 2, 3)))
    assert str(KEY) not in repr(combine_shares(typed(made, 1, 2, 3)))
    assert made.check == check_code(KEY) != check_code(KEY[::-1])


# --- the keystore behind it ---


def test_the_key_brought_back_opens_the_keystore_and_takes_a_new_passphrase(tmp_path: Path) -> None:
    store = keystore(tmp_path, "old")
    store.create()
    store.put("first", b"value")
    made = split_key(store.master_key(), 5, 3)
    lost = keystore(tmp_path, "forgotten")
    lost.open_with(combine_shares(typed(made, 5, 1, 4)).master)
    assert lost.secret("first") == b"value"
    lost.rewrap(Secret("new"))
    assert keystore(tmp_path, "new").secret("first") == b"value"
    with pytest.raises(KeystoreError, match="passphrase does not open"):
        keystore(tmp_path, "old").secret("first")
    # the master key itself is the same: the pages stay good
    assert keystore(tmp_path, "new").master_key() == combine_shares(typed(made, 1, 2, 3)).master


def test_a_key_of_another_keystore_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = keystore(tmp_path, "passphrase")
    store.create()
    with pytest.raises(KeystoreError, match="nothing proves"):
        keystore(tmp_path, "passphrase").open_with(KEY)
    store.put("first", b"value")
    before = (tmp_path / "keystore.json").read_bytes()
    with pytest.raises(KeystoreError, match="does not open the keystore's entry first"):
        keystore(tmp_path, "passphrase").open_with(KEY)
    with pytest.raises(KeystoreError, match="passphrase is empty"):
        store.rewrap(Secret(""))
    with pytest.raises(KeystoreError, match="passphrase does not open"):
        keystore(tmp_path, "wrong").rewrap(Secret("new"))
    assert (tmp_path / "keystore.json").read_bytes() == before
