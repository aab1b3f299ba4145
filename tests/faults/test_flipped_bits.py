"""Single bits turned round, anywhere in a repository: found by check or by restore, the points named, none restored falsely."""

import os
import random
from pathlib import Path

from tests.faults.conftest import FaultySite, copied, moments

KINDS = ("data", "index", "snapshots", "keys", "config")


def test_single_bits(faults_template: FaultySite) -> None:
    seed = int(os.environ.get("DRMGR_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"DRMGR_SEED={seed}")
    chance = random.Random(seed)
    counts = dict.fromkeys(("flips", "by check", "points named", "restores refused", "restored true"), 0)
    with copied(faults_template) as site:
        for number in range(moments(2, 200)):
            path, place = _target(site, KINDS[number % len(KINDS)], chance)
            before = path.read_bytes()
            _flip(path, before, place)
            _look_at(
                site,
                counts,
                chance.choice(sorted(site.contents)),
                f"{path.relative_to(site.directory)} byte {place // 8}",
            )
            path.write_bytes(before)
            counts["flips"] += 1
            if number % 10 == 9:
                print(counts, flush=True)
    print(counts)


def _target(site: FaultySite, kind: str, chance: random.Random) -> tuple[Path, int]:
    found = [site.directory / "repositories/docs/config"] if kind == "config" else site.repository_files("docs", kind)
    path = chance.choice(sorted(found))
    path.chmod(0o600)
    return path, chance.randrange(path.stat().st_size * 8)


def _flip(path: Path, before: bytes, bit: int) -> None:
    content = bytearray(before)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def _look_at(site: FaultySite, counts: dict[str, int], point: str, where: str) -> None:
    """Looks with check, which must find it and name a point, and restores one: as it was, or with an error."""
    answer = site.run("repo", "check", "docs", "--read-data", "--json")
    assert answer.code == 21, where
    (row,) = answer.document["repositories"]
    counts["by check"] += 1
    assert row["points"], where
    counts["points named"] += 1
    found = site.brought_back(point)
    assert point in row["points"] or found == site.contents[point], where
    if found == site.contents[point]:
        counts["restored true"] += 1
    else:
        # the code of an error, never other content
        assert len(found) < 64, where
        counts["restores refused"] += 1
