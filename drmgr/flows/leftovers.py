"""What a restore that is stopped in its middle leaves behind, and how it is removed: told together with the stop."""

from drmgr.errors import UsageError
from drmgr.flows.original import ToOriginal
from drmgr.flows.restoreplan import Target, ToConnection, ToFolder
from drmgr.model import SwapPhase

NOTHING = "nothing of it is left"


def left_behind(target: Target, system: str, run: str, *, loading: bool) -> str:
    """For a person. ``loading``: the target's database was begun to be filled."""
    match target:
        case ToConnection(name=name, emptied_by=emptied_by) if loading:
            return (
                f"the database of {name}, which was empty, holds what had been loaded until then, and its server the roles "
                f"that came with it; nobody uses it; empty it before the next restore: {emptied_by}"
            )
        case ToFolder():
            return _of_folder(target)
        case ToOriginal():
            return _of_swap(target, system, run)
    return NOTHING


def _of_folder(target: ToFolder) -> str:
    folder = target.folder
    if target.newest is not None and target.path.exists():
        return f"{target.path} holds the newest files, which can be used; for the rest call the same command again"
    left = [str(path) for path in (folder.partial, folder.older) if path.exists()]
    if not left:
        return NOTHING
    return f"what had come lies in {' and '.join(left)}, and is not whole; remove it before the next restore to that folder"


def _of_swap(target: ToOriginal, system: str, run: str) -> str:
    try:
        phase = target.book.read(system, run).phase
    except UsageError:
        return NOTHING
    ways = f"drmgr restore {system} --finish {run}, or --undo {run}"
    match phase:
        case SwapPhase.DROPPED:
            return f"{NOTHING}; no name has changed"
        case SwapPhase.BESIDE:
            return "no name has changed; what lies beside is taken away by the next restore in place"
        case SwapPhase.PROVEN:
            return f"no name has changed, and what was restored is proven and waits beside: {ways}"
        case SwapPhase.SWAPPED:
            return f"it is in place, and was not checked once more there: {ways}"
    return f"names may be changed in part: {ways}"
