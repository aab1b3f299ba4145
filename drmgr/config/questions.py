"""Whether a check's SQL asks anything of the restored data. No parser of SQL: only what is surely nothing is refused."""

import re
from collections.abc import Iterator, Sequence

from drmgr.model import Json

_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$#@]+|\S""", re.DOTALL
)
_QUERY = {"select", "with", "values"}
_ENDS = {
    *("where", "group", "having", "order", "limit", "offset", "fetch", "for", "window"),
    *("union", "except", "intersect", "select", ";"),
}
_BEFORE_A_TABLE = {"lateral", "only"}
_NO_TABLE = {"dual", "values", "select", "with"}

READS_NOTHING = "reads no table, so it asks nothing of the restored data"


def wrong_question(check: Json) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the queries of a check, and where: those that hold whatever the data are prove nothing."""
    for way in (("sql",), ("index", "sql"), ("left", "sql"), ("right", "sql")):
        found = _at(check, *way)
        # what is blank is said elsewhere
        if isinstance(found, str) and found.strip() and not reads_a_table(found):
            yield way, READS_NOTHING
    sql, other = _at(check, "sql"), _at(check, "expect", "equals_sql")
    if isinstance(sql, str) and isinstance(other, str) and _tokens(sql) == _tokens(other):
        yield ("expect", "equals_sql"), "is the very query of sql, which equals itself whatever the data are"
    least = _at(check, "expect", "at_least")
    if isinstance(sql, str) and isinstance(least, int | float) and least <= 0 and _counts(_tokens(sql)):
        yield ("expect", "at_least"), f"is {least}, and a count is never below 0: it holds whatever the data are"


def reads_a_table(sql: str) -> bool:
    """False when surely none is named after FROM or JOIN: functions, constants and WITH of constants are none."""
    tokens = _tokens(sql)
    own = _own_names(tokens)
    clauses: list[_Clause] = [_Clause(query=True)]
    for place, token in enumerate(tokens):
        clause = clauses[-1]
        if token == "(":
            after = tokens[place + 1] if place + 1 < len(tokens) else ""
            # a table may stand in parentheses of its own: FROM (a JOIN b)
            joined = clause.expects and after not in _QUERY
            clauses.append(_Clause(query=joined or after in _QUERY, expects=joined, listing=joined))
            clause.expects = False
        elif token == ")":
            clauses = clauses[:-1] or [_Clause(query=True)]
        elif clause.expects and token not in _BEFORE_A_TABLE:
            clause.expects = False
            if token not in own | _NO_TABLE and not _is_called(tokens, place):
                return True
        else:
            clause.take(token, tokens[place - 1] if place else "")
    return False


class _Clause:
    """What stands between two parentheses. ``expects``: a table is named next; ``listing``: a comma brings one more."""

    def __init__(self, *, query: bool, expects: bool = False, listing: bool = False) -> None:
        self.query, self.expects, self.listing = query, expects, listing

    def take(self, token: str, before: str) -> None:
        # EXTRACT(YEAR FROM x) and IS DISTINCT FROM name no table
        if (token == "from" and self.query and before != "distinct") or (token == "join" and self.listing):
            self.expects = self.listing = True
        elif token == ",":
            self.expects = self.listing
        elif token in _ENDS:
            self.listing = False


def _is_called(tokens: Sequence[str], place: int) -> bool:
    """Whether that name, with its schema, is followed by a parenthesis: a function, but for SQL Server's (nolock)."""
    while tokens[place + 1 : place + 2] == ["."]:
        place += 2
    return tokens[place + 1 : place + 2] == ["("] and tokens[place + 2 : place + 3] != ["nolock"]


def _own_names(tokens: Sequence[str]) -> set[str]:
    """Names that WITH gives to queries of its own, which are looked into by themselves."""
    if "with" not in tokens:
        return set()
    text = " ".join(tokens)
    return set(re.findall(r"(?:with|recursive|,) (\S+) (?:\( [^()]*\) )?as (?:not )?(?:materialized )?\(", text))


def _counts(tokens: Sequence[str]) -> bool:
    """Whether the query gives one count and nothing else."""
    return re.match(r"select count \( [^()]*\) from ", " ".join(tokens)) is not None


def _tokens(sql: str) -> list[str]:
    """Words, signs and texts, without comments; words that are not quoted in lower case."""
    found = (token for token in _TOKEN.findall(sql) if not token.startswith(("--", "/*")))
    return [token if token[0] in "'\"`" else token.lower() for token in found]


def _at(data: Json, *way: str) -> Json:
    for key in way:
        data = data.get(key) if isinstance(data, dict) else None
    return data
