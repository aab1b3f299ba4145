"""``drmgr doctor``: everything a backup or a restore will need, looked at before it is needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from drmgr.cli.checkup.beatfindings import schedule_findings
from drmgr.cli.checkup.doctor_logs import look_at_logs
from drmgr.cli.checkup.doctor_targets import LEAST_FREE, look_at_targets
from drmgr.cli.context import output, site
from drmgr.cli.recovery.safekeeping import kit_state
from drmgr.cli.repositories.lockstate import look_at_locks
from drmgr.errors import DrmgrError, PreflightError
from drmgr.model import Json
from drmgr.system.files import free_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site

LARGEST_OFFSET = 5.0
"""Seconds that our clock and the object store's may differ before records stop being comparable."""


@dataclass(frozen=True)
class Finding:
    """One line: ``state`` is ok, warn or fail."""

    name: str
    state: str
    detail: str
    hint: str = ""


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(context: typer.Context) -> None:
    """Look at tools, keys, sources, repositories, restore targets, clock and disks. Changes nothing but a probe of
    a few bytes in a bucket that locks objects, which it tries to delete.

    Exit 0: nothing failed. 11: something did.
    """
    answers = output(context)
    with site(context) as opened:
        findings = list(_look_at_all(opened))
    ok = all(finding.state != "fail" for finding in findings)
    document = {"ok": ok, "findings": [vars(finding) for finding in findings]}
    answers.answer(document, lambda console: _show(console, findings))
    if not ok:
        raise typer.Exit(PreflightError.exit_code)


def _show(console: "Console", findings: list[Finding]) -> None:
    from drmgr.cli.output import table

    rows = [[finding.state, finding.name, finding.detail] for finding in findings]
    table(console, ["", "what", "finding"], rows, only="finding")
    for finding in findings:
        if finding.hint:
            console.print(f"HINT ({finding.name}): {finding.hint}", markup=False)


def _look_at_all(opened: "Site") -> Iterator[Finding]:
    from drmgr.cli.wiring.trees import left_hooks

    yield from _tools(opened)
    yield _asked("keys", lambda: f"{_opened_keys(opened)} keys, each opens")
    yield _asked("catalog", lambda: f"{len(opened.catalog.evidence())} evidence documents remembered")
    if opened.bucket is not None:
        yield from _store(opened)
    else:
        yield Finding(
            "evidence anchors",
            "warn",
            "none outside this store: only recovery points know how much evidence there is",
            "a bucket with object_lock as the store keeps anchors that nobody can remove",
        )
    yield _asked("recovery kit", lambda: kit_state(opened))
    for name in sorted(opened.loaded.jobs):
        yield from _system(opened, name)
    yield from (Finding(*line) for line in look_at_targets(opened))
    yield from (Finding(*line) for line in (*left_hooks(opened), *schedule_findings(opened)))
    if opened.config.scratch.sqlserver is not None:
        from drmgr.cli.wiring.engines import prove_sqlserver_scratch

        yield _asked("scratch SQL Server", lambda: prove_sqlserver_scratch(opened))
    for what, place in (("state", opened.state), ("scratch", opened.place(opened.config.scratch.directory))):
        free = free_bytes(place)
        state = "ok" if free >= LEAST_FREE else "warn"
        yield Finding(
            f"disk of {what}", state, f"{free / (1 << 30):.1f} GiB free", "" if state == "ok" else "make room"
        )


def _asked(name: str, ask: Callable[[], Json]) -> Finding:
    """A finding from a question that raises when the answer is bad."""
    try:
        return Finding(name, "ok", str(ask()))
    except DrmgrError as error:
        return Finding(name, "fail", error.message, error.hint)


def _tools(opened: "Site") -> Iterator[Finding]:
    from drmgr.repository.restic import restic_version

    yield _asked("restic", lambda: restic_version(opened.runner, opened.config.restic.program))
    yield _asked("report fonts", _fonts)


def _fonts() -> str:
    import typst

    from drmgr.evidence.render import require_fonts

    require_fonts(typst.Fonts(include_system_fonts=True))
    return "Chinese fonts are there"


def _opened_keys(opened: "Site") -> int:
    opened.keystore.verify()
    return len(opened.keystore.names())


def _store(opened: "Site") -> Iterator[Finding]:
    bucket = opened.bucket
    assert bucket is not None
    try:
        theirs = bucket.probe()
    except DrmgrError as error:
        yield Finding("object store", "fail", error.message, error.hint)
        return
    yield Finding("object store", "ok", f"bucket {bucket.settings.name} answers")
    for found in look_at_locks(opened, sorted(opened.loaded.jobs)):
        yield Finding(found.name, found.state, found.detail, found.hint)
    if theirs is not None:
        offset = abs((datetime.now(UTC) - theirs).total_seconds())
        state = "ok" if offset <= LARGEST_OFFSET else "fail"
        yield Finding(
            "clock", state, f"{offset:.0f} s from the object store's", "" if state == "ok" else "run an NTP client"
        )


def _system(opened: "Site", name: str) -> Iterator[Finding]:
    from drmgr.cli.wiring.trees import make_pause

    def open_repository() -> str:
        opened.repository(name).probe()
        return "opens"

    yield _asked(f"{name}: repository", open_repository)
    for source in opened.loaded.job(name).sources:
        # an engine is made inside the question: its secrets may be missing
        def ask(source: Json = source) -> str:
            opened.engine(source.connection, source, opened.loaded.job(name)).preflight()
            return "can be backed up"

        yield (asked := _asked(f"{name}: {source.name}", ask))
        if asked.state == "ok":
            yield from (Finding(*found) for found in look_at_logs(opened, name, source))
    pause = make_pause(opened, opened.loaded.job(name))
    if pause is not None:
        held = pause

        def ask_pause() -> str:
            held.preflight()
            return "can be held"

        yield _asked(f"{name}: pause", ask_pause)
