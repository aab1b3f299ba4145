"""A repository that is not where recovery points of it are remembered: what to do before anybody begins it anew."""

from typing import TYPE_CHECKING

from drmgr.errors import DrmgrError, RepositoryMissingError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site


def remembered(opened: "Site", system: str, copy: str = "") -> int:
    """How many recovery points, without those that have expired, were there."""
    memory = opened.care_book.memory(copy) if copy else opened.catalog
    return len(memory.seals(system))


def lost_hint(opened: "Site", system: str, copy: str = "") -> str:
    """The ways back to the points that are remembered of that place; empty when there are none, or nobody can tell."""
    try:
        if not remembered(opened, system, copy):
            return ""
    except DrmgrError:
        # the store's own error matters more than that of the catalog
        return ""
    if copy:
        return f"is its disk mounted? If it is lost for good: drmgr repo copy {system} --to {copy} --anew"
    if opened.config.store.kind == "s3":
        ways = [f"bring its objects back: drmgr repo rewind {system} --to TIME --dry-run"]
    else:
        ways = ["is its disk mounted? (of a bucket, drmgr repo rewind brings objects back)"]
    ways += [
        f"see what its copy has: drmgr points {system} --from-copy {name}" for name in sorted(opened.config.copies)
    ]
    return "; ".join([*ways, f"only if it is lost for good: drmgr repo init {system} --anew"])


def refuse_lost(opened: "Site", system: str) -> None:
    """Raises RepositoryMissingError when the repository is gone though points of it are remembered."""
    count = remembered(opened, system)
    if not count:
        return
    repository = opened.repository(system)
    try:
        repository.probe()
    except RepositoryMissingError as error:
        raise RepositoryMissingError(
            f"the repository of {system} is not at {repository.location}, and {count} recovery points of it are remembered",
            hint=error.hint,
        ) from error
