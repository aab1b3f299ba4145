"""The master key as word shares (SLIP-39): any ``threshold`` of them give it back, fewer say nothing of it."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drmgr.errors import KeystoreError, UsageError
from drmgr.keystore.wrapping import KEY_BYTES

if TYPE_CHECKING:
    from shamir_mnemonic import Share

WORDS: Final = 33
MOST_SHARES: Final = 16
LEAST_THRESHOLD: Final = 2
SHORTEST_PREFIX: Final = 4
"""Letters that tell every word of the list from all others."""

_NUMBERING: Final = re.compile(r"\d+[.):]?")


@dataclass(frozen=True)
class SplitKey:
    """One splitting: every share's words, in order, and what tells it from other splittings."""

    set_id: str
    check: str
    threshold: int
    shares: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, repr=False)
class Combined:
    """The master key brought back, with what names the shares it came from; never printed."""

    master: bytes
    set_id: str
    check: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class GivenShare:
    """What somebody typed, and where it stood, for the messages: ``share 2 (line 2 of FILE)``."""

    label: str
    text: str


def check_code(master: bytes) -> str:
    """Eight characters that tell one master key from another and say nothing of either."""
    text = hashlib.sha256(b"drmgr/master-key/check/1\0" + master).hexdigest()[:8].upper()
    return f"{text[:4]}-{text[4:]}"


def split_key(master: bytes, count: int, threshold: int) -> SplitKey:
    """Splits the key anew: each splitting is a set of its own. Raises UsageError for numbers that make no sense."""
    from shamir_mnemonic import Share, generate_mnemonics

    if not LEAST_THRESHOLD <= threshold <= count <= MOST_SHARES:
        raise UsageError(
            f"the key cannot be split into {count} shares of which {threshold} are needed",
            hint=f"up to {MOST_SHARES} shares, of which at least {LEAST_THRESHOLD} and at most all are needed",
        )
    # the key is random: no cost of guessing has to be added to it
    [texts] = generate_mnemonics(1, [(threshold, count)], master, iteration_exponent=0)
    first = Share.from_mnemonic(texts[0])
    return SplitKey(_set_id(first), check_code(master), threshold, tuple(tuple(text.split()) for text in texts))


def read_share(given: GivenShare) -> "Share":
    """One share, proven by its own checksum.

    Words may be numbered, and cut to their first four letters. Raises KeystoreError naming the share and what is wrong;
    the message holds no word of it.
    """
    from shamir_mnemonic import MnemonicError, Share

    words = [word for word in given.text.lower().split() if not _NUMBERING.fullmatch(word)]
    if len(words) != WORDS:
        raise KeystoreError(f"{given.label} has {len(words)} words, not {WORDS}", hint="copy it from its page again")
    whole = _spelled(given.label, words)
    try:
        share = Share.from_mnemonic(" ".join(whole))
    except MnemonicError:
        # the library's message repeats words of the share
        raise KeystoreError(
            f"{given.label} is wrong: its checksum does not hold", hint="a word was misread or two have changed places"
        ) from None
    if len(share.value) != KEY_BYTES or share.group_count != 1:
        raise KeystoreError(f"{given.label} is a share of something else than a drmgr keystore")
    return share


def combine_shares(given: Sequence[GivenShare]) -> Combined:
    """The key from at least as many shares as its set needs.

    Raises KeystoreError, naming each share that is wrong or of another set, and how many are missing.
    """
    from shamir_mnemonic import MnemonicError, combine_mnemonics

    read, problems = _read_all(given)
    if problems:
        raise KeystoreError("; ".join(problems), hint="copy the shares that are named here from their pages again")
    if not read:
        raise KeystoreError("no share was given", hint="give one share a line")
    own = _one_set(read)
    threshold, set_id = next(iter(own.values())).member_threshold, _set_id(next(iter(own.values())))
    if len(own) < threshold:
        raise _missing(set_id, threshold, sorted(own))
    try:
        master = combine_mnemonics([share.mnemonic() for share in list(own.values())[:threshold]])
    except MnemonicError:
        raise KeystoreError(
            f"the shares of set {set_id} do not fit together, though each is sound alone",
            hint="one of them was made up, or is of another splitting that got the same set number",
        ) from None
    return Combined(master, set_id, check_code(master), tuple(number + 1 for number in own))


def _read_all(given: Sequence[GivenShare]) -> tuple[list[tuple[str, "Share"]], list[str]]:
    read, problems = [], []
    for each in given:
        try:
            read.append((each.label, read_share(each)))
        except KeystoreError as error:
            problems.append(error.message)
    return read, problems


def _one_set(read: Sequence[tuple[str, "Share"]]) -> dict[int, "Share"]:
    """The shares by their number. Raises KeystoreError for any that is not of the set that most are of."""
    sets = Counter(share.common_parameters() for _, share in read)
    [(own, most)] = sets.most_common(1)
    strangers = [(label, share) for label, share in read if share.common_parameters() != own]
    if strangers:
        tied = len(sets) > 1 and list(sets.values()).count(most) > 1
        named = ", ".join(f"{label} is of set {_set_id(share)}" for label, share in (read if tied else strangers))
        others = (
            ""
            if tied
            else f"; the others are of set {next(_set_id(s) for _, s in read if s.common_parameters() == own)}"
        )
        raise KeystoreError(
            f"the shares are not of one set: {named}{others}", hint="the set's number stands on every page"
        )
    found: dict[int, Share] = {}
    for label, share in read:
        if found.setdefault(share.index, share) != share:
            raise KeystoreError(
                f"{label} contradicts another share no. {share.index + 1} of the same set",
                hint="two splittings got the same set number; leave out the pages of the older one",
            )
    return found


def _missing(set_id: str, threshold: int, here: Sequence[int]) -> KeystoreError:
    lacking = threshold - len(here)
    numbers = ", ".join(str(number + 1) for number in here)
    return KeystoreError(
        f"{lacking} more {'share is' if lacking == 1 else 'shares are'} needed: set {set_id} takes {threshold}, "
        f"given {'was' if len(here) == 1 else 'were'} no. {numbers}",
        hint=f"ask the holders of other shares of set {set_id}; the same share twice counts once",
    )


def _spelled(label: str, words: Sequence[str]) -> list[str]:
    from shamir_mnemonic.wordlist import WORDLIST

    by_prefix = {word[:SHORTEST_PREFIX]: word for word in WORDLIST}
    whole, unknown = [], []
    for place, word in enumerate(words, start=1):
        found = by_prefix.get(word[:SHORTEST_PREFIX], "")
        if found.startswith(word):
            whole.append(found)
        else:
            unknown.append(str(place))
    if unknown:
        which = f"word {unknown[0]} is" if len(unknown) == 1 else f"words {', '.join(unknown)} are"
        raise KeystoreError(f"{label} is wrong: {which} not in the list", hint="read the words from its page again")
    return whole


def _set_id(share: "Share") -> str:
    return f"{share.identifier:05d}"
