"""``drmgr audit``: who did what to the backups, and the proof that nobody changed the record of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import DrmgrError, EvidenceError, Interrupted, RepositoryError, UsageError
from drmgr.model import AuditResult, Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.wiring.wire import Site
    from drmgr.state.audit_lines import Anchor
    from drmgr.state.audit_verify import AuditVerdict
    from drmgr.state.audit_watch import AuditWatch


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The signed record of every act on the backups.", no_args_is_help=True)
    group.command("show")(show)
    group.command("verify")(verify)
    group.command("accept")(accept)
    app.add_typer(group, name="audit")


@contextmanager
def audited(opened: "Site", act: str, *, system: str = "", why: str = "") -> Iterator[dict[str, Json]]:
    """Writes into the audit log that the block begins and how it ended; what is put into the dict stands in the end's line.

    Raises EvidenceError before the block when the log cannot be written.
    """
    opened.audit.record(act, system, AuditResult.STARTED, why=why)
    detail: dict[str, Json] = {}
    result, code = AuditResult.FAILED, "bug"
    try:
        yield detail
        result, code = AuditResult.OK, ""
    except Interrupted as stop:
        result, code = AuditResult.INTERRUPTED, stop.code
        raise
    except DrmgrError as error:
        code = error.code
        raise
    finally:
        opened.audit.record(act, system, result, why=why, error=code or None, detail=detail)


def anchor_daily(opened: "Site") -> RepositoryError | None:
    """Once a day puts the log's head into the bucket, where its lock keeps it. Gives back what the store refused."""
    from drmgr.keystore.evidence_keys import audit_private_key
    from drmgr.state.audit_lines import anchor_bytes, anchor_name
    from drmgr.system.clock import rfc3339

    now, head = opened.clock.now(), opened.catalog.audit_head(opened.host)
    last = opened.catalog.audit_anchored_at(opened.host)
    done_today = last is not None and last.astimezone(opened.zone).date() == now.astimezone(opened.zone).date()
    if opened.bucket is None or head is None or done_today:
        return None
    content = anchor_bytes(head, opened.host, rfc3339(now), audit_private_key(opened.keystore))
    try:
        opened.bucket.put_anchor(opened.store_prefix, anchor_name(head), content)
    except RepositoryError as error:
        return error
    opened.catalog.remember_audit_anchor(opened.host, now)
    return None


def show(
    context: typer.Context,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="How many lines, the newest.")] = 20,
) -> None:
    """The newest lines of the audit log, oldest first. Proves nothing: see audit verify."""
    from drmgr.state.audit_verify import last_lines

    answers = output(context)
    with site(context) as opened:
        lines, zone = last_lines(opened.audit_file, last), opened.zone

    def show_lines(console: "Console") -> None:
        from datetime import datetime

        from drmgr.cli.output import human_time, table

        rows = [
            [
                str(line["sequence"]),
                human_time(datetime.fromisoformat(line["at"]), zone),
                f"{line['who']['operator']}@{line['who']['host']}",
                " ".join(part for part in (line["act"], line["system"]) if part),
                line["result"] + (f" ({line['error']})" if line["error"] else ""),
                line["why"],
            ]
            for line in lines
        ]
        table(console, ["no.", f"at ({zone})", "who", "act", "result", "why"], rows)

    answers.answer({"lines": lines}, show_lines)


def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A copy of a log; then --key is needed, and no site file.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The public key, audit.pub.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the bucket for anchors.")] = False,
) -> None:
    """Prove that no line of the audit log was edited, removed, inserted, moved or cut off.

    Needs the public key only. The log's end is held against the catalog, and against the anchors in the bucket, so that
    an older log put back in its place shows. A copy of the file alone cannot prove its end.

    Exit 0: all proven. 23: something was changed; each place is named.
    """
    from drmgr.keystore.evidence_keys import AUDIT_PUBLIC_FILE, evidence_public_key
    from drmgr.state import audit_verify

    answers = output(context)
    if file is not None:
        if key is None:
            raise UsageError("name the public key with --key")
        verdict = audit_verify.verify(file, evidence_public_key(key))
        document = _verdict_json(file, verdict, [], [])
    else:
        with site(context) as opened:
            path = opened.audit_file
            public_key = evidence_public_key(key or opened.keys_directory / AUDIT_PUBLIC_FILE)
            # before the file: the log may only be ahead of what is remembered
            anchors, strange = _anchors(opened, public_key, offline=offline)
            document = _verdict_json(path, audit_verify.verify(path, public_key, anchors), anchors, strange)
    answers.answer(document, lambda console: _show_verdict(console, document))
    if not document["ok"]:
        raise typer.Exit(EvidenceError.exit_code)


