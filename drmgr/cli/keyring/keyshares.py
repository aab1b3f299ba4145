"""``drmgr keys split`` and ``combine``: the master key as pages of words."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from drmgr.cli.audit import audited
from drmgr.cli.context import output, site
from drmgr.errors import KeystoreError, UsageError
from drmgr.model import Json

if TYPE_CHECKING:
    from rich.console import Console

    from drmgr.cli.output import Output
    from drmgr.cli.wiring.wire import Site
    from drmgr.keystore.shares import Combined, GivenShare, SplitKey
    from drmgr.system.secret import Secret

REFERENCE_HELP = "env:NAME or file:PATH (relative to the site file)."


def split(
    context: typer.Context,
    count: Annotated[int, typer.Option("-n", "--shares", metavar="N", help="How many shares, at most 16.")] = 5,
    threshold: Annotated[int, typer.Option("-k", "--threshold", metavar="K", help="How many of them are needed.")] = 3,
    out: Annotated[Path, typer.Option(help="The folder for the pages.")] = Path("key-shares"),
    lang: Annotated[Literal["zh", "en"], typer.Option(help="The language of the pages.")] = "zh",
    words: Annotated[bool, typer.Option("--words", help="Also print the words here.")] = False,
) -> None:
    """Split the master key into N pages of words, of which any K give it back.

    Each page is a PDF that only you can read. Print them, hand them over, then delete the files. Splitting again makes a
    new set; pages of the old set still give the same key, so destroy them.
    """
    from drmgr.keystore.shares import split_key

    answers = output(context)
    with site(context) as opened, audited(opened, "keys.split") as said:
        made = split_key(opened.keystore.master_key(), count, threshold)
        said.update(set=made.set_id, shares=count, threshold=threshold)
        files = _write_pages(opened, made, out, lang)
    shares: list[dict[str, Json]] = [
        {"number": number, "file": str(file)} for number, file in enumerate(files, start=1)
    ]
    if words:
        for share, spoken in zip(shares, made.shares, strict=True):
            share["words"] = " ".join(spoken)

    def show(console: "Console") -> None:
        console.print(f"set {made.set_id}, check code {made.check}: {threshold} of {count} are needed")
        for share in shares:
            console.print(f"  {share['number']}  {share['file']}", markup=False, soft_wrap=True)
            if words:
                console.print(f"     {share['words']}", markup=False, soft_wrap=True)

    answers.answer({"set": made.set_id, "check": made.check, "threshold": threshold, "shares": shares}, show)
    answers.note("print each page and hand it over, then delete the files")


def _write_pages(opened: "Site", made: "SplitKey", out: Path, lang: Literal["zh", "en"]) -> list[Path]:
    from drmgr.config.models import text_of
    from drmgr.evidence.share_page import SharePage, set_share_pages
    from drmgr.system.files import write_atomically

    count, now = len(made.shares), opened.clock.now().astimezone(opened.zone)
    name = text_of(opened.config.site.name)
    pages = [
        SharePage(name, number, count, made.threshold, made.set_id, made.check, words, now)
        for number, words in enumerate(made.shares, start=1)
    ]
    files = [out / f"share-{made.set_id}-{page.number}-of-{count}.pdf" for page in pages]
    pdfs = set_share_pages(pages, lang)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, pdf in zip(files, pdfs, strict=True):
            write_atomically(file, pdf, mode=0o600)
    except OSError as error:
        raise UsageError(
            f"the pages cannot be written to {out}: {error.strerror}", hint="choose another folder with --out"
        ) from error
    return files


def combine(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Text files, one share a line.")
    ] = None,
    check: Annotated[str, typer.Option(help="The check code on the pages.")] = "",
    new_passphrase: Annotated[str, typer.Option("--new-passphrase", metavar="REF", help=REFERENCE_HELP)] = "",
) -> None:
    """Bring the master key back from shares, and prove that it opens this site's keystore. No passphrase is needed.

    Shares come from files, from standard input, or are asked for one by one. With --new-passphrase the keystore is then
    put under that passphrase. The key itself is never written or shown.
    """
    answers = output(context)
    combined = combined_shares(files or [], check, answers)
    with site(context) as opened:
        opened.keystore.open_with(combined.master)
        with audited(opened, "keys.combine") as said:
            said.update(set=combined.set_id, shares=list(combined.numbers), rewrapped=bool(new_passphrase))
            if new_passphrase:
                opened.keystore.rewrap(resolved_passphrase(opened, new_passphrase))
    document = {
        "set": combined.set_id,
        "check": combined.check,
        "shares": list(combined.numbers),
        "opens": True,
        "rewrapped": bool(new_passphrase),
    }

    def show(console: "Console") -> None:
        console.print(f"set {combined.set_id}: the key with check code {combined.check} opens the keystore")
        if new_passphrase:
            console.print("the keystore is under the new passphrase; keys.passphrase must lead to it")
        else:
            console.print("nothing was changed: the passphrase is the one of before", soft_wrap=True)
            again = "drmgr keys combine --new-passphrase file:PATH"
            console.print(
                f"if it is lost, write a new one into a file (0600), then: {again}", markup=False, soft_wrap=True
            )

    answers.answer(document, show)


def combined_shares(files: Sequence[Path], check: str, answers: "Output") -> "Combined":
    """The master key from shares in files, on standard input, or asked for. Raises KeystoreError when they will not do."""
    from drmgr.keystore.shares import combine_shares

    combined = combine_shares(_given(files, answers))
    if check and check.replace("-", "").upper() != combined.check.replace("-", ""):
        raise KeystoreError(
            f"the shares give a key with the check code {combined.check}, not {check}",
            hint="they are of another key than the page with that code",
        )
    return combined


def resolved_passphrase(opened: "Site", text: str) -> "Secret":
    """The passphrase that the reference leads to. Raises UsageError, ConfigError."""
    from drmgr.config.secrets import SecretSource
    from drmgr.config.values import SecretRef

    try:
        reference = SecretRef.parse(text)
    except ValueError as error:
        raise UsageError(f"the new passphrase {error}") from None
    if reference.scheme == "keystore":
        raise UsageError("the keystore's passphrase cannot lie in the keystore")
    return SecretSource(opened.loaded.base).get(reference)


def _given(files: Sequence[Path], answers: "Output") -> list["GivenShare"]:
    if files:
        return [share for file in files for share in _from_text(_read(file), f" of {file}")]
    if sys.stdin.isatty():
        return _asked(answers)
    return _from_text(sys.stdin.read(), "")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text; write the words into it, one share a line") from None


def _from_text(text: str, place: str) -> list["GivenShare"]:
    from drmgr.keystore.shares import GivenShare

    lines = ((number, line) for number, line in enumerate(text.splitlines(), start=1))
    return [
        GivenShare(f"the share in line {number}{place}", line)
        for number, line in lines
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _asked(answers: "Output") -> list["GivenShare"]:
    """Asks until the set of the first share is complete; what is typed is not shown."""
    from drmgr.keystore.shares import GivenShare, read_share

    given: list[GivenShare] = []
    numbers: set[int] = set()
    needed = 1
    while len(numbers) < needed:
        typed = typer.prompt(f"share {len(given) + 1}, its 33 words", hide_input=True, err=True)
        try:
            share = read_share(GivenShare("this share", typed))
        except KeystoreError as error:
            answers.note(f"drmgr: {error.message}; once more")
            continue
        needed = share.member_threshold if not given else needed
        given.append(GivenShare(f"share {len(given) + 1}", typed))
        numbers.add(share.index)
        answers.note(f"no. {share.index + 1} is sound; {max(0, needed - len(numbers))} more")
    return given
