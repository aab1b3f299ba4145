"""What a JSON document must look like: a model of the same form, with types in the place of values."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Any


@dataclass(frozen=True)
class Text:
    """A text of that form; ``instant``: RFC 3339 with an offset."""

    pattern: str
    instant: bool = False


Ulid = Text(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
Instant = Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", instant=True)


@dataclass(frozen=True)
class Maybe:
    """Null, or what it holds."""

    model: Json


def fits(document: Json, model: Json, at: str = "$") -> None:
    """Asserts that every field of the model is in the document, with a value of its kind. More fields are welcome."""
    if isinstance(model, Maybe):
        if document is not None:
            fits(document, model.model, at)
    elif isinstance(model, dict):
        assert isinstance(document, dict), at
        for name, inner in model.items():
            assert name in document, f"{at}.{name} is not there"
            fits(document[name], inner, f"{at}.{name}")
    elif isinstance(model, list):
        assert isinstance(document, list), at
        for number, item in enumerate(document):
            for inner in model:
                fits(item, inner, f"{at}[{number}]")
    else:
        _is(document, model, at)


def _is(value: Json, model: Json, at: str) -> None:
    what = f"{at} is {value!r}"
    if isinstance(model, set):
        assert value in model, what
    elif isinstance(model, Text):
        assert isinstance(value, str), what
        assert re.fullmatch(model.pattern, value), what
        assert not model.instant or datetime.fromisoformat(value).tzinfo is not None, what
    elif model is not object:
        # a whole number of seconds may come without its point
        assert isinstance(value, int | float if model is float else model), what
        assert model is bool or not isinstance(value, bool), what
