"""Whether an SQL text is one that every database of the field takes, SQL Server among them: words are allowed one by one."""

import re

TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><>|<=|>=|[-+*/=<>(),.])|(?P<space>\s+)|(?P<wrong>.)",
    re.DOTALL,
)

KEYWORDS = {
    *("select", "from", "where", "join", "left", "on", "as", "and", "or", "not", "is", "null", "in", "like", "exists"),
    *(
        "group",
        "by",
        "having",
        "order",
        "asc",
        "desc",
        "union",
        "all",
        "distinct",
        "case",
        "when",
        "then",
        "else",
        "end",
    ),
    *("between",),
}
"""What the texts may be made of; all else is a name."""

FUNCTIONS = {"count", "sum", "min", "max", "abs", "coalesce", "replace"}
"""Those that mean the same everywhere, replace of what is no letter. avg does not: of whole numbers it is whole on some."""

BEFORE_BRACKET = {
    "from",
    "join",
    "in",
    "and",
    "or",
    "not",
    "on",
    "where",
    "when",
    "then",
    "else",
    "as",
    "exists",
    "select",
}

_WORDS = """
add all alter and any as asc authorization backup begin between break browse bulk by cascade case check checkpoint
close clustered coalesce collate column commit compute constraint contains containstable continue convert create cross
current current_date current_time current_timestamp current_user cursor database dbcc deallocate declare default
delete deny desc disk distinct distributed double drop dump else end errlvl escape except exec execute exists exit
external fetch file fillfactor for foreign freetext freetexttable from full function goto grant group having holdlock
identity identity_insert identitycol if in index inner insert intersect into is join key kill left like lineno load
merge national nocheck nonclustered not null nullif of off offsets on open opendatasource openquery openrowset openxml
option or order outer over percent pivot plan precision primary print proc procedure public raiserror read readtext
reconfigure references replication restore restrict return revert revoke right rollback rowcount rowguidcol rule save
schema securityaudit select session_user set setuser shutdown some statistics system_user table tablesample textsize
then to top tran transaction trigger truncate try_convert tsequal union unique unpivot update updatetext use user
values varying view waitfor when where while with writetext limit offset using natural true false rows rank row
lateral window interval returning ilike regexp date time timestamp groups system condition usage
"""
RESERVED = frozenset(_WORDS.split())
"""Words that SQL Server, MySQL or PostgreSQL take for something else than a name."""


def faults(sql: str) -> list[str]:
    """What in the text is not portable; nothing for one that every database takes."""
    found: list[str] = []
    before, depth = "", 0
    for match in TOKEN.finditer(sql):
        kind, token = str(match.lastgroup), match.group()
        if kind == "space":
            continue
        if kind == "wrong":
            found.append(f"the character {token}")
        elif kind == "word":
            found += _word(token.lower(), sql[match.end() :].lstrip().startswith("("), depth)
        elif token == "(" and re.fullmatch(r"\w+", before) and before not in FUNCTIONS | BEFORE_BRACKET:
            found.append(f"the function or type {before}()")
        depth += {"(": 1, ")": -1}.get(token, 0)
        before = token.lower()
    return [*found, *_nameless(sql)]


def _word(word: str, opens: bool, depth: int) -> list[str]:
    if word in FUNCTIONS:
        return [] if opens else [f"the name {word}, which is a function"]
    if word == "order" and depth > 0:
        return ["an order below the top, which SQL Server refuses"]
    return [f"the word {word}"] if word in RESERVED - KEYWORDS else []


def _nameless(sql: str) -> list[str]:
    """A query in FROM needs a name of its own."""
    found = []
    for start in re.finditer(r"\b(?:FROM|JOIN)\s*\(", sql, re.IGNORECASE):
        depth, at = 1, start.end()
        while depth and at < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            at += 1
        name = re.match(r"\s*(?:AS\s+)?([A-Za-z_]\w*)?", sql[at:], re.IGNORECASE)
        if name is None or name[1] is None or name[1].lower() in KEYWORDS:
            found.append("a query in FROM without a name")
    return found
