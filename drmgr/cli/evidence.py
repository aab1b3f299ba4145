"""``drmgr evidence``: list, show, verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import EvidenceError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Signed evidence of drills and restores.", no_args_is_help=True)
    group.command("list")(list_evidence)
    group.command("show")(show)
    group.command("verify")(verify)
    app.add_typer(group, name="evidence")


def list_evidence(context: typer.Context) -> None:
    """All sealed documents, oldest first."""
    answers = output(context)
    with site(context) as opened:
        entries, zone = opened.catalog.evidence(), opened.zone
    document = [
        {
            "id": entry.id,
            "run": entry.run,
            "sequence": entry.sequence,
            "name": entry.name,
            "verdict": str(entry.verdict),
            "sealed_at": entry.sealed_at.isoformat(),
            "path": entry.path,
            "sha256": entry.sha256,
        }
        for entry in entries
    ]

    def show_list(console: "Console") -> None:
        from drmgr.cli.output import human_time, table

        rows = [
            [str(entry.sequence), entry.id, entry.name, str(entry.verdict), human_time(entry.sealed_at, zone)]
            for entry in entries
        ]
        table(console, ["no.", "id", "drill or restore", "verdict", f"sealed at ({zone})"], rows)

    answers.answer({"evidence": document}, show_list)


def show(
    context: typer.Context, wanted: Annotated[str, typer.Argument(metavar="ID", help="Of the document or its run.")]
) -> None:
    """Print one document's statement, after verifying its signature."""
    import json

    from drmgr.evidence.store import find, load_document
    from drmgr.evidence.verify import verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    answers = output(context)
    with site(context) as opened:
        path = find(opened.evidence_directory, wanted)
        verdict = verify_path(path, evidence_public_key(opened.keys_directory / EVIDENCE_PUBLIC_FILE))
        if not verdict.ok:
            raise EvidenceError(verdict.reason)
        statement = load_document(path).statement
    answers.answer(
        statement, lambda console: console.print(json.dumps(statement, ensure_ascii=False, indent=2), markup=False)
    )


def verify(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Documents to verify.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All documents, and the chain through them.")] = False,
    key: Annotated[Path | None, typer.Option(help="Public key to verify against, if not the site's own copy.")] = None,
) -> None:
    """Prove that evidence is what was sealed. Needs the public key only.

    Exit 0: all proven. 23: something was changed, is missing, or was signed by another key.
    """
    from drmgr.evidence.verify import verify_all, verify_path
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key

    if bool(paths) == everything:
        raise UsageError("name the documents, or say --all")
    answers = output(context)
    with site(context) as opened:
        public_key = evidence_public_key(key or opened.keys_directory / EVIDENCE_PUBLIC_FILE)
        if everything:
            found = verify_all(opened.evidence_directory, public_key, opened.catalog.evidence())
            document = found.to_json()
        else:
            verdicts = [verify_path(path, public_key) for path in paths or []]
            rows = [{"path": str(each.path), "ok": each.ok, "reason": each.reason} for each in verdicts]
            document = {"ok": all(each.ok for each in verdicts), "documents": rows, "chain": None}
    answers.answer(document, lambda console: _show_verdicts(console, document))
    if not document["ok"]:
        raise typer.Exit(EvidenceError.exit_code)


def _show_verdicts(console: "Console", document: Json) -> None:
    from drmgr.cli.output import table

    rows = [[Path(each["path"]).name, "ok" if each["ok"] else "fail", each["reason"]] for each in document["documents"]]
    table(console, ["document", "state", "finding"], rows)
    chain = document["chain"]
    if chain:
        console.print(f"chain of {chain['length']}: {'unbroken' if chain['ok'] else 'BROKEN'}")
        for gap in chain["gaps"]:
            console.print(f"  no. {gap['sequence']}: {gap['reason']}", markup=False)
