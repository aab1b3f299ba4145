"""Binary logs made by hand, event by event, as MariaDB writes them."""

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from drmgr.engines.mariadb.binlog import MAGIC, Gtid

SERVER = 7


@dataclass
class Binlog:
    """``before`` are the GTIDs that the log had reached; ``opened`` and the times of events are seconds since 1970."""

    opened: int = 1000
    before: tuple[str, ...] = ()
    content: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        self.content = MAGIC
        self.event(
            15, self.opened, struct.pack("<H50sIB", 4, b"10.11.19-MariaDB", self.opened, 19) + b"\x00" * 3 + b"\x01"
        )
        items = [Gtid.parse(text) for text in self.before]
        listed = b"".join(struct.pack("<IIQ", gtid.domain, gtid.server, gtid.number) for gtid in items)
        self.event(163, self.opened, struct.pack("<I", len(items)) + listed)

    def event(self, kind: int, at: int, body: bytes) -> int:
        """Appends one event; gives where it begins."""
        start = len(self.content)
        size = 19 + len(body) + 4
        whole = struct.pack("<IBIIIH", at, kind, SERVER, size, start + size, 0) + body
        self.content += whole + struct.pack("<I", zlib.crc32(whole))
        return start

    def rows(self, number: int, at: int, database: str = "his", domain: int = 0) -> int:
        """One transaction that changes rows."""
        start = self.event(162, at, struct.pack("<QIB", number, domain, 12) + b"\x00" * 6)
        name = database.encode()
        # what is in it was done before it was committed
        self.event(19, at - 5, b"\x00" * 8 + bytes([len(name)]) + name + b"\x00\x01t\x00")
        self.event(23, at - 5, b"\x00" * 40)
        self.event(16, at, struct.pack("<Q", number))
        return start

    def statement(self, number: int, at: int, text: str, database: str = "his") -> int:
        """One statement that stands alone."""
        start = self.event(162, at, struct.pack("<QIB", number, 0, 41) + b"\x00" * 6)
        name = database.encode()
        self.event(2, at, struct.pack("<IIBHH", 1, 0, len(name), 0, 0) + name + b"\x00" + text.encode())
        return start

    def close(self, at: int) -> "Binlog":
        self.event(4, at, struct.pack("<Q", 4) + b"next.000002")
        return self

    def write(self, folder: Path, number: int) -> Path:
        path = folder / f"log.{number:06}"
        path.write_bytes(self.content)
        return path
