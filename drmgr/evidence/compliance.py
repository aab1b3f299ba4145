"""The rules that evidence is read against, from a file that people edit; figures beside rules, no judgement."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from drmgr.errors import ConfigError
from drmgr.model import Json

PACKAGED = Path(__file__).with_name("compliance.yaml")


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid")
    zh: str
    en: str


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")
    standard: _Text
    requirement: _Text
    measure: str | None
    at_least: float | None = None
    at_most: float | None = None


def compliance(path: Path, measures: Mapping[str, float | None]) -> list[Json]:
    """Each rule with its figure. ``holds``: the figure is within the rule; None: there is no figure, so nothing is shown.

    Raises ConfigError for a file that is no such table, or that names a figure which does not exist.
    """
    rows = []
    for number, rule in enumerate(_read(path), start=1):
        if rule.measure is not None and rule.measure not in measures:
            raise ConfigError(
                f"rule {number} of {path.name} names the figure {rule.measure}, which is not there",
                hint=f"known: {', '.join(sorted(measures))}",
            )
        value = None if rule.measure is None else measures[rule.measure]
        holds = None
        if value is not None:
            holds = (rule.at_least is None or value >= rule.at_least) and (
                rule.at_most is None or value <= rule.at_most
            )
        rows.append({**rule.model_dump(), "value": value, "holds": holds})
    return rows


def _read(path: Path) -> list[_Rule]:
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return TypeAdapter(list[_Rule]).validate_python(data)
    except OSError as error:
        raise ConfigError(f"the rules in {path} cannot be read: {error.strerror}", hint="look at that file") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the rules in {path} are no YAML", hint="look at that file") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"the rules in {path}: {where}: {first['msg']}", hint="look at that file") from error
