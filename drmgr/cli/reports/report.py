"""``drmgr report drill``: PDFs rendered from sealed evidence, and signed themselves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from drmgr.cli.context import output, site
from drmgr.errors import EvidenceError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site

Kind = Literal["drill", "record"]
Language = Literal["zh", "en"]


def register(app: typer.Typer) -> None:
    from drmgr.cli.reports.quarter import quarter
    from drmgr.cli.reports.runbook import runbook

    group = typer.Typer(help="Reports as signed PDFs.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("drill")(drill)
    group.command("quarter")(quarter)
    group.command("incident")(incident)
    group.command("runbook")(runbook)
    app.add_typer(group, name="report")


def drill(
    context: typer.Context,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Of the evidence or its run.")],
    lang: Annotated[Language, typer.Option(help="zh or en.")] = "zh",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: beside the evidence.")] = None,
    record: Annotated[bool, typer.Option("--record", help="The one-page test record instead of the report.")] = False,
) -> None:
    """The drill report (灾备恢复演练报告), or the one-page record (备份恢复测试记录), of sealed evidence."""
    from drmgr.evidence.store import find
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    answers = output(context)
    kind: Kind = "record" if record else "drill"
    with site(context) as opened:
        envelope = find(opened.evidence_directory, wanted)
        verdict = verify_path(envelope, evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE))
        if not verdict.ok:
            raise EvidenceError(f"no report is made: {verdict.reason}")
        path = write_report(opened, envelope, kind, lang, report_path(opened, envelope, kind, lang, out))
    answers.answer(
        {"report": str(path), "evidence": str(envelope)}, lambda console: console.print(str(path), soft_wrap=True)
    )


def incident(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The restore: its run, or its evidence's id or number.")],
    lang: Annotated[Language, typer.Option(help="zh or en.")] = "zh",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: beside the evidence.")] = None,
) -> None:
    """The report of an incident (真实事件恢复报告): its restore as it was sealed, and what was noted later."""
    from drmgr.cli.incident import afterwards, verified_notes
    from drmgr.evidence.notes import restore_document
    from drmgr.evidence.render import render_incident
    from drmgr.evidence.store import find

    answers = output(context)
    with site(context) as opened:
        document = restore_document(find(opened.evidence_directory, run))
        notes = verified_notes(opened, document)
        folder = out.absolute() if out else opened.evidence_directory / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{document.path.stem}-incident-{lang}.pdf"
        render_incident(document, notes, lang, path, afterwards=afterwards(opened, document))
        sign_report(opened, path)
    answers.answer(
        {"report": str(path), "evidence": str(document.path), "notes": [str(note.path) for note in notes]},
        lambda console: console.print(str(path), soft_wrap=True, markup=False),
    )


def report_path(opened: "Site", envelope: Path, kind: Kind, lang: Language, out: Path | None) -> Path:
    """Where the report of that evidence lies."""
    folder = out.absolute() if out else opened.evidence_directory / "reports"
    return folder / f"{envelope.stem}-{kind}-{lang}.pdf"


def write_report(opened: "Site", envelope: Path, kind: Kind, lang: Language, path: Path) -> Path:
    """Renders and signs. Raises ToolError without the Chinese font."""
    from drmgr.evidence.render import render_report

    path.parent.mkdir(parents=True, exist_ok=True)
    render_report(envelope, kind, lang, path)
    return sign_report(opened, path)


def sign_report(opened: "Site", path: Path) -> Path:
    """Signs the PDF with the site's key for reports."""
    from drmgr.evidence.pades import sign_pdf
    from drmgr.keystore.evidence_keys import REPORT_CERTIFICATE_FILE, report_certificate, report_private_key

    certificate = report_certificate(opened.keys_directory / REPORT_CERTIFICATE_FILE)
    sign_pdf(path, report_private_key(opened.keystore), certificate, opened.clock.now())
    return path
