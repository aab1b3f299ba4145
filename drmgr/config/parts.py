"""What the models of all configuration files are made of."""

from collections.abc import Sequence

from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from drmgr.config.part import Part
from drmgr.config.references import Mistake
from drmgr.config.values import Line


class BilingualText(Part):
    """A name in both languages of the reports."""

    zh: Line = Field(description="the name in Chinese")
    en: Line = Field(description="the name in English")


def refuse(title: str, mistakes: Sequence[Mistake]) -> None:
    """Raises ValidationError when there are mistakes."""
    if mistakes:
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("reference", "{text}", {"text": found.text}), loc=found.loc, input=None
            )
            for found in mistakes
        ]
        raise ValidationError.from_exception_data(title, errors)
