"""Names are changed one after the other, each written down before it is; what was broken off is ended or undone."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from drmgr.errors import DrmgrError, InUseError, NotAllowedError, PreflightError, UsageError
from drmgr.flows.bench import Bench, Recorder, recorded
from drmgr.interfaces import Place, SwapBook
from drmgr.model import AuditResult, Move, RunKind, Swap, SwapPhase, move_to_json
from drmgr.system.beside import STOP_PROGRAMS
from drmgr.system.stopping import undisturbed

Places = Mapping[str, Place]


class Swapper:
    """Changes names for one run; ``run`` is the one that does it now, which need not be the one that began."""

    def __init__(self, bench: Bench, book: SwapBook, places: Places, run: str, *, end_sessions: bool) -> None:
        self._bench = bench
        self._book = book
        self._places = places
        self._run = run
        self._end_sessions = end_sessions

    def refuse_in_use(self, sources: tuple[str, ...]) -> None:
        """Raises InUseError when others hold one of the sources, and their sessions may not be ended, or cannot be.

        All sources are asked before the first session is ended: nobody is thrown out for a swap that will not come.
        """
        for source in sources:
            if programs := self._places[source].programs():
                raise InUseError(f"programs work in {source} now: {', '.join(programs)}", hint=STOP_PROGRAMS)
        for source in () if self._end_sessions else sources:
            users = self._places[source].users()
            if users:
                raise InUseError(f"{users} sessions or programs work in {source} now, and would be cut off")

    def go(self, swap: Swap, phases: tuple[SwapPhase, SwapPhase]) -> Swap:
        """Does all moves of the swap that are not done. Raises what a move raises; then ``go`` can be called again."""
        swap = replace(swap, phase=phases[0])
        # seconds, in which a polite signal waits: half a swap is what nobody wants
        with undisturbed():
            self._book.write(swap)
            for move in swap.moves:
                place = self._places[move.source]
                if not place.done(move):
                    self._rename(swap, place, move)
            undone = self._bench.clock.now() if phases[1] is SwapPhase.UNDONE else None
            swap = replace(swap, phase=phases[1], undone_at=undone)
            self._book.write(swap)
        return swap

    def together(self, swap: Swap) -> Swap:
        """``go`` from what is proven: when one move fails, all names are as they were, and the proven waits beside.

        Raises what the move raised, with a hint that says how things stand.
        """
        how = f"end it: drmgr restore {swap.system} --finish {swap.run}; or give it up: --undo {swap.run}"
        try:
            self.refuse_in_use(swap.sources)
            return self.go(swap, (SwapPhase.SWAPPING, SwapPhase.SWAPPED))
        except DrmgrError as error:
            stopped = self._book.read(swap.system, swap.run)
            if stopped.phase is SwapPhase.SWAPPING:
                try:
                    self.back(stopped)
                except DrmgrError as worse:
                    error.hint = f"names are changed in part, and could not be changed back ({worse.message}); {how}"
                    raise error from worse
                self._book.write(replace(swap, phase=SwapPhase.PROVEN))
            why = f"; but first: {error.hint}" if isinstance(error, InUseError) else ""
            error.hint = f"all names are as they were, and what was restored is proven and waits beside; {how}{why}"
            raise

    def back(self, swap: Swap) -> Swap:
        """All that was renamed gets its old name again, the last one first."""
        if swap.phase is not SwapPhase.UNDOING:
            for move in swap.moves:
                if self._places[move.source].begun(move):
                    # half of it here and half there is nothing that can be turned round
                    self._rename(swap, self._places[move.source], move)
            done = [move for move in swap.moves if self._places[move.source].done(move)]
            swap = replace(swap, moves=tuple(move.back for move in reversed(done)))
        return self.go(swap, (SwapPhase.UNDOING, SwapPhase.UNDONE))

    def _rename(self, swap: Swap, place: Place, move: Move) -> None:
        detail = {"restore": swap.run, **move_to_json(move)}
        record = self._bench.audit.record
        record("rename", swap.system, AuditResult.STARTED, why=swap.reason, run=self._run, detail=detail)
        place.rename(move, end_sessions=self._end_sessions)
        record("rename", swap.system, AuditResult.OK, why=swap.reason, run=self._run, detail=detail)


def refuse_unfinished(book: SwapBook, system: str) -> None:
    """Raises PreflightError while an earlier restore in place is broken off in the middle, or waits to be put in place."""
    for swap in book.all(system):
        if swap.broken_off or swap.phase is SwapPhase.PROVEN:
            state = "was broken off between two renames" if swap.broken_off else "is proven and not yet in place"
            raise PreflightError(
                f"the restore {swap.run} of {system} {state}",
                hint=f"end it: drmgr restore {system} --finish {swap.run}; or undo it: --undo {swap.run}",
            )


def clear_leftovers(bench: Bench, book: SwapBook, system: str, places: Places) -> None:
    """What a killed restore had brought beside, and nobody had proven, goes."""
    for swap in book.all(system):
        if swap.phase is SwapPhase.BESIDE and set(swap.sources) <= set(places):
            drop(bench, book, swap, places)


def drop(bench: Bench, book: SwapBook, swap: Swap, places: Places) -> None:
    """Takes away what lies beside and was never in use. Raises UsageError once it was proven."""
    if swap.phase is not SwapPhase.BESIDE:
        raise UsageError(f"what the restore {swap.run} brought is no leftover: it is {swap.phase}")
    for source in swap.sources:
        places[source].discard(swap.run)
    book.write(replace(swap, phase=SwapPhase.DROPPED))
    bench.audit.record("discard", swap.system, AuditResult.OK, why=swap.reason, run=swap.run)


def undo(
    bench: Bench, book: SwapBook, swap: Swap, places: Places, *, reason: str, permit: Callable[[], None], force: bool
) -> Swap:
    """Puts back what a restore in place had set aside; what it had brought is kept under the name it had beside.

    ``force`` ends the sessions of others. Raises NotAllowedError, InUseError, UsageError.
    """
    with recorded(bench, RunKind.RESTORE, swap.system, reason) as run, bench.locks.hold(f"restore-{swap.system}"):
        run.detail.update(undo=swap.run, target="original", reason=reason)
        permit()
        # another command may have ended or undone it before we had the lock
        swap = book.read(swap.system, swap.run)
        _refuse_undo(book, swap)
        swapper = Swapper(bench, book, places, run.run.id, end_sessions=force)
        if swap.phase is SwapPhase.PROVEN:
            # nothing has another name yet
            drop(bench, book, replace(swap, phase=SwapPhase.BESIDE), places)
            return book.read(swap.system, swap.run)
        swapper.refuse_in_use(swap.sources)
        undone = swapper.back(swap)
        _tell(run, undone)
        return undone


def _refuse_undo(book: SwapBook, swap: Swap) -> None:
    undoable = (SwapPhase.PROVEN, SwapPhase.SWAPPING, SwapPhase.SWAPPED, SwapPhase.UNDOING)
    if swap.phase not in undoable:
        raise UsageError(f"there is nothing to undo: the restore {swap.run} is {swap.phase}")
    for other in book.all(swap.system):
        later = other.run > swap.run and set(other.sources) & set(swap.sources)
        if later and (other.broken_off or other.phase is SwapPhase.SWAPPED):
            raise NotAllowedError(
                f"the restore {other.run} came after {swap.run} and stands on it", hint=f"undo {other.run} first"
            )


def _tell(run: Recorder, swap: Swap) -> None:
    run.detail.update(moves=[move_to_json(move) for move in swap.moves])
