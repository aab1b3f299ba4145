"""A string that does not print itself."""

from collections.abc import Callable
from typing import Any


class Secret:
    """Holds a secret; ``str``, ``repr`` and format give ``****``. The value is had only by ``reveal()``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return "****"

    def __repr__(self) -> str:
        return "Secret(****)"

    def __format__(self, spec: str) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not pickled")


class LaterSecret(Secret):
    """A secret that is fetched when it is first revealed, for what may never be needed; ``reveal`` raises what ``fetch`` does."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[], Secret]) -> None:
        super().__init__("")
        self._fetch: Callable[[], Secret] | None = fetch

    def reveal(self) -> str:
        if self._fetch is not None:
            self._value, self._fetch = self._fetch().reveal(), None
        return self._value
