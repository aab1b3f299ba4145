"""The page of a key share: one sheet that holds all of the share, and nothing of the others."""

import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from drmgr.evidence.share_page import SharePage, set_share_pages
from drmgr.model import Text

SITE = Text("示例精神专科医院", "Demo Psychiatric Hospital")


def page(number: int, words: tuple[str, ...]) -> SharePage:
    return SharePage(
        SITE, number, 5, 3, "01234", "3A51-B902", words, datetime(2026, 1, 5, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    )


def text_of(pdf: bytes, folder: Path) -> tuple[str, int]:
    file = folder / "page.pdf"
    file.write_bytes(pdf)
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True, text=True).stdout
    return text, text.count("\f")


@pytest.mark.parametrize(
    ("lang", "marks"),
    [
        (
            "zh",
            ("备份主密钥分片", "第 2 片，共 5 片", "任意 3 片", SITE.zh, "保管人姓名", "签名", "drmgr keys combine"),
        ),
        ("en", ("Share of the backup master key", "2 of 5", "any 3 of the 5", SITE.en, "Holder's name", "Signature")),
    ],
)
def test_one_page_holds_the_numbered_words_and_what_they_belong_to(
    tmp_path: Path, lang: Literal["zh", "en"], marks: tuple[str, ...]
) -> None:
    from shamir_mnemonic.wordlist import WORDLIST

    # the longest words of the list, so that none can be too wide
    words = tuple(sorted(WORDLIST, key=lambda word: (-len(word), word)))[:33]
    others = tuple(reversed(WORDLIST))[:33]
    pdfs = set_share_pages([page(1, others), page(2, words)], lang)
    text, pages = text_of(pdfs[1], tmp_path)
    assert pages == 1
    grid = text[: text.index("drmgr keys combine")].splitlines()[:-3]
    read = dict(re.findall(r"(?<!\S)(\d{1,2}) +([a-z]{4,8})(?!\S)", "\n".join(grid)))
    assert [read[str(number)] for number in range(1, 34)] == list(words)
    for mark in (*marks, "01234", "3A51-B902", "2026-01-05"):
        assert mark in text, mark
    assert not [word for word in others if f" {word} " in text]


def test_what_is_printed_does_not_hold_the_words_in_its_repr() -> None:
    assert "traveler" not in repr(page(1, ("traveler",) * 33))
