import pytest

from drmgr.engines.postgres.roles import _role_of, statements
from drmgr.errors import LoadError

SCRIPT = '''--
-- Roles
--
\\restrict abc
SET client_encoding = 'UTF8';

CREATE ROLE "护士 ""N""";
COMMENT ON ROLE app IS 'one;
-- two; ''quoted'';
three';
GRANT a TO "b c" WITH ADMIN OPTION GRANTED BY postgres;
\\unrestrict abc
'''


def test_a_script_falls_into_its_statements() -> None:
    assert list(statements(SCRIPT.splitlines(keepends=True))) == [
        "SET client_encoding = 'UTF8';",
        'CREATE ROLE "护士 ""N""";',
        "COMMENT ON ROLE app IS 'one;\n-- two; ''quoted'';\nthree';",
        'GRANT a TO "b c" WITH ADMIN OPTION GRANTED BY postgres;',
    ]
    with pytest.raises(LoadError):
        list(statements(["CREATE ROLE x\n"]))


def test_each_statement_knows_whose_it_is() -> None:
    found = [_role_of(statement) for statement in statements(SCRIPT.splitlines(keepends=True))]
    assert found == [None, '护士 "N"', "app", "b c"]
    assert _role_of("ALTER ROLE app WITH LOGIN;") == "app"
    assert _role_of("GRANT a TO b;") == "b"
