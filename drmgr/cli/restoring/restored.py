"""What ``drmgr restore`` answers once it is done."""

from typing import TYPE_CHECKING

from drmgr.model import Json, SwapPhase, swap_to_json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.flows.restore import RestoreDone
    from drmgr.model import Instance, Outcome, Swap, Timeline


def check_json(check: Json) -> Json:
    return {
        "name": check.name,
        "status": str(check.status),
        "level": int(check.level),
        "expected": check.expected,
        "actual": check.actual,
        "seconds": check.seconds,
        "message": check.message,
    }


def done_json(system: str, done: "RestoreDone", at: str = "") -> Json:
    from drmgr.system.clock import rfc3339

    outcome = done.outcome
    instances = {name: _instance_json(instance) for name, instance in done.instances.items()}
    databases = [value for value in instances.values() if value["database"]]
    return {
        "run": done.record.run,
        "system": system,
        "status": "ok" if done.record.verdict == "passed" else "failed",
        "target": done.record.target,
        "point": outcome.point.id if outcome.point else None,
        "at": at or (rfc3339(outcome.point.consistent_at) if outcome.point else None),
        "usable_at": rfc3339(outcome.timeline.t5) if outcome.timeline.t5 else None,
        "seconds": _took(outcome),
        **course_json(outcome),
        "phases": [
            {"name": phase.name, "source": phase.source, "seconds": round(phase.seconds, 3)} for phase in outcome.phases
        ],
        "verified": {"level": int(outcome.level), "checks": [check_json(check) for check in outcome.checks]},
        "instance": databases[0] if databases else None,
        "instances": instances,
        "evidence": done.evidence.path,
        "swap": None if done.swap is None else swap_to_json(done.swap),
        "by_hand": list(done.by_hand),
    }


def _usable_after(outcome: "Outcome") -> float | None:
    """Seconds from the beginning of the command to T5."""
    line = outcome.timeline
    return None if line.t5 is None or line.begun is None else max(0.0, (line.t5 - line.begun).total_seconds())


def _took(outcome: "Outcome") -> float | None:
    """How long the command took to the verified data, whenever the fault was."""
    line, measured = outcome.timeline, outcome.rto.measured
    if measured is None or line.t0 is None or line.begun is None:
        return measured
    return round(measured - (line.begun - line.t0).total_seconds(), 3)


def times_json(line: "Timeline") -> dict[str, Json]:
    """T0 to T6; None for what was not reached or not told."""
    from drmgr.system.clock import rfc3339

    times = {name: getattr(line, name) for name in ("t0", "t1", "t2", "t3", "t4", "t5", "t6")}
    return {name: None if at is None else rfc3339(at) for name, at in times.items()}


def course_json(outcome: "Outcome") -> Json:
    """T0 to T6, and what they come to."""
    line = outcome.timeline
    return {
        "times": times_json(line),
        "counted_from": line.counted_from,
        **{
            name: {"target": measure.target, "measured": measure.measured, "met": met}
            for name, measure, met in (
                # counted from later than the fault, time within the objective proves nothing
                ("rto", outcome.rto, None if line.t0 is None and outcome.rto.met else outcome.rto.met),
                # what is of after the fault may hold its damage
                ("rpo", outcome.rpo, None if line.after_fault else outcome.rpo.met),
            )
        },
        "after_fault": line.after_fault,
    }


def undone_json(swap: "Swap") -> Json:
    return {"system": swap.system, "status": "ok", "target": "original", "swap": swap_to_json(swap)}


def show_undone(console: "Console", swap: "Swap") -> None:
    if not swap.moves:
        console.print("nothing had another name; what was brought beside is gone", markup=False)
        return
    console.print(f"undone: the restore {swap.run} of {swap.system}", markup=False)
    _show_moves(console, swap)


