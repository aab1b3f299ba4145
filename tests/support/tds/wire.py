"""TDS 7.4 on the wire, the server's side: packets, login, and the tokens of an answer. Written after MS-TDS."""

import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID

PACKET_BYTES = 4096
COLLATION = bytes.fromhex("0904d00034")
HEADER = struct.Struct(">BBHHBB")


class Kind(IntEnum):
    """Types of packets."""

    BATCH = 0x01
    RPC = 0x03
    ANSWER = 0x04
    ATTENTION = 0x06
    LOGIN7 = 0x10
    PRELOGIN = 0x12


class Gone(Exception):
    """The client has hung up."""


class Line:
    """One connection: raw at first, TLS once ``secure`` has been called."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def receive(self) -> tuple[Kind, bytes]:
        """One whole message. Raises Gone."""
        content = b""
        while True:
            kind, status, length, *_ = HEADER.unpack(self._exactly(HEADER.size))
            content += self._exactly(length - HEADER.size)
            if status & 1:
                return Kind(kind), content

    def send(self, kind: Kind, content: bytes, *, last: bool = True) -> None:
        """One message, or the beginning of one."""
        size = PACKET_BYTES - HEADER.size
        pieces = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
        for number, piece in enumerate(pieces):
            end = last and number == len(pieces) - 1
            self._write(HEADER.pack(kind, int(end), HEADER.size + len(piece), 0, (number + 1) % 256, 0) + piece)

    def secure(self, context: ssl.SSLContext) -> None:
        """The TLS handshake, each step of it inside a PRELOGIN packet. Raises Gone, ssl.SSLError."""
        handshake = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                handshake.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            if self._outgoing.pending:
                self.send(Kind.PRELOGIN, self._outgoing.read())
            if done:
                self._tls = handshake
                return
            self._incoming.write(self.receive()[1])

    @property
    def is_secure(self) -> bool:
        return self._tls is not None

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            content += self._some(count - len(content))
        return content

    def _some(self, most: int) -> bytes:
        if self._tls is None:
            return self._from_socket(most)
        while True:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                self._incoming.write(self._from_socket(65536))
            except ssl.SSLError as error:
                raise Gone from error

    def _from_socket(self, most: int) -> bytes:
        try:
            content = self.raw.recv(most)
        except OSError as error:
            raise Gone from error
        if not content:
            raise Gone
        return content

    def _write(self, content: bytes) -> None:
        if self._tls is not None:
            self._tls.write(content)
            content = self._outgoing.read()
        try:
            self.raw.sendall(content)
        except OSError as error:
            raise Gone from error


# --- before the login ---

ENCRYPT_ON, ENCRYPT_NOT_SUPPORTED = 1, 2


def prelogin_answer(*, secure: bool) -> bytes:
    """Our version and whether the line is going to be encrypted."""
    options = [(0, bytes([16, 0, 0x10, 0x55, 0, 0])), (1, bytes([ENCRYPT_ON if secure else ENCRYPT_NOT_SUPPORTED]))]
    offset = 5 * len(options) + 1
    head = body = b""
    for token, value in options:
        head += struct.pack(">BHH", token, offset + len(body), len(value))
        body += value
    return head + b"\xff" + body


@dataclass(frozen=True)
class Login:
    """What a client says of itself."""

    user: str
    password: str
    database: str
    application: str
    read_only: bool


def read_login(content: bytes) -> Login:
    """A LOGIN7 message."""

    def text(at: int) -> bytes:
        start, length = struct.unpack_from("<HH", content, at)
        return content[start : start + 2 * length]

    password = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in text(44))
    return Login(
        user=text(40).decode("utf-16-le"),
        password=password.decode("utf-16-le"),
        database=text(68).decode("utf-16-le"),
        application=text(48).decode("utf-16-le"),
        read_only=bool(content[26] & 0x20),
    )


def read_batch(content: bytes) -> str:
    """The text of a SQL batch, without its headers."""
    (headers,) = struct.unpack_from("<I", content)
    return content[headers:].decode("utf-16-le")


# --- tokens ---


def short_text(text: str) -> bytes:
    return bytes([len(text.encode("utf-16-le")) // 2]) + text.encode("utf-16-le")


def long_text(text: str) -> bytes:
    raw = text.encode("utf-16-le")
    return struct.pack("<H", len(raw) // 2) + raw


def _sized(token: int, body: bytes) -> bytes:
    return bytes([token]) + struct.pack("<H", len(body)) + body


def login_ack() -> bytes:
    program = short_text("Microsoft SQL Server")
    return _sized(0xAD, b"\x01" + bytes.fromhex("74000004") + program + bytes([16, 0, 0x10, 0x55]))


def environment(kind: int, new: str, old: str = "") -> bytes:
    return _sized(0xE3, bytes([kind]) + short_text(new) + short_text(old))


def collation() -> bytes:
    return _sized(0xE3, b"\x07" + bytes([len(COLLATION)]) + COLLATION + b"\x00")


def message(number: int, severity: int, text: str, *, state: int = 1, line: int = 1) -> bytes:
    """ERROR for what is severe, else INFO. INFO of low severity has class 0 on the wire."""
    token = 0xAA if severity > 10 else 0xAB
    shown = severity if severity > 10 else 0
    body = struct.pack("<iBB", number, state, shown) + long_text(text) + short_text("STANDIN") + short_text("")
    return _sized(token, body + struct.pack("<i", line))


MORE, ERROR, COUNT, ATTENTION = 0x01, 0x02, 0x10, 0x20


def done(status: int, rows: int = 0) -> bytes:
    return struct.pack("<BHHQ", 0xFD, status, 0, rows)


# --- rows ---

NULL_CHARACTERS = 0xFFFF
CHUNK_BYTES = 8000


@dataclass(frozen=True)
class Column:
    """``kind``: text, int, bigint, bit, decimal, datetime2, date, guid, binary or bytes, which has no limit."""

    name: str
    kind: str


_TYPES = {
    "text": bytes([0xE7]) + struct.pack("<H", 8000) + COLLATION,
    "int": bytes([0x26, 4]),
    "bigint": bytes([0x26, 8]),
    "bit": bytes([0x68, 1]),
    "decimal": bytes([0x6A, 17, 38, 0]),
    "datetime2": bytes([0x2A, 7]),
    "date": bytes([0x28]),
    "guid": bytes([0x24, 16]),
    "binary": bytes([0xA5]) + struct.pack("<H", 8000),
    "bytes": bytes([0xA5]) + struct.pack("<H", NULL_CHARACTERS),
}


def columns(described: Sequence[Column]) -> bytes:
    body = struct.pack("<H", len(described))
    for column in described:
        body += struct.pack("<IH", 0, 1) + _TYPES[column.kind] + short_text(column.name)
    return b"\x81" + body


def row(described: Sequence[Column], values: Sequence[Any]) -> bytes:
    return b"\xd1" + b"".join(_value(column.kind, value) for column, value in zip(described, values, strict=True))


def _value(kind: str, value: Any) -> bytes:
    if kind == "bytes":
        return _unlimited(value)
    if kind in {"text", "binary"}:
        if value is None:
            return struct.pack("<H", NULL_CHARACTERS)
        raw = value if kind == "binary" else str(value).encode("utf-16-le")
        return struct.pack("<H", len(raw)) + raw
    if value is None:
        return b"\x00"
    raw = _fixed(kind, value)
    return bytes([len(raw)]) + raw


def _unlimited(value: bytes | None) -> bytes:
    """In chunks, the last of them empty."""
    if value is None:
        return b"\xff" * 8
    chunks = (value[at : at + CHUNK_BYTES] for at in range(0, len(value), CHUNK_BYTES))
    body = b"".join(struct.pack("<I", len(chunk)) + chunk for chunk in chunks)
    return struct.pack("<Q", len(value)) + body + struct.pack("<I", 0)


def _fixed(kind: str, value: Any) -> bytes:
    match kind:
        case "int":
            return struct.pack("<i", int(value))
        case "bigint":
            return struct.pack("<q", int(value))
        case "bit":
            return bytes([bool(value)])
        case "decimal":
            number = int(Decimal(value))
            return bytes([number >= 0]) + abs(number).to_bytes(16, "little")
        case "datetime2":
            assert isinstance(value, datetime)
            ticks = ((value.hour * 60 + value.minute) * 60 + value.second) * 10_000_000 + value.microsecond * 10
            return ticks.to_bytes(5, "little") + (value.toordinal() - 1).to_bytes(3, "little")
        case "date":
            assert isinstance(value, date)
            return (value.toordinal() - 1).to_bytes(3, "little")
        case "guid":
            return UUID(str(value)).bytes_le
    raise AssertionError(kind)
