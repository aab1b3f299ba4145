"""The server's accounts and roles with their rights: a server rebuilt from nothing needs them."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drmgr.engines.mariadb.connection import Session, quoted, run
from drmgr.model import Json

ACCOUNTS = (
    "SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.is_role'), 0) IN ('1', 'true') FROM mysql.global_priv "
    "ORDER BY User, Host"
)

MADE_BY_INSTALLATION = frozenset(
    {("root", "localhost"), ("mysql", "localhost"), ("mariadb.sys", "localhost"), ("PUBLIC", "")}
)
"""Every new server has its own of these; taking over their passwords would lock its owner out."""


@dataclass(frozen=True)
class Account:
    """One account or role: the statement that makes it, and those of its rights that concern this database."""

    name: str
    create: str
    grants: tuple[str, ...]
    elsewhere: int


def read_accounts(session: Session, database: str, known_as: str = "") -> tuple[Account, ...]:
    """All accounts of the server but those that every installation makes. Raises pymysql.Error.

    ``known_as`` is the name that the database has in use, where it lies beside under another: rights on either are its own,
    and are told under that name.
    """
    found = []
    for user, host, role in run(session, ACCOUNTS):
        if (user, host) in MADE_BY_INSTALLATION:
            continue
        name = quoted(user) if role else f"{quoted(user)}@{quoted(host)}"
        create = f"CREATE ROLE {name}" if role else str(run(session, f"SHOW CREATE USER {name}")[0][0])
        lines = sorted(str(line) for (line,) in run(session, f"SHOW GRANTS FOR {name}"))
        own = tuple(line for line in lines if concerns(line, database) or (known_as and concerns(line, known_as)))
        told = {line if not known_as or concerns(line, known_as) else renamed(line, known_as) for line in own}
        found.append(Account(name, create, tuple(sorted(told)), len(lines) - len(own)))
    return tuple(found)


_OBJECT = re.compile(
    r"^GRANT .*? ON (?:(?:PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY) )?(\*|`(?:[^`]|``)*`)\.(?:\*|`(?:[^`]|``)*`) TO "
)


def concerns(grant: str, database: str) -> bool:
    """Whether a right counts for this database: it is global, a role's, or names the database."""
    found = _OBJECT.match(grant)
    if found is None:
        # roles, default roles and proxies name no object
        return " ON " not in grant or grant.startswith(("GRANT PROXY ON ", "SET DEFAULT ROLE "))
    if found[1] == "*":
        return True
    return _plain(found[1]) == database


def _plain(name: str) -> str:
    return re.sub(r"\\([_%])", r"\1", name[1:-1].replace("``", "`"))


def renamed(grant: str, database: str) -> str:
    """The same right on a database of another name."""
    found = _OBJECT.match(grant)
    if found is None or found[1] == "*":
        return grant
    return f"{grant[: found.start(1)]}{quoted(database)}{grant[found.end(1) :]}"


def account_facts(accounts: Sequence[Account]) -> dict[str, Json]:
    """Digests: an account's statement holds the hash of its password."""
    return {
        account.name: {"account": _digest([account.create]), "grants": _digest(map(_ordered, account.grants))}
        for account in accounts
    }


def _ordered(grant: str) -> str:
    """The server tells the columns of a right in any order."""
    return re.sub(r"\((`[^()]*`)\)", lambda found: f"({', '.join(sorted(found[1].split(', ')))})", grant)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def write_script(path: Path, accounts: Sequence[Account]) -> None:
    """A script, one statement a line, that a person can run by hand too. Raises OSError."""
    makers = [_if_absent(account.create) for account in accounts]
    lines = [*makers, *(grant for account in accounts for grant in account.grants)]
    path.write_text("".join(f"{line};\n" for line in lines), encoding="utf-8")
    path.chmod(0o600)


def read_script(path: Path) -> tuple[list[str], list[str]]:
    """(statements that make accounts, statements that grant rights). Raises OSError."""
    lines = [line.rstrip(";") for line in path.read_text(encoding="utf-8").splitlines() if line]
    makers = [line for line in lines if line.startswith("CREATE ")]
    return makers, [line for line in lines if not line.startswith("CREATE ")]


def _if_absent(create: str) -> str:
    return re.sub(r"^CREATE (USER|ROLE) ", r"CREATE \1 IF NOT EXISTS ", create)


def made_name(create: str) -> str:
    """The account that a statement of the script makes, as it is written there."""
    found = re.match(r"CREATE (?:USER|ROLE) IF NOT EXISTS (`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?)", create)
    return found[1] if found else ""


def only_wanted(found: Mapping[str, Json], wanted: Iterable[str]) -> dict[str, Json]:
    """A server may hold more accounts than the backup brought."""
    return {name: item for name, item in found.items() if name in set(wanted)}
