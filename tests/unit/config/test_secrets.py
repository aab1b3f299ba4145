"""Secrets are read when asked for, from places that nobody else can read, and never land in a message."""

import os
from pathlib import Path

import pytest

from drmgr.config.secrets import MAX_BYTES, SecretSource, resolve_secret
from drmgr.config.values import SecretRef
from drmgr.errors import ConfigError
from drmgr.system.secret import Secret


def put(path: Path, content: bytes, mode: int = 0o600) -> SecretRef:
    path.write_bytes(content)
    path.chmod(mode)
    return SecretRef("file", path.name)


def refusal(ref: SecretRef, base: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        resolve_secret(ref, base)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    return caught.value


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), ("密".encode(), "密")],
)
def test_one_newline_at_the_end_is_dropped(tmp_path: Path, content: bytes, secret: str) -> None:
    assert resolve_secret(put(tmp_path / "s", content), tmp_path) == Secret(secret)


def test_an_absolute_file_is_not_relative_to_the_base(tmp_path: Path) -> None:
    put(tmp_path / "s", b"a")
    assert resolve_secret(SecretRef("file", str(tmp_path / "s")), Path("/nowhere")).reveal() == "a"


def test_environment_and_keystore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRMGR_TEST_SECRET", "from env")
    source = SecretSource(tmp_path, keystore={"db": b"from keystore"}.__getitem__)
    assert source.get(SecretRef.parse("env:DRMGR_TEST_SECRET")).reveal() == "from env"
    assert source.get(SecretRef.parse("keystore:db")).reveal() == "from keystore"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    error = refusal(put(tmp_path / "s", b"hunter2", mode), tmp_path)
    assert "open to other accounts" in error.message
    assert error.hint == f"run: chmod 600 {tmp_path / 's'}"


def test_what_is_missing_or_empty_or_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRMGR_TEST_SECRET", raising=False)
    assert "DRMGR_TEST_SECRET is not set" in refusal(SecretRef("env", "DRMGR_TEST_SECRET"), tmp_path).message
    monkeypatch.setenv("DRMGR_TEST_SECRET", "")
    assert "is empty" in refusal(SecretRef("env", "DRMGR_TEST_SECRET"), tmp_path).message
    assert "is not there" in refusal(SecretRef("file", "gone"), tmp_path).message
    assert "is empty" in refusal(put(tmp_path / "a", b"\n"), tmp_path).message
    assert "not UTF-8" in refusal(put(tmp_path / "b", b"hunter2\xff"), tmp_path).message
    assert "larger than" in refusal(put(tmp_path / "c", b"x" * (MAX_BYTES + 1)), tmp_path).message
    assert "before the keystore" in refusal(SecretRef("keystore", "db"), tmp_path).message


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "s").write_bytes(b"")
    assert "not a regular file" in refusal(SecretRef("file", "pipe"), tmp_path).message
    assert "not a regular file" in refusal(SecretRef("file", "folder"), tmp_path).message
    assert "cannot be read: not a directory" in refusal(SecretRef("file", "s/below"), tmp_path).message
