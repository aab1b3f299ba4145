from pathlib import Path

import pytest

from drmgr.engines.postgres.tools import find_client, find_exact
from drmgr.errors import ToolError
from drmgr.system.command import Runner


def fake_program(folder: Path, version: str) -> None:
    path = folder / "pg_dump"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version} (Debian 1)'\n")
    path.chmod(0o755)


def test_a_program_may_be_newer_than_the_server_but_not_older(tmp_path: Path) -> None:
    fake_program(tmp_path, "16.4")
    assert find_client(Runner(), "pg_dump", 16, tmp_path).version == "16.4"
    assert find_client(Runner(), "pg_dump", 15, tmp_path).major == 16
    with pytest.raises(ToolError, match="PostgreSQL 17 or newer") as caught:
        find_client(Runner(), "pg_dump", 17, tmp_path)
    assert "postgresql-client-17" in caught.value.hint


@pytest.mark.parametrize("wanted", [15, 17])
def test_what_reads_the_servers_files_is_of_its_very_version(tmp_path: Path, wanted: int) -> None:
    fake_program(tmp_path, "16.4")
    assert find_exact(Runner(), "pg_dump", 16, tmp_path) == tmp_path / "pg_dump"
    with pytest.raises(
        ToolError, match=f"pg_dump of PostgreSQL {wanted} is not there in .*, and one of another version"
    ) as told:
        find_exact(Runner(), "pg_dump", wanted, tmp_path)
    assert f"install the package postgresql-{wanted}" in told.value.hint


def test_a_program_without_a_version_is_refused(tmp_path: Path) -> None:
    fake_program(tmp_path, "x")
    with pytest.raises(ToolError, match="does not tell its version"):
        find_client(Runner(), "pg_dump", 15, tmp_path)
