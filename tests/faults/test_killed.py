"""SIGKILL at random moments of a night's backup, copy and expire: every sealed point still restores bit for bit."""

import os
import random
import time

from tests.faults.conftest import FaultySite, copied, moments

NIGHT = {
    "backup": ("backup", "docs"),
    "copy": ("repo", "copy", "docs"),
    "expire": ("repo", "expire", "docs", "--prune"),
}


def test_killed_at_random_moments(faults_template: FaultySite) -> None:
    seed = int(os.environ.get("DRMGR_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"DRMGR_SEED={seed}")
    chance = random.Random(seed)
    with copied(faults_template) as site:
        site.change(chance)
        began = time.monotonic()
        for step in NIGHT.values():
            assert site.run(*step).code == 0
        length = time.monotonic() - began
    counts = {"moments": 0, "points": 0, **dict.fromkeys(NIGHT, 0)}
    for _ in range(moments(1, 30)):
        with copied(faults_template) as site:
            counts[_killed(site, chance, chance.uniform(0, length))] += 1
            counts["points"] += _all_restore(site, chance)
            counts["moments"] += 1
            print(counts, flush=True)
    print(counts)


def _killed(site: FaultySite, chance: random.Random, moment: float) -> str:
    """The night until the moment comes; the step that it hit."""
    content = site.change(chance)
    deadline = time.monotonic() + moment
    for name, step in NIGHT.items():
        with site.started(*step) as process:
            while process.poll() is None:
                if time.monotonic() >= deadline:
                    process.kill()
                    site.kill_all()
                    process.communicate()
                    _learn(site, content)
                    return name
                time.sleep(0.002)
        if name == "backup":
            _learn(site, content)
    return "expire"


def _learn(site: FaultySite, content: str) -> None:
    """A point that was not there before holds what the documents were."""
    for point in site.points("docs"):
        site.contents.setdefault(point, content)


def _all_restore(site: FaultySite, chance: random.Random) -> int:
    """Every point that is offered, then the next night with no work by hand, and its point too; how many were compared."""
    offered = site.points("docs")
    # only what the rules let go may have gone: never the newest
    assert max(site.contents) in offered
    for point in offered:
        assert site.brought_back(point) == site.contents[point], point
    night = site.back_up(chance)
    for name in ("copy", "expire"):
        answer = site.run(*NIGHT[name])
        assert answer.code == 0, answer
    assert site.brought_back(night) == site.contents[night]
    assert site.run("repo", "check", "docs", "--read-data").code == 0
    return len(offered) + 1