def accept(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="What was found out about it; kept in the log.")] = "",
) -> None:
    """Have what is wrong with the audit log by now no longer be trouble for status: somebody looked into it.

    Nothing is mended: audit verify names every place for ever, and status tells what is done to the log from now on.
    """
    from drmgr.cli.recovery.safekeeping import begin_installation

    if not reason.strip():
        raise UsageError("to accept a broken audit log, say what was found out", hint="use --reason TEXT")
    answers = output(context)
    with site(context) as opened, audited(opened, "audit.accept", why=reason) as said:
        verdict = watch_of(opened).accept(remembered(opened), opened.clock.now())
        # what is kept of it beside the repositories is of another log than this one
        begin_installation(opened.state)
        said["faults"] = verdict.faults
    document = {"accepted": verdict.faults, "findings": [each.reason for each in verdict.findings]}

    def show_accepted(console: "Console") -> None:
        console.print(f"{verdict.faults} faults of the audit log are accepted: {reason}", markup=False)
        for finding in verdict.findings:
            console.print(f"  {finding.reason}", markup=False, soft_wrap=True)

    answers.answer(document, show_accepted)


def remembered(opened: "Site") -> "list[Anchor]":
    """The newest line that the catalog knows."""
    from drmgr.state.audit_lines import CATALOG, Anchor

    head = opened.catalog.audit_head(opened.host)
    return [] if head is None else [Anchor(CATALOG, head)]


def watch_of(opened: "Site") -> "AuditWatch":
    """What looks whether the log is still what was written. Raises KeystoreError."""
    from drmgr.keystore.evidence_keys import audit_private_key
    from drmgr.state.audit_watch import AuditWatch

    return AuditWatch(opened.audit_file, opened.audit_note, audit_private_key(opened.keystore))


def _anchors(opened: "Site", key: Json, *, offline: bool) -> tuple[list["Anchor"], list[str]]:
    """The heads that are remembered outside the log, and what is wrong with some of them."""
    from drmgr.state.audit_lines import read_anchor

    found = remembered(opened)
    strange: list[str] = []
    if opened.bucket is None or offline:
        return found, strange
    for name, content in opened.bucket.anchors(opened.store_prefix):
        try:
            anchor = read_anchor(name, content, opened.host, key)
        except (ValueError, LookupError, TypeError) as error:
            strange.append(f"the anchor {name} in the bucket proves nothing: {error}")
            continue
        if anchor is not None:
            found.append(anchor)
    return found, strange


def _verdict_json(path: Path, verdict: "AuditVerdict", anchors: list["Anchor"], strange: list[str]) -> dict[str, Json]:
    from dataclasses import asdict

    from drmgr.state.audit_lines import CATALOG

    findings = [asdict(finding) for finding in verdict.findings]
    findings += [{"line": None, "sequence": None, "reason": reason} for reason in strange]
    return {
        "ok": verdict.ok and not strange,
        "log": str(path),
        "lines": verdict.lines,
        "head": None if verdict.head is None else asdict(verdict.head),
        "compared": {
            "catalog": any(anchor.where == CATALOG for anchor in anchors),
            "anchors": sum(anchor.where != CATALOG for anchor in anchors),
        },
        "faults": verdict.faults + len(strange),
        "findings": findings,
        "notes": verdict.notes,
    }


def _show_verdict(console: "Console", document: dict[str, Json]) -> None:
    compared = document["compared"]
    by = ["the key", *(["the catalog"] if compared["catalog"] else [])]
    by += [f"{compared['anchors']} anchors"] if compared["anchors"] else []
    state = "ok" if document["ok"] else "NOT what was written"
    console.print(
        f"{document['log']}: {document['lines']} lines, {state}; held against {', '.join(by)}",
        markup=False,
        soft_wrap=True,
    )
    for finding in document["findings"]:
        console.print(f"  {finding['reason']}", markup=False, soft_wrap=True)
    if document["faults"] > len(document["findings"]):
        console.print(f"  and {document['faults'] - len(document['findings'])} more")
    for note in document["notes"]:
        console.print(f"  note: {note}", markup=False, soft_wrap=True)
