"""A restic repository in a folder whose password costs next to nothing to try: half a second in every call of restic.

The form of the key file and its cryptography are those of restic's design document (AES-256-CTR, Poly1305-AES, scrypt).
"""

import base64
import hashlib
import json
import os
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.poly1305 import Poly1305

CHEAP = {"N": 2, "r": 8, "p": 1}
BLOCK = 16


def cheapen(repository: Path, password: str) -> None:
    """Writes the repository's one key file anew, under the same password."""
    [path] = (repository / "keys").iterdir()
    key = json.loads(path.read_bytes())
    plain = _open(_derived(key, password), base64.b64decode(key["data"]))
    key |= CHEAP
    key["data"] = base64.b64encode(_seal(_derived(key, password), plain)).decode()
    content = json.dumps(key, separators=(",", ":")).encode()
    path.unlink()
    fresh = path.with_name(hashlib.sha256(content).hexdigest())
    fresh.write_bytes(content)
    fresh.chmod(0o400)


def _derived(key: dict[str, str | int], password: str) -> bytes:
    salt = base64.b64decode(str(key["salt"]))
    n, r, p = (int(key[name]) for name in "Nrp")
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=1 << 28, dklen=64)


def _open(key: bytes, sealed: bytes) -> bytes:
    nonce, content, tag = sealed[:BLOCK], sealed[BLOCK:-BLOCK], sealed[-BLOCK:]
    assert _tag(key, nonce, content) == tag
    return Cipher(AES(key[:32]), CTR(nonce)).decryptor().update(content)


def _seal(key: bytes, plain: bytes) -> bytes:
    nonce = os.urandom(BLOCK)
    content = Cipher(AES(key[:32]), CTR(nonce)).encryptor().update(plain)
    return nonce + content + _tag(key, nonce, content)


def _tag(key: bytes, nonce: bytes, content: bytes) -> bytes:
    stretched = Cipher(AES(key[32:48]), ECB()).encryptor().update(nonce)
    return Poly1305.generate_tag(key[48:64] + stretched, content)


class Writer:
    """Writes snapshots into a repository, in restic's own form; all of them are of the same, empty tree."""

    def __init__(self, repository: Path, password: str) -> None:
        [path] = (repository / "keys").iterdir()
        key = json.loads(path.read_bytes())
        master = json.loads(_open(_derived(key, password), base64.b64decode(key["data"])))
        parts = (master["encrypt"], master["mac"]["k"], master["mac"]["r"])
        self._key = b"".join(base64.b64decode(part) for part in parts)
        self._folder = repository / "snapshots"

    def snapshot(self, at: datetime, tags: tuple[str, ...]) -> str:
        """The new snapshot's id."""
        document = {
            "time": at.isoformat(),
            "tree": "0" * 64,
            "paths": ["/main.dump"],
            "hostname": "hospital",
            "username": "root",
            "tags": list(tags),
            "program_version": "restic 0.18.0",
        }
        content = _seal(self._key, json.dumps(document).encode())
        name = hashlib.sha256(content).hexdigest()
        (self._folder / name).write_bytes(content)
        return name
