"""``drmgr keys split``, ``combine`` and ``rotate``, as the holders of the pages use them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.shape import fits
from tests.support.site import DRMGR, Answer, Json, Site

SPLIT = {"set": str, "check": str, "threshold": int, "shares": [{"number": int, "file": str, "words": str}]}


@pytest.fixture
def pages(site: Site) -> Json:
    """Five shares, their words, and their pages in the site's folder."""
    made = site.json("keys", "split", "-n", "5", "-k", "3", "--out", str(site.directory / "pages"), "--words")
    fits(made, SPLIT)
    return made


def words(pages: Json, *numbers: int) -> str:
    return "".join(pages["shares"][number - 1]["words"] + "\n" for number in numbers)


def combine(site: Site, given: str, *arguments: str, as_json: bool = True) -> Answer:
    argv = [DRMGR, "--config", str(site.config), "keys", "combine", *arguments, *(["--json"] if as_json else [])]
    done = subprocess.run(argv, input=given, capture_output=True, text=True, env=site.environment(), check=False)
    for word in given.split():
        assert len(word) < 7 or word not in done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def test_each_share_is_one_private_page_and_no_word_is_shown(site: Site) -> None:
    out = site.directory / "pages"
    answer = site.run("keys", "split", "--out", str(out), "--lang", "en")
    assert answer.code == 0
    files = sorted(out.iterdir())
    assert len(files) == 5
    assert out.stat().st_mode & 0o777 == 0o700
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True, text=True).stdout
        assert text.count("\f") == 1
        assert "Test Hospital" in text
        row = next(line for line in text.splitlines() if line.split()[:1] == ["1"])
        assert row.split()[1] not in answer.out + answer.err


def test_three_pages_and_a_new_passphrase_bring_a_site_back_whose_passphrase_is_lost(site: Site, pages: Json) -> None:
    passphrase = site.directory / "secrets/passphrase"
    passphrase.write_text("something else")
    assert site.json("keys", "status", "--verify", code=24)["error"]["code"] == "keystore"
    proven = combine(site, words(pages, 5, 2, 4), "--check", pages["check"].lower())
    assert proven.code == 0, proven
    assert proven.document == {
        "set": pages["set"],
        "check": pages["check"],
        "shares": [5, 2, 4],
        "opens": True,
        "rewrapped": False,
    }
    brought = combine(
        site, "# three of five\n\n" + words(pages, 1, 2, 3), "--new-passphrase", "file:secrets/passphrase"
    )
    assert brought.document["rewrapped"] is True
    assert site.json("keys", "status", "--verify")["verified"] is True
    site.json("backup", "docs")
    acts = [line["act"] for line in site.json("audit", "show", "--last", "8")["lines"]]
    assert acts == ["keys.split"] * 2 + ["keys.combine"] * 4 + ["backup"] * 2
    shown = combine(site, words(pages, 5, 2, 4), as_json=False)
    assert "nothing was changed" in shown.out and "--new-passphrase" in shown.out
    assert site.json("audit", "verify")["ok"] is True


def test_shares_that_will_not_do_are_named(site: Site, pages: Json, tmp_path: Path) -> None:
    keystore = site.directory / "keys/keystore.json"
    before = keystore.read_bytes()
    other = site.json("keys", "split", "--out", str(site.directory / "pages"), "--words")
    written = pages["shares"][1]["words"].split()
    spoilt = words(pages, 2).replace(" ".join(written), " ".join([*written[:9], "zzzz", *written[10:]]))
    for given, arguments, message in (
        (words(pages, 1, 2), (), f"1 more share is needed: set {pages['set']} takes 3, given were no. 1, 2"),
        (words(pages, 1) + spoilt + words(pages, 3), (), "the share in line 2 is wrong: word 10 is not in the list"),
        (words(pages, 1, 2) + words(other, 3), (), f"the share in line 3 is of set {other['set']}"),
        (words(pages, 1, 2, 3), ("--check", "0000-0000"), f"check code {pages['check']}, not 0000-0000"),
        (words(pages, 1, 2, 3), ("--new-passphrase", "a new one"), "must be a reference to a secret"),
        ("", (), "no share was given"),
    ):
        answer = combine(site, given, *arguments)
        assert answer.code in {2, 24}
        assert message in answer.error["message"]
    file = tmp_path / "shares.txt"
    file.write_text(words(pages, 1) + spoilt)
    assert f"line 2 of {file}" in combine(site, "", str(file)).error["message"]
    assert keystore.read_bytes() == before


def test_shares_of_another_site_do_not_open_this_one(site: Site, pages: Json) -> None:
    shutil.rmtree(site.directory / "keys")
    site.json("keys", "init")
    error = combine(site, words(pages, 1, 2, 3)).error
    assert (error["code"], error["exit_code"]) == ("keystore", 24)
    assert "does not open the keystore's entry" in error["message"]


def test_rotate_puts_the_keystore_under_a_new_passphrase(site: Site) -> None:
    new, old = site.directory / "secrets/new", site.directory / "secrets/passphrase"
    new.write_text("neue Losung, lang genug")
    new.chmod(0o600)
    assert site.refused(2, "keys", "rotate", "--passphrase", "file:secrets/passphrase")["code"] == "usage"
    assert site.json("keys", "rotate", "--passphrase", "file:secrets/new") == {"rotated": ["passphrase"]}
    assert site.json("backup", "docs", code=24)["runs"][0]["error"]["code"] == "keystore"
    shutil.copy(new, old)
    site.json("backup", "docs")
