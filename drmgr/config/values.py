"""The small values of the configuration: durations, secret references, names, paths. Text in, value out, text again."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SerializationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from drmgr.model import Json
from drmgr.system.cron import check_expression

SecretScheme = Literal["env", "file", "keystore"]

_DURATION = re.compile(r"(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,8})s)?")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SECRET_NAMES: dict[str, str] = {
    "env": r"[A-Za-z_][A-Za-z0-9_]*",
    "file": r"[^\s\x00](?:[^\x00\r\n]*[^\s\x00])?",
    "keystore": r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*",
}
SECRET_HELP = "a reference to a secret (env:NAME, file:PATH or keystore:NAME), never the secret itself"


def parse_duration(text: str) -> timedelta:
    """A span of time from text such as ``90s``, ``5m``, ``2h``, ``1d`` or ``1h30m``.

    Raises ValueError for anything else, and for a span of zero.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("must be a duration such as 90s, 5m, 2h, 1d or 1h30m")
    seconds = sum(int(count) * size for count, (_, size) in zip(match.groups(default="0"), _UNITS, strict=True))
    if seconds == 0:
        raise ValueError("must be longer than zero")
    return timedelta(seconds=seconds)


def format_duration(span: timedelta) -> str:
    """The shortest text that ``parse_duration`` reads back as ``span``, to the second."""
    left, text = int(span.total_seconds()), ""
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 90s, 5m, 2h, 1d or 1h30m")  # noqa: TRY004 - pydantic reads these
    return parse_duration(value)


_SIZE = re.compile(r"([1-9][0-9]{0,6}) ?(MiB|GiB|TiB)")
_SIZES = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


def parse_size(text: str) -> int:
    """Bytes from text such as ``512MiB``, ``8GiB`` or ``2TiB``. Raises ValueError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("must be a size such as 512MiB, 8GiB or 2TiB")
    return int(match[1]) * _SIZES[match[2]]


def format_size(size: int) -> str:
    """The shortest text that ``parse_size`` reads back as ``size``, to the MiB."""
    unit = next((name for name, bytes_ in reversed(_SIZES.items()) if size % bytes_ == 0), "MiB")
    return f"{size // _SIZES[unit]}{unit}"


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0 and value % _SIZES["MiB"] == 0:
        # as it was read once already
        return value
    if not isinstance(value, str):
        raise ValueError("must be a size such as 512MiB, 8GiB or 2TiB")  # noqa: TRY004 - pydantic reads these
    return parse_size(value)


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_SIZE.pattern}$", "examples": ["512MiB", "8GiB", "2TiB"]}),
]
"""Bytes, written as text in YAML and JSON."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^(?=.){_DURATION.pattern}$", "examples": ["90s", "5m", "1h30m"]}),
]
"""A timedelta, written as text in YAML and JSON."""


@dataclass(frozen=True)
class SecretRef:
    """Where a secret lies, never the secret. ``str`` gives the text of the site file, for instance ``env:NAME``."""

    scheme: SecretScheme
    name: str

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Raises ValueError, whose message never repeats the text: somebody may have written the secret itself."""
        for scheme in get_args(SecretScheme):
            name = text.removeprefix(f"{scheme}:")
            if name != text and re.fullmatch(_SECRET_NAMES[scheme], name):
                return cls(scheme, name)
        raise ValueError(f"must be {SECRET_HELP}")

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^(env|file|keystore):.+$", "examples": ["env:NAME", "file:/etc/x/y"]}

    @classmethod
    def _validate(cls, value: object) -> "SecretRef":
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"must be {SECRET_HELP}")  # noqa: TRY004 - pydantic reads ValueError only
        return cls.parse(value)


def _matching(pattern: str, wrong: str) -> tuple[Callable[[str], str], WithJsonSchema]:
    """A validator for text of that pattern with a message for people, and the schema that says the same."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.search(value) is None:
            raise ValueError(wrong)
        return value

    return check, WithJsonSchema({"type": "string", "pattern": pattern})


def _check_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of text that is not blank")
    return value


