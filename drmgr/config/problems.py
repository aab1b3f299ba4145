"""Pydantic's findings as sentences for the person who wrote the file."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drmgr.config.references import UNREADABLE, Loc, Mistake, nearest

_WRONG_TYPE = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
}

MYSQL = "mysql"
"""What people write who have it: they should hear that it is not a slip of theirs."""

_Context = Mapping[str, Any]
_PHRASES: dict[str, Callable[[_Context], str]] = {
    "missing": lambda _: "is missing",
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "too_short": lambda context: f"must hold at least {context['min_length']} item",
    "value_error": lambda context: str(context["error"]),
}


def mistakes_in(model: type[BaseModel], data: object) -> tuple[BaseModel | None, list[Mistake]]:
    """The data as that model, or None and everything that is wrong with it. No message repeats a value."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_mistake(model, found) for found in error.errors(include_url=False) if not _echo(found)]


def _echo(error: ErrorDetails) -> bool:
    """A value that YAML got wrong, or a list too short only because its items were wrong: both are said already."""
    given = error.get("input")
    if given is UNREADABLE:
        return True
    return error["type"] == "too_short" and isinstance(given, list) and len(given) >= error["ctx"]["min_length"]


def _mistake(top: type[BaseModel], error: ErrorDetails) -> Mistake:
    loc, last = _locate(top, error["loc"])
    kind, context, given = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        return Mistake(loc, f"is not a known key{nearest(str(loc[-1]), _field_names(last))}")
    if kind.startswith("union_tag"):
        choices = " or ".join(f"'{tag}'" for tag in _tags(last))
        field = context["discriminator"].strip("'")
        missing = kind == "union_tag_not_found"
        if context.get("tag") == MYSQL:
            return Mistake((*loc, field), f"must be {choices}; MySQL is none of them, for it was never run with drmgr")
        return Mistake((*loc, field), f"is missing; it is {choices}" if missing else f"must be {choices}")
    if kind in _WRONG_TYPE:
        return Mistake(loc, _wrong_type(kind, given))
    if kind in _PHRASES:
        return Mistake(loc, _PHRASES[kind](context))
    return Mistake(loc, error["msg"][:1].lower() + error["msg"][1:])


def _wrong_type(kind: str, given: object) -> str:
    if given is None:
        return f"has no value; it {_WRONG_TYPE[kind]}"
    quotes = kind == "string_type" and isinstance(given, bool | int | float)
    return _WRONG_TYPE[kind] + ("; put it in quotes" if quotes else "")


def _locate(top: type[BaseModel], loc: Loc) -> tuple[Loc, tuple[type[BaseModel], ...]]:
    """The way as the file has it, without pydantic's tags, and the models that its last step was looked up in."""
    way: list[str | int] = []
    here: Any = top
    models = _models(here)
    for step in loc:
        models = _models(here)
        if len(models) > 1:
            here = next((model for model in models if step in _tags((model,))), None)
            continue
        if step == "[key]":
            continue
        way.append(step)
        here = _inside(here, models, step)
    return tuple(way), _models(here) or models


def _inside(here: Any, models: tuple[type[BaseModel], ...], step: str | int) -> Any:
    if models and step in models[0].model_fields:
        return models[0].model_fields[str(step)].annotation
    arguments = get_args(here)
    return arguments[0 if isinstance(step, int) else -1] if arguments and not models else None


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that may stand at this place; none for plain values and collections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if getattr(annotation, "__metadata__", None):
        return _models(get_args(annotation)[0])
    if getattr(annotation, "__origin__", None) in {tuple, list, dict}:
        return ()
    return tuple(model for member in get_args(annotation) for model in _models(member))


def _tags(models: tuple[type[BaseModel], ...]) -> list[str]:
    """The words by which the models of a union are told apart."""
    fields = ("kind", "engine")
    return [
        tag
        for model in models
        for name in fields
        if name in model.model_fields
        for tag in get_args(model.model_fields[name].annotation)
    ]


def _field_names(models: tuple[type[BaseModel], ...]) -> list[str]:
    return [name for model in models for name in model.model_fields]
