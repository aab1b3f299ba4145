"""``drmgr keys rotate``: another passphrase, other repository passwords, another master key."""

from typing import TYPE_CHECKING, Annotated

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.cli.keyring.keyshares import REFERENCE_HELP, resolved_passphrase
from drmgr.cli.recovery.safekeeping import renew_kit
from drmgr.errors import DrmgrError, KeystoreError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.bench import Bench


def rotate(
    context: typer.Context,
    systems: Annotated[
        list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="With --repositories: only these.")
    ] = None,
    passphrase: Annotated[str, typer.Option("--passphrase", metavar="REF", help=f"The new one: {REFERENCE_HELP}")] = "",
    repositories: Annotated[bool, typer.Option("--repositories", help="New passwords for the repositories.")] = False,
    master: Annotated[bool, typer.Option("--master", help="A new master key; split it again afterwards.")] = False,
) -> None:
    """Change the passphrase, the repositories' passwords, or the master key that wraps them all.

    --passphrase: the present one must still be where keys.passphrase says; afterwards the new one must be there.
    --repositories: a new password is added to each repository and its copies, proven, and put into the recovery kit; only
    then is the old one revoked. Killed in the middle, call it again. --master: shares of the old master key open nothing
    any more.
    """
    answers = output(context)
    if sum((bool(passphrase), repositories, master)) != 1 or (systems and not repositories):
        raise UsageError("say one of --passphrase REF, --repositories and --master")
    if repositories:
        _repositories(context, answers, systems or [])
    elif master:
        _master(context, answers)
    else:
        _passphrase(context, answers, passphrase)


def _passphrase(context: typer.Context, answers: "Output", passphrase: str) -> None:
    with site(context) as opened, audited(opened, "keys.rotate") as said:
        if passphrase == str(opened.config.keys.passphrase):
            raise UsageError(
                "the new passphrase is where the present one is", hint="put it elsewhere first, and move it afterwards"
            )
        said["what"] = "passphrase"
        opened.keystore.rewrap(resolved_passphrase(opened, passphrase))
        place = str(opened.config.keys.passphrase)
        unkept = _renewed_kit(opened)
    text = f"the keystore is under the new passphrase: put it where {place} leads, or set keys.passphrase"
    _answer(answers, "passphrase", text, unkept)


def _master(context: typer.Context, answers: "Output") -> None:
    with site(context) as opened, audited(opened, "keys.rotate") as said:
        said["what"] = "master"
        opened.keystore.renew_master()
        unkept = _renewed_kit(opened)
    text = "the keystore has a new master key: split it again with drmgr keys split, and destroy the old pages"
    _answer(answers, "master", text, unkept)


def _answer(answers: "Output", what: str, text: str, unkept: DrmgrError | None) -> None:
    answers.answer({"rotated": [what]}, lambda console: console.print(text, markup=False, soft_wrap=True))
    if unkept is not None:
        answers.note(f"drmgr: the {what} is changed, but not yet in the recovery kit: {unkept.message}")


def _repositories(context: typer.Context, answers: "Output", systems: list[str]) -> None:
    rows: list[dict[str, Json]] = []
    errors: list[DrmgrError] = []
    with site(context) as opened, answers.progress() as progress:
        names = opened.systems(systems, everything=not systems)
        bench = opened.bench(progress)
        for name in names:
            for copy in _with_passwords(opened, name):
                row, error = _one(opened, bench, name, copy)
                rows.append(row)
                errors += [error] if error else []
        unkept = _renewed_kit(opened)

    def show(console: "Console") -> None:
        from drmgr.cli.output import table

        shown = [[row["system"], row["copy"] or "-", row["state"], str(len(row["other_keys"]))] for row in rows]
        table(console, ["system", "copy", "password", "other keys"], shown)
        if any(row["other_keys"] for row in rows):
            console.print("other keys were added by somebody, and still open the repository: see restic key list")

    answers.answer({"rotated": ["repositories"], "ok": not errors, "repositories": rows}, show)
    if unkept is not None:
        answers.note(f"drmgr: the recovery kit is not up to date: {unkept.message}")
    if errors:
        if not answers.wants_json:
            for error in errors:
                answers.error(error)
        raise typer.Exit(errors[0].exit_code)


def _renewed_kit(opened: "Site") -> DrmgrError | None:
    """In the store, and in every copy that holds something: each must open with what its own kit brings back."""
    held = opened.keystore.names()
    return renew_kit(
        opened,
        *(copy for copy in sorted(opened.config.copies) if any(name.startswith(f"copy/{copy}/") for name in held)),
    )


def _with_passwords(opened: "Site", system: str) -> list[str]:
    """The system's own repository (empty), and those copies that have a password by now."""
    from drmgr.keystore.store import repository_entry

    held = opened.keystore.names()
    return [copy for copy in ("", *sorted(opened.config.copies)) if repository_entry(system, copy) in held]


def _one(opened: "Site", bench: "Bench", system: str, copy: str) -> tuple[dict[str, Json], DrmgrError | None]:
    from drmgr.flows.bench import error_json
    from drmgr.flows.renew_keys import Lock, renew_keys
    from drmgr.keystore.renewal import PasswordRenewal
    from drmgr.keystore.store import repository_entry
    from drmgr.repository.restic_keys import RepositoryPasswords

    keys = PasswordRenewal(opened.keystore, repository_entry(system, copy))
    lock = Lock(system, copy, keys, RepositoryPasswords(opened.cared(system, copy)))
    row: dict[str, Json] = {"system": system, "copy": copy or None, "state": "failed", "other_keys": [], "error": None}
    try:
        done = renew_keys(bench, lock, lambda: _insist_on_kit(opened))
    except DrmgrError as error:
        return {**row, "error": error_json(error)}, error
    return {**row, "state": "renewed", "other_keys": list(done.others)}, None


def _insist_on_kit(opened: "Site") -> None:
    """Without the new keystore in the kit, a host that is lost now could open nothing any more."""
    if unkept := _renewed_kit(opened):
        raise KeystoreError(
            f"the old password is kept, for the new one is not in the recovery kit yet: {unkept.message}",
            hint="mend that, then call it again: it goes on where it stopped",
        )