def _show_swap(console: "Console", swap: "Swap", by_hand: tuple[str, ...] = ()) -> None:
    if swap.phase is not SwapPhase.SWAPPED:
        console.print(f"\nnothing has another name: a check failed, and what was brought is {swap.phase}", markup=False)
        console.print("in spite of it: --accept-failed-checks", markup=False)
        return
    console.print()
    _show_moves(console, swap)
    again = f'drmgr restore {swap.system} --finish {swap.run} --confirm {swap.system} --reason "…"'
    for line in (*by_hand, *((again,) if by_hand else ())):
        console.print(f"now type  {line}", markup=False, soft_wrap=True)
    undo = f'drmgr restore {swap.system} --undo {swap.run} --confirm {swap.system} --reason "…"'
    console.print(f"put back  {undo}", markup=False, soft_wrap=True)


def _show_moves(console: "Console", swap: "Swap") -> None:
    for move in swap.moves:
        word = "set aside" if move.kept else "in place "
        console.print(f"{word} {move.source}: {move.old} is {move.new} now", markup=False, soft_wrap=True)


def _instance_json(instance: "Instance") -> Json:
    return {
        "engine": instance.engine,
        "socket": str(instance.socket) if instance.socket else None,
        "host": instance.host,
        "port": instance.port,
        "database": instance.database or None,
        "user": instance.user or None,
        # that of a connection is drmgr's own and ends with the command
        "passfile": str(instance.passfile) if instance.passfile and instance.passfile.exists() else None,
        "path": str(instance.path) if instance.path else None,
    }


def show_done(console: "Console", done: "RestoreDone") -> None:
    from drmgr.cli.output import human_seconds, pairs, table

    outcome = done.outcome
    table(
        console,
        ["check", "level", "status", "finding"],
        [[check.name, str(int(check.level)), str(check.status), _finding(check)] for check in outcome.checks],
        only="finding",
    )
    console.print()
    pairs(
        console,
        {
            "verdict": str(done.record.verdict),
            "recovery point": outcome.point.id if outcome.point else "-",
            "verified to level": str(int(outcome.level)),
            "usable after": human_seconds(_usable_after(outcome)),
            "took": "the rest is on its way" if done.rest else human_seconds(_took(outcome)),
            **_since_fault(done),
            "evidence": done.evidence.path,
        },
    )
    if done.swap is not None:
        _show_swap(console, done.swap, done.by_hand)
        return
    for name, instance in done.instances.items():
        shown = {key: str(value) for key, value in _instance_json(instance).items() if value is not None}
        console.print(f"\n{name}:", markup=False)
        pairs(console, shown)
        if instance.socket and instance.passfile and shown.get("passfile"):
            console.print(f"open it   {_opening(instance)}", markup=False, soft_wrap=True)


def _since_fault(done: "RestoreDone") -> dict[str, str]:
    """Of an incident: how long it was since the fault, or that nobody said when it was."""
    from drmgr.cli.output import human_seconds

    line = done.outcome.timeline
    if done.record.occasion != "incident":
        return {}
    if line.t0 is None:
        return {"since the fault": "nobody said when it was (--fault-at, or later: drmgr incident note)"}
    later = (
        {"BEWARE": "what came back is of after the fault: its damage may be in the data"} if line.after_fault else {}
    )
    return {"since the fault": human_seconds(done.outcome.rto.measured), **later}


def _opening(instance: "Instance") -> str:
    """What a person types to look into a kept instance."""
    if instance.engine == "mariadb":
        place = f"--user={instance.user} --socket={instance.socket}/mysqld.sock {instance.database}"
        return f"mariadb --defaults-file={instance.passfile} {place}"
    place = f"host={instance.socket} user={instance.user} dbname={instance.database}"
    return f'psql "{place} passfile={instance.passfile}"'


def _finding(check: Json) -> str:
    """What was found; what was expected too where the check did not pass."""
    if check.message:
        return str(check.message)
    found = _short(check.actual)
    return found if check.status in {"pass", "skipped"} else f"{found}; expected {_short(check.expected)}"


def _short(value: Json) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(each)}" for key, each in value.items() if each)
    return "-" if value is None else str(value)
