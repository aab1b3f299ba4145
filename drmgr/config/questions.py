"""Whether a check's SQL asks anything of the restored data. No parser of SQL: only what is surely nothing is named.

Such a check stops no backup and no restore: its level does not rest on it, and ``config check`` warns of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from drmgr.model import Json

_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$#@]+|\S""", re.DOTALL
)
_QUERY = {"select", "with", "values"}
_ENDS = {
    *("where", "group", "having", "order", "limit", "offset", "fetch", "for", "window"),
    *("union", "except", "intersect", "select", ";"),
}
_GIVES_ROWS_OF_NOTHING = {
    *("generate_series", "generate_subscripts", "unnest", "string_to_table", "regexp_split_to_table", "string_split"),
    *("json_each", "jsonb_each", "json_table", "openjson", "json_array_elements", "jsonb_array_elements"),
}
"""Functions whose rows come from their arguments; any other may read a table."""
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


def warnings(jobs: Mapping[str, Json], drills: Mapping[str, Json]) -> list[str]:
    """Every check of jobs and drills, as plain values, that asks nothing, and why."""
    checks = [(f"jobs/{name}", check) for name, job in sorted(jobs.items()) for check in job.get("checks", ())]
    checks += [(f"drills/{name}", check) for name, drill in sorted(drills.items()) for check in drill.get("across", ())]
    return [
        f"{where}: the check {check['name']}: {'.'.join(way)} {text}; no level rests on it"
        for where, check in checks
        for way, text in wrong_question(check)
    ]


def reads_a_table(sql: str) -> bool:
    """False when surely none is named after FROM or JOIN: functions, constants and WITH of constants are none."""
    tokens = _tokens(sql)
    if "\\'" in sql or tokens[:1] == ["table"]:
        # where a text ends is not known, or TABLE names one
        return True
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
            if token not in own | _NO_TABLE and not _is_of_nothing(tokens, place):
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


def _is_of_nothing(tokens: Sequence[str], place: int) -> bool:
    """Whether that name, with its schema, is called as a function whose rows come from its arguments."""
    while tokens[place + 1 : place + 2] == ["."]:
        place += 2
    return tokens[place + 1 : place + 2] == ["("] and tokens[place] in _GIVES_ROWS_OF_NOTHING


def _own_names(tokens: Sequence[str]) -> set[str]:
    """Names that WITH gives to queries of its own, which are looked into by themselves.

    One that names itself, and is not recursive, reads the table of that name.
    """
    if "with" not in tokens:
        return set()
    text = " ".join(tokens)
    named = re.finditer(r"(?:with|recursive|,) (\S+) (?:\( [^()]*\) )?as (?:not )?(?:materialized )?\(", text)
    found = {each[1]: _body(text[each.end() :]) for each in named}
    if "recursive" in tokens:
        return set(found)
    return {name for name, body in found.items() if not re.search(rf"(?:from|join|,) {re.escape(name)}\b", body)}


def _body(text: str) -> str:
    """Up to the parenthesis that closes it."""
    depth = 1
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return text[:place]
    return text


def _counts(tokens: Sequence[str]) -> bool:
    """Whether the query gives one count and nothing else."""
    if {"union", "except", "intersect", "group", "having"} & set(tokens):
        return False
    return re.match(r"select count \( [^()]*\) from ", " ".join(tokens)) is not None


def _tokens(sql: str) -> list[str]:
    """Words, signs and texts, without comments; words that are not quoted in lower case."""
    found = (token for token in _TOKEN.findall(sql) if not token.startswith(("--", "/*")))
    return [token if token[0] in "'\"`" else token.lower() for token in found]


def _at(data: Json, *way: str) -> Json:
    for key in way:
        data = data.get(key) if isinstance(data, dict) else None
    return data
