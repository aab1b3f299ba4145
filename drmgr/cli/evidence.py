"""``drmgr evidence``: list, show, verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import EvidenceError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
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
    from drmgr.cli.output import show_json
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
    answers.answer(statement, lambda console: show_json(console, statement))


def verify(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Documents, or one folder.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of this site's documents, and their chain.")] = False,
    key: Annotated[Path | None, typer.Option(help="Public key to verify against; then no site file is needed.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask bucket and repositories for anchors.")] = False,
) -> None:
    """Prove that evidence is what was sealed. Needs the public key only.

    With --all the chain is also held against what the catalog remembers, against the anchors in the bucket, and against
    what recovery points sealed of it, so that removed documents show, also when the catalog was removed with them. An auditor
    with nothing but a copy of the evidence folder and the public key names the folder and --key.

    Exit 0: all proven. 23: something was changed, is missing, or was signed by another key.
    """
    from drmgr.keystore.evidence_keys import evidence_public_key

    if bool(paths) == everything:
        raise UsageError("name the documents, or say --all")
    answers = output(context)
    if key is not None and paths:
        document = _verified(paths, evidence_public_key(key))
    else:
        document = _verified_at_site(context, paths or [], key, offline=offline)
    answers.answer(document, lambda console: _show_verdicts(console, document))
    if not document["ok"]:
        raise typer.Exit(EvidenceError.exit_code)


def _verified_at_site(context: typer.Context, paths: list[Path], key: Path | None, *, offline: bool) -> Json:
    from drmgr.cli.watching.sealed_heads import anchors_of, asked_points
    from drmgr.evidence.anchor import read_anchors
    from drmgr.evidence.chain import first_id
    from drmgr.evidence.verify import verify_all
    from drmgr.keystore.evidence_keys import EVIDENCE_PUBLIC_FILE, evidence_public_key
    from drmgr.repository.bucket import EVIDENCE_FOLDER

    with site(context) as opened:
        public_key = evidence_public_key(key or opened.keys_directory / EVIDENCE_PUBLIC_FILE)
        if paths:
            return _verified(paths, public_key)
        # before the documents: these may only be ahead of what is remembered
        found = [] if opened.bucket is None or offline else opened.bucket.anchors(opened.store_prefix, EVIDENCE_FOLDER)
        anchored, strange = read_anchors(found, public_key)
        points, silent = ([], []) if offline else asked_points(opened)
        sealed = anchors_of(points, opened.host, first_id(opened.evidence_directory))
        document = verify_all(
            opened.evidence_directory, public_key, opened.catalog.evidence(), [*anchored, *sealed]
        ).to_json()
    document["chain"]["gaps"] += [{"sequence": 0, "reason": reason} for reason in strange]
    document["chain"]["ok"] &= not strange
    compared = {"catalog": True, "anchors": len(anchored), "sealed": len(sealed), "not_asked": silent}
    return {**document, "ok": document["ok"] and not strange, "compared": compared}


def _verified(paths: list[Path], public_key: "Ed25519PublicKey") -> Json:
    from drmgr.evidence.verify import verify_all, verify_path

    if len(paths) == 1 and paths[0].is_dir():
        return verify_all(paths[0], public_key, None).to_json()
    verdicts = [verify_path(path, public_key) for path in paths]
    rows = [{"path": str(each.path), "ok": each.ok, "reason": each.reason} for each in verdicts]
    return {"ok": all(each.ok for each in verdicts), "documents": rows, "chain": None}


def _show_verdicts(console: "Console", document: Json) -> None:
    from drmgr.cli.output import table

    rows = []
    for each in document["documents"]:
        path = Path(each["path"])
        rows.append([path.stem, "ok" if each["ok"] else "fail", each["reason"].removeprefix(f"{path.name}: ")])
    table(console, ["document", "state", "finding"], rows)
    chain = document["chain"]
    if chain:
        console.print(f"chain of {chain['length']}: {'unbroken' if chain['ok'] else 'BROKEN'}")
        for gap in chain["gaps"]:
            console.print(f"  no. {gap['sequence']}: {gap['reason']}", markup=False)
    for silent in document.get("compared", {}).get("not_asked", ()):
        console.print(f"  not compared with {silent}", markup=False, style="yellow")
