"""``drmgr restore --undo RUN`` and ``--finish RUN``: an earlier restore in place is undone, or brought to its end."""

import typer

from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import keep_safe
from drmgr.cli.restoring.restored import done_json, show_done, show_undone, undone_json
from drmgr.cli.restoring.sure import assured
from drmgr.cli.restoring.told import told_of
from drmgr.errors import UsageError


def end(
    context: typer.Context,
    system: str,
    undo: str,
    finish: str,
    *,
    sure: tuple[str, str],
    end_sessions: bool,
    times: tuple[str, str, str, str],
) -> None:
    """``sure`` are the reason and the confirmation, ``times`` T0 to T3 as they are told.

    Raises UsageError for undo and finish at once, for a run that there is not, and for times with undo.
    """
    from drmgr.cli.restoring.inplace import original

    if undo and finish:
        raise UsageError("a restore is either undone or ended", hint="give one of --undo and --finish")
    if undo and any(times):
        raise UsageError(
            "nothing is restored by --undo, so there is no record that could hold the times of the fault",
            hint="add them to that of the restore: drmgr incident note RUN",
        )
    answers = output(context)
    with site(context) as opened, answers.progress() as progress:
        opened.loaded.job(system)
        told = told_of(*times, opened.zone)
        swap = opened.swap_book.read(system, undo or finish)
        reason, _ = assured(context, system, sure)
        where = original(opened, system, swap.sources, end_sessions=end_sessions)
        bench = opened.bench(progress)
        if undo:
            from drmgr.flows.swap import undo as put_back

            undone = put_back(
                bench, where.book, swap, where.places, reason=reason, permit=where.permit, force=end_sessions
            )
            answers.answer(undone_json(undone), lambda console: show_undone(console, undone))
            return
        from drmgr.flows.finish import finish as bring_to_end

        done = bring_to_end(bench, opened.system(system, cold=True, copy=swap.copy), where, swap, reason, told=told)
        unkept = keep_safe(opened)
    answers.answer(done_json(system, done, swap.at), lambda console: show_done(console, done))
    if unkept is not None:
        answers.note(f"drmgr: the evidence is sealed here, but: {unkept.message}")
    if done.record.verdict != "passed":
        raise typer.Exit(4)
