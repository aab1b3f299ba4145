"""What every engine's way of laying a table beside another has in common: its name, and the proof of its rows."""

from collections.abc import Callable, Sequence
from typing import Final

from drmgr.errors import LoadError
from drmgr.model import Facts, TableProof, TableShape

MOST_TRIES: Final = 1000
NOTHING_LEFT: Final = "nothing of it is left in the database; see what it said, and lay the table again"


def free_name(wish: str, ending: str, taken: Callable[[str], bool], *, most: int, size: Callable[[str], int]) -> str:
    """``wish`` and ``ending``, the former cut so that ``size`` of both is at most ``most``; numbered while it is taken."""
    for number in range(1, MOST_TRIES):
        tail = ending if number == 1 else f"{ending}_{number}"
        head = wish
        while size(head + tail) > most:
            head = head[:-1]
        if not taken(head + tail):
            return head + tail
    raise LoadError(f"beside {wish} lie {MOST_TRIES} tables already", hint="drop those that nobody needs")


def readings(name: str, prefixes: Sequence[str], quote: str) -> list[str]:
    """What a person may mean by it: the table's own name, quoted or not, with one of ``prefixes`` before it or not."""
    bare = [name, *(name.removeprefix(each) for each in prefixes)]
    # two quotes and something between them
    unquoted = [each[1:-1].replace(quote * 2, quote) for each in bare if each[1:-1] and each[0] == each[-1] == quote]
    return list(dict.fromkeys([*bare, *unquoted]))


def sealed_proof(facts: Facts, table: str) -> TableProof | None:
    """What a recovery point's facts say of the table of that name; None when they hold no fingerprint of it."""
    found = facts.groups.get("tables", {}).get(table)
    return None if found is None or "fingerprint" not in found else TableProof(found["rows"], found["fingerprint"])


def bytes_of(text: str) -> int:
    return len(text.encode())


def refuse_other_rows(table: TableShape, restored: TableProof, laid: TableProof) -> None:
    """Raises LoadError unless the rows that were laid are those that were restored."""
    if restored != laid:
        raise LoadError(f"the rows of {table.label} are not the same once they are laid", hint=NOTHING_LEFT)
