"""Texts of MariaDB that drmgr reads or writes: rights, option files, complaints."""

import re
from pathlib import Path

import pytest

from drmgr.engines.mariadb.accounts import Account, account_facts, concerns, made_name, renamed
from drmgr.engines.mariadb.capture import dump_reason
from drmgr.engines.mariadb.connection import read_password, write_passfile
from drmgr.engines.mariadb.preflight import refuse_version
from drmgr.errors import PreflightError
from drmgr.system.secret import Secret


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ("GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*X'", True),
        ("GRANT SELECT ON `his`.* TO `a`@`%`", True),
        ("GRANT SELECT ON `h\\_s`.* TO `a`@`%`", False),
        ("GRANT SELECT (`id`) ON `his`.`t ON ``x``.y` TO `a`@`%`", True),
        ("GRANT EXECUTE ON PROCEDURE `his`.`p` TO `a`", True),
        ("GRANT EXECUTE ON PROCEDURE `lis`.`p` TO `a`", False),
        ("GRANT `nurse` TO `a`@`%` WITH ADMIN OPTION", True),
        ("GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", True),
        ("SET DEFAULT ROLE `nurse` FOR `a`@`%`", True),
    ],
)
def test_rights_that_concern_a_database(grant: str, expected: bool) -> None:
    assert concerns(grant, "his") is expected


def test_rights_follow_a_database_to_its_new_name() -> None:
    assert renamed("GRANT SELECT ON `his`.`a` TO `a`@`%`", "n`w") == "GRANT SELECT ON `n``w`.`a` TO `a`@`%`"
    assert renamed("GRANT USAGE ON *.* TO `a`@`%`", "new") == "GRANT USAGE ON *.* TO `a`@`%`"


def test_the_order_of_columns_in_a_right_does_not_matter_and_all_else_does() -> None:
    def facts(grant: str) -> object:
        return account_facts([Account("a", "CREATE USER a", (grant,), 0)])

    assert facts("GRANT SELECT (`a`, `b`) ON") == facts("GRANT SELECT (`b`, `a`) ON")
    assert facts("GRANT SELECT (`a`, `b`) ON") != facts("GRANT SELECT (`a`) ON")
    assert made_name("CREATE USER IF NOT EXISTS `a``b`@`10.%` IDENTIFIED") == "`a``b`@`10.%`"
    assert made_name("CREATE ROLE IF NOT EXISTS `r`") == "`r`"


def test_a_password_survives_the_option_file(tmp_path: Path) -> None:
    for password in ("", "a\"b\\c'd#e;f g", "密码\\n", '\\"'):
        path = write_passfile(tmp_path, Secret(password))
        assert path.stat().st_mode & 0o177 == 0
        assert read_password(path) == Secret(password)
    with pytest.raises(PreflightError, match="line break"):
        write_passfile(tmp_path, Secret("a\nb"))


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("mariadb-dump: Error 2013: Lost connection to server during query when dumping table `a` at row: 7", "lost"),
        ("mariadb-dump: Couldn't execute 'SHOW CREATE VIEW `v`': View '张三' references invalid (1356)", "a view"),
        ("mariadb-dump: Error: 'Table definition has changed' when dumping: 1412: x", "error|ended|changed"),
        ("", "ended with code 2"),
    ],
)
def test_what_the_dump_program_complains_of_is_told_without_data(stderr: str, told: str) -> None:
    found = dump_reason(stderr, 2)
    assert re.search(told, found)
    assert "张三" not in found


@pytest.mark.parametrize("version", ["8.0.36", "10.3.39-MariaDB", "5.7.44-log"])
def test_servers_that_cannot_hold_commits_are_refused(version: str) -> None:
    with pytest.raises(PreflightError) as refused:
        refuse_version(version)
    assert ("MySQL" in refused.value.hint) is ("MariaDB" not in version)


@pytest.mark.parametrize("version", ["10.11.19-MariaDB-0+deb12u1", "5.5.5-10.6.2-MariaDB", "11.8.3-MariaDB-log"])
def test_servers_that_can_are_taken(version: str) -> None:
    refuse_version(version)