def _check_text(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("must not be blank")
    return value


def _path(value: object) -> Path:
    text = str(value) if isinstance(value, str | Path) else ""
    if not text.strip() or "\0" in text:
        raise ValueError("must be the path of a file or folder")
    if text.startswith("~"):
        raise ValueError("must be a whole path, or one relative to the site file; ~ is not understood")
    return Path(text)


def _absolute(value: Path, info: SerializationInfo) -> str:
    base = info.context.get("base") if isinstance(info.context, dict) else None
    return str(value if base is None else base / value)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone that this machine knows, such as Asia/Shanghai") from None
    return value


def _scalar(value: object) -> Json:
    if isinstance(value, dict | list | tuple):
        raise ValueError("must be one value: text, a number, true, false or null")  # noqa: TRY004
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number")
    return value


_id, _id_schema = _matching(
    r"^[a-z][a-z0-9-]{0,40}\Z",
    "must be a name of at most 41 small letters, digits and hyphens that begins with a letter",
)
_bucket, _bucket_schema = _matching(
    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z",
    "must be a bucket name of 3 to 63 small letters, digits, dots and hyphens",
)
_endpoint, _endpoint_schema = _matching(
    r"^https?://[A-Za-z0-9.\[\]:_-]+/?\Z",
    "must be http:// or https://, a host and perhaps a port, such as http://127.0.0.1:8333; keys do not belong here",
)
_bucket_url, _bucket_url_schema = _matching(
    r"^(?=.{1,120}\Z)s3://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*\Z",
    "must be s3://, a host and perhaps a port, a bucket and perhaps a prefix, of at most 120 characters; keys do not belong here",
)
_prefix, _prefix_schema = _matching(
    r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?\Z",
    "must be letters, digits, dots, hyphens and underscores, with single slashes between",
)
_point, _point_schema = _matching(
    r"^(latest|[0-9A-HJKMNP-TV-Z]{26})\Z", "must be latest or the id of a recovery point (drmgr points SYSTEM)"
)

_time_of_day, _time_of_day_schema = _matching(
    r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", "must be a time of day such as 07:30"
)

_plain_name, _plain_name_schema = _matching(
    r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?\Z",
    "must be a plain name: letters, digits and underscores, and a schema before it where it needs one",
)
_sha256, _sha256_schema = _matching(r"^[0-9a-f]{64}\Z", "must be a SHA-256: 64 digits from 0 to 9 and a to f")

# \Z is Python's; the same end of text is $ in the dialect of JSON Schema
for _schema in (
    *(_id_schema, _bucket_schema, _endpoint_schema, _bucket_url_schema, _prefix_schema, _point_schema),
    *(_time_of_day_schema, _plain_name_schema, _sha256_schema),
):
    assert _schema.json_schema is not None
    _schema.json_schema["pattern"] = _schema.json_schema["pattern"].replace(r"\Z", "$")

Id = Annotated[str, AfterValidator(_id), _id_schema]
Line = Annotated[str, AfterValidator(_check_line)]
"""One line of text that is not blank."""
Sql = Annotated[str, AfterValidator(_check_text)]
Bucket = Annotated[str, AfterValidator(_bucket), _bucket_schema]
Endpoint = Annotated[str, AfterValidator(_endpoint), _endpoint_schema]
BucketUrl = Annotated[str, AfterValidator(_bucket_url), _bucket_url_schema]
"""A place in a bucket as SQL Server names it, in path style."""
Prefix = Annotated[str, AfterValidator(_prefix), _prefix_schema]
PointChoice = Annotated[str, AfterValidator(_point), _point_schema]
Timezone = Annotated[str, AfterValidator(_timezone)]
CronText = Annotated[str, AfterValidator(check_expression)]
"""A cron expression of five fields."""
PlainName = Annotated[str, AfterValidator(_plain_name), _plain_name_schema]
"""A table or column whose name needs no quotes in any engine."""
Sha256 = Annotated[str, AfterValidator(_sha256), _sha256_schema]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day), _time_of_day_schema]
"""Hours and minutes."""
AnyPath = Annotated[
    Path,
    PlainValidator(_path, json_schema_input_type=str),
    PlainSerializer(_absolute, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""A path as it was written; ``LoadedSite.resolve`` makes it absolute."""
Scalar = Annotated[
    Json, PlainValidator(_scalar), WithJsonSchema({"type": ["string", "number", "integer", "boolean", "null"]})
]
Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"})]
Whole = Annotated[int, Field(strict=True)]
YesNo = Annotated[bool, Field(strict=True)]
