"""How the stand-in reads statements: names, literals, lists, and the texts that are always the same."""

from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "sqlserver"
NAME, TEXT = r"\[((?:[^\]]|\]\])*)\]", r"N'((?:[^']|'')*)'"


def golden(name: str) -> str:
    """The text of a statement that always is the same, from its file."""
    return (GOLDEN / f"{name}.sql").read_text(encoding="utf-8").rstrip("\n")


def unbracketed(name: str) -> str:
    return name.replace("]]", "]")


def text_of(literal: str) -> str:
    return literal.replace("''", "'")


def parts(text: str) -> list[str]:
    """What stands between the commas, but for those in parentheses, names and literals."""
    found, depth, start, quote = [], 0, 0, ""
    for at, character in enumerate(text):
        if quote:
            # a doubled quote ends and begins again
            quote = "" if character == quote else quote
        elif character in "['":
            quote = "]" if character == "[" else "'"
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]
