"""Sealing under the master key what is kept beside the repositories."""

import hashlib
import hmac
import json
import zlib
from typing import Final

from drmgr.errors import KeystoreError
from drmgr.keystore.wrapping import NotOpenedError, unwrap, wrap

SEALED_SCHEMA: Final = "drmgr/sealed/1"


class MasterSealer:
    """The sealer of interfaces.Sealer. The master key stays in memory."""

    def __init__(self, master: bytes) -> None:
        self._master = master

    def seal(self, name: str, content: bytes) -> bytes:
        wrapped = wrap(self._master, zlib.compress(content, 9), _purpose(name))
        return json.dumps({"schema": SEALED_SCHEMA, **wrapped}).encode()

    def open(self, name: str, sealed: bytes) -> bytes:
        try:
            return zlib.decompress(unwrap(self._master, json.loads(sealed), _purpose(name)))
        except (NotOpenedError, ValueError, RecursionError) as error:
            raise KeystoreError(
                f"{name} does not open: it was changed, or sealed under another master key",
                hint="are these shares of this site, and of its present master key?",
            ) from error

    def mark(self, content: bytes) -> str:
        return hmac.new(self._master, b"drmgr/mark/1\0" + content, hashlib.sha256).hexdigest()[:16]


def _purpose(name: str) -> bytes:
    return json.dumps([SEALED_SCHEMA, name]).encode()
