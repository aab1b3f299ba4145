"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """``scale`` is pgbench's; ``rows`` are MariaDB's, of about 200 bytes; ``files`` are small ones.

    ``rounds`` is how often a first backup and a restore are made, each on an empty place; ``nights`` how many repeats
    follow, each after one percent of the data changed.
    """

    scale: int
    rows: int
    files: int
    rounds: int
    nights: int


SIZES = {
    "full": Sizes(scale=75, rows=1_500_000, files=100_000, rounds=3, nights=7),
    "small": Sizes(scale=20, rows=400_000, files=20_000, rounds=2, nights=2),
    "tiny": Sizes(scale=1, rows=4_000, files=600, rounds=1, nights=1),
}
