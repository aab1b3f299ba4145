"""From the reference to the secret, at the moment it is needed and not before."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drmgr.config.values import SecretRef
from drmgr.errors import ConfigError
from drmgr.system.secret import Secret

MAX_BYTES = 16 * 1024
"""A longer file is hardly a secret, and more would not fit through the pipe that hands secrets to programs."""


@dataclass(frozen=True)
class SecretSource:
    """Resolves the references of one site: ``base`` is the folder of its site file, ``keystore`` unwraps by name."""

    base: Path
    keystore: Callable[[str], bytes] | None = None

    def get(self, ref: SecretRef) -> Secret:
        """Raises ConfigError, and KeystoreError as the keystore does."""
        return resolve_secret(ref, self.base, self.keystore)


def resolve_secret(ref: SecretRef, base: Path, keystore: Callable[[str], bytes] | None = None) -> Secret:
    """The secret that ``ref`` points to; relative files are relative to ``base``. One newline at the end is dropped.

    Raises ConfigError when it is missing, empty, or lies in a file that others may read. No message holds the secret.
    """
    if ref.scheme == "env":
        text = _text(ref, _from_environment(ref))
    elif ref.scheme == "file":
        text = _text(ref, _from_file(ref, base / ref.name))
    else:
        text = _text(ref, _from_keystore(ref, keystore))
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"the secret {ref} is empty", hint="put the secret there, on one line")
    return Secret(text)


def _from_environment(ref: SecretRef) -> bytes:
    if ref.name not in os.environ:
        raise ConfigError(
            f"the environment variable {ref.name} is not set", hint=f"set {ref.name} for the account that runs drmgr"
        )
    return os.environb[ref.name.encode()]


def _from_file(ref: SecretRef, path: Path) -> bytes:
    try:
        # without O_NONBLOCK a named pipe would hang us before we see what it is
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ConfigError(f"the file of the secret {ref} is not there", hint=f"write it to {path}") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"the file of the secret {ref} cannot be read: {why}", hint=f"look at {path}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"the secret {ref} is not a regular file", hint=f"look at {path}")
        if status.st_mode & 0o077:
            raise ConfigError(f"the file of the secret {ref} is open to other accounts", hint=f"run: chmod 600 {path}")
        content = os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > MAX_BYTES:
        raise ConfigError(f"the file of the secret {ref} is larger than {MAX_BYTES} bytes", hint=f"look at {path}")
    return content


def _from_keystore(ref: SecretRef, keystore: Callable[[str], bytes] | None) -> bytes:
    if keystore is None:
        raise ConfigError(f"the secret {ref} is needed before the keystore is open", hint="use env:NAME or file:PATH")
    return keystore(ref.name)


def _text(ref: SecretRef, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        # the cause would carry the bytes into a traceback
        raise ConfigError(f"the secret {ref} is not UTF-8 text", hint="write it as text on one line") from None
