"""The record archive: an entry for each finished stay, and its pages as scanned pictures on disk."""

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, NamedTuple

from drmgr.demo.departments.department import DAY, MINUTE, Department
from drmgr.demo.feed import Ask, Left, read
from drmgr.demo.tables import Table

PAGE_KINDS = ("病案首页", "入院记录", "出院小结", "知情同意书")
WIDTH, HEIGHT = 105, 148
MOST_PAGES = 20_000
"""Pages on disk: beyond them only the entries grow with the hospital."""


class ArchivedRecord(NamedTuple):
    id: int
    archive_no: str
    his_discharge_id: int
    his_visit_id: int
    record_no: str
    patient_name: str
    diagnosis_code: str
    shelf: str
    page_count: int
    discharged_at: datetime
    archived_at: datetime


class ScannedPage(NamedTuple):
    id: int
    record_id: int
    page_no: int
    kind: str
    path: str
    size: int
    sha256: str
    scanned_at: datetime


class MrmDepartment(Department):
    """Archives every finished stay; ``root`` is the folder of the scans."""

    SYSTEM: ClassVar[str] = "mrm"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("archived_record", ArchivedRecord, unique=("archive_no", "his_discharge_id")),
        Table("scanned_page", ScannedPage, unique=("path",), refers={"record_id": "archived_record"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {"discharge": "SELECT coalesce(max(his_discharge_id), 0) FROM archived_record"}

    def catch_up(self, his: Ask) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for left in read(his, Left, self._seen["discharge"]):
            self._archive(left)

    def _archive(self, left: Left) -> None:
        number = self._next(ArchivedRecord)
        archived = self._until_now(left.discharged_at + (1 + self._pick(6)) * DAY)
        pages = 2 + self._pick(len(PAGE_KINDS) - 1) if self._ids[ScannedPage] < MOST_PAGES else 0
        about = (left.discharge_id, left.visit_id, left.record_no, left.name, left.diagnosis_code)
        shelf = f"{archived:%Y}-{number % 40 + 1:02d}架"
        archive_no = f"BA{left.discharge_id:08d}"
        self._add(ArchivedRecord(number, archive_no, *about, shelf, pages, left.discharged_at, archived))
        for page in range(1, pages + 1):
            path = Path(f"{archived:%Y}") / archive_no / f"{page:03d}.png"
            content = scan(f"{archive_no} {page}", f"{left.record_no} {left.name}")
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            self.files += 1
            digest = hashlib.sha256(content).hexdigest()
            kind = PAGE_KINDS[page - 1]
            what = (
                number,
                page,
                kind,
                path.as_posix(),
                len(content),
                digest,
                self._until_now(archived + page * MINUTE),
            )
            self._add(ScannedPage(self._next(ScannedPage), *what))


def scan(seed: str, words: str) -> bytes:
    """A small grey PNG of lines that look like writing; ``words`` stand in it as its comment, as scanners do."""
    grain = hashlib.shake_256(seed.encode()).digest(WIDTH * 8)
    blank = b"\0" + b"\xff" * WIDTH
    rows = []
    for line in range(HEIGHT):
        part = grain[line // 8 * 6 : line // 8 * 6 + WIDTH]
        rows.append(b"\0" + part.ljust(WIDTH, b"\xff") if line % 8 < 3 else blank)  # noqa: PLR2004 - lines of writing
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    comment = b"Comment\0\0\0\0\0" + words.encode()
    parts = ((b"IHDR", header), (b"iTXt", comment), (b"IDAT", zlib.compress(b"".join(rows), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
