"""The texts that made a SQLite table and its indexes, for a table of another name that refers to no other one."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from drmgr.errors import LoadError

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*)
        (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$.]+|[^\s])""",
    re.VERBOSE | re.DOTALL,
)
_ACTIONS: Final = (("SET", "NULL"), ("SET", "DEFAULT"), ("NO", "ACTION"), ("CASCADE",), ("RESTRICT",))
_UNREADABLE: Final = "the definition of the restored table cannot be read"


class _Token(NamedTuple):
    """``space`` are the blanks and comments before it: a statement put together again reads as it was written."""

    space: str
    text: str

    @property
    def word(self) -> str:
        return self.text.upper()


def _tokens(statement: str) -> list[_Token]:
    return [_Token(match["space"], match["text"]) for match in _TOKEN.finditer(statement)]


def _text(tokens: Sequence[_Token]) -> str:
    return "".join(token.space + token.text for token in tokens)


def _words(tokens: Sequence[_Token]) -> list[str]:
    return [token.word for token in tokens]


def renamed(statement: str, name: str) -> str:
    """A CREATE TABLE statement for the table ``name``. Raises LoadError for a text that is none."""
    tokens = _tokens(statement)
    words = _words(tokens[:4])
    if words[:2] != ["CREATE", "TABLE"] or words[3:] != ["("]:
        raise LoadError(_UNREADABLE)
    end = _closing(tokens, 3)
    items = [kept for item in _items(tokens[4:end]) if (kept := _without_references(item))]
    quoted = '"' + name.replace('"', '""') + '"'
    # a comment at the end of a line must not swallow the bracket
    return f"CREATE TABLE {quoted} ({','.join(map(_text, items))}\n){_text(tokens[end + 1 :])}"


def index_columns(statement: str) -> str:
    """What follows the table's name in a CREATE INDEX statement. Raises LoadError for a text that is none."""
    tokens = _tokens(statement)
    words = _words(tokens)
    opening = words.index("(") if "(" in words else 0
    # CREATE [UNIQUE] INDEX name ON table
    if words[max(0, opening - 2) : opening - 1] != ["ON"]:
        raise LoadError(_UNREADABLE)
    return _text(tokens[opening:])


def _closing(tokens: Sequence[_Token], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[place].text, 0)
        if not depth:
            return place
    raise LoadError(_UNREADABLE)


def _items(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Columns and constraints: what commas part that are in no brackets."""
    item: list[_Token] = []
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            yield item
            item = []
        else:
            item.append(token)
    yield item


def _without_references(item: list[_Token]) -> list[_Token]:
    words = _words(item)
    bare = words[2:] if words[:1] == ["CONSTRAINT"] else words
    if bare[:2] == ["FOREIGN", "KEY"]:
        return []
    kept: list[_Token] = []
    place = depth = 0
    while place < len(item):
        depth += {"(": 1, ")": -1}.get(item[place].text, 0)
        # the first word is the column's name, whatever it says
        if place and not depth and words[place] == "REFERENCES":
            if [token.word for token in kept[-2:-1]] == ["CONSTRAINT"]:
                del kept[-2:]
            place = _after_reference(item, words, place + 2)
            continue
        kept.append(item[place])
        place += 1
    return kept


def _after_reference(item: Sequence[_Token], words: Sequence[str], place: int) -> int:
    """Where the clause ends whose table's name lies before ``place``."""
    if words[place : place + 1] == ["("]:
        place = _closing(item, place) + 1
    while place < len(words):
        if words[place] == "ON":
            place += 2
            action = next((each for each in _ACTIONS if words[place : place + len(each)] == [*each]), None)
            if action is None:
                raise LoadError(_UNREADABLE)
            place += len(action)
        elif words[place] == "MATCH":
            place += 2
        elif words[place] == "DEFERRABLE" or words[place : place + 2] == ["NOT", "DEFERRABLE"]:
            place += 1 if words[place] == "DEFERRABLE" else 2
            place += 2 if words[place : place + 1] == ["INITIALLY"] else 0
        else:
            break
    return place
