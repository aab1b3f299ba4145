"""The object store fails in the middle of each act: the act says so, and a later run succeeds with no work by hand."""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drmgr.demo.objectstore import ObjectStore
from tests.e2e.conftest import bucket_of, use_bucket
from tests.e2e.test_rewind import devastate, moment
from tests.faults.conftest import FaultySite, copied, moments
from tests.support.fault_proxy import FaultProxy
from tests.support.objectstore import BucketMaker, fill_bucket, make_bucket, object_store, s3_client
from tests.support.site import Answer

__all__ = ["make_bucket", "object_store"]

FAILED = 21
LOCKED_DAYS = 10
Trouble = Callable[[FaultProxy, int], None]


@dataclass(frozen=True)
class Act:
    """One command, and the codes by which it may refuse to go on, beside that of the store."""

    words: tuple[str, ...]
    refusals: tuple[int, ...] = ()


ACTS = {
    "backup": Act(("backup", "docs")),
    "copy": Act(("repo", "copy", "docs")),
    # of a repository that cannot be read whole nothing expires
    "expire": Act(("repo", "expire", "docs", "--prune"), (11,)),
    "protect": Act(("repo", "protect", "docs", "--days", "40")),
    "rewind": Act(("repo", "rewind", "docs", "--reason", "勒索软件", "--confirm", "docs")),
}

TROUBLES: dict[str, Trouble] = {
    "stopped": lambda proxy, after: proxy.drop(after=after),
    "500": lambda proxy, after: proxy.fail(500, after=after),
    "keys refused": lambda proxy, after: proxy.fail(403, after=after),
    "slow": lambda proxy, _after: proxy.slow(latency=0.05, bandwidth=300_000),
}


def test_a_store_in_trouble(faults_template: FaultySite, object_store: ObjectStore, make_bucket: BucketMaker) -> None:
    seed = int(os.environ.get("DRMGR_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"DRMGR_SEED={seed}")
    chance = random.Random(seed)
    every = list(itertools.product(ACTS, TROUBLES))
    counts = {"acts": 0, "failed and told": 0, "went through": 0, "points": 0}
    for act, trouble in chance.sample(every, moments(1, len(every))):
        with _in_a_bucket(faults_template, object_store, make_bucket, chance) as (site, proxy):
            to = _prepare(site, object_store, act, chance)
            words = (*ACTS[act].words, *(("--to", to) if to else ()))
            counts["acts"] += 1
            answer = _in_trouble(site, proxy, act, trouble, words, chance)
            if answer.code == 0:
                counts["went through"] += 1
            else:
                counts["failed and told"] += 1
                again = site.run(*words, "--json")
                assert again.code == 0, (act, trouble, again)
            counts["points"] += _all_restore(site, chance)
            print(act, trouble, counts, flush=True)
    print(counts)
    assert counts["points"] >= counts["acts"]


@contextmanager
def _in_a_bucket(
    template: FaultySite, store: ObjectStore, make_bucket: BucketMaker, chance: random.Random
) -> Iterator[tuple[FaultySite, FaultProxy]]:
    """The site with its repository in a bucket with locks behind a proxy, and one point that has no copy yet."""
    with copied(template) as site, FaultProxy(store.endpoint) as proxy:
        bucket = make_bucket(locked=True)
        fill_bucket(store, bucket, site.directory / "repositories", locked_days=LOCKED_DAYS)
        use_bucket(site, store, bucket)
        lock = {"mode": "compliance", "days": LOCKED_DAYS}
        site.edit(lambda document: document["store"].update(object_lock=lock, endpoint=proxy.endpoint))
        site.back_up(chance)
        yield site, proxy


def _prepare(site: FaultySite, store: ObjectStore, act: str, chance: random.Random) -> str:
    """What must be there for the act to have work; for a rewind the time to go back to."""
    if act == "expire":
        site.json("repo", "copy")
        site.back_up(chance)
        site.json("repo", "copy")
    if act != "rewind":
        return ""
    to, client, bucket = moment(), s3_client(store), bucket_of(site)
    devastate(client, bucket)
    # an attacker's rule is named by repo check until a person has taken it away
    client.delete_bucket_lifecycle(Bucket=bucket)
    return to


def _in_trouble(
    site: FaultySite, proxy: FaultProxy, act: str, trouble: str, words: tuple[str, ...], chance: random.Random
) -> Answer:
    """The act, with the trouble from one of its requests on; a failure must be told with the code of the store's."""
    content = site.change(chance) if act == "backup" else ""
    before = set(site.points("docs")) if act != "rewind" else set()
    asked = proxy.count()
    TROUBLES[trouble](proxy, chance.randrange(5, 40))
    answer = site.run(*words, "--json")
    assert proxy.count() > asked
    proxy.heal()
    assert answer.code in ((0,) if trouble == "slow" else (0, FAILED, *ACTS[act].refusals)), (act, trouble, answer)
    if act == "backup":
        for point in set(site.points("docs")) - before:
            site.contents[point] = content
    return answer


def _all_restore(site: FaultySite, chance: random.Random) -> int:
    """One more night with no work by hand; then every point that is offered restores as it was. How many were compared."""
    assert max(site.contents) in site.points("docs")
    newest = site.back_up(chance)
    for name in ("copy", "expire"):
        answer = site.run(*ACTS[name].words)
        assert answer.code == 0, (name, answer)
    offered = site.points("docs")
    assert newest in offered
    for point in offered:
        assert site.brought_back(point) == site.contents[point], point
    assert site.run("repo", "check", "docs", "--read-data").code == 0
    return len(offered)
