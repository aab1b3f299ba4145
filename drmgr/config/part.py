"""What all parts of the configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of all parts: no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
