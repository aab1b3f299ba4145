"""Names as they are and as they turn out when GBK and UTF-8 are mistaken for each other, and the check that tells them apart."""

from pathlib import Path

from ruamel.yaml import YAML

SOUND = ("张三", "锟龙", "𠮷田😀", "㐀镕堃喆", "Jürgen Ménière", "A座 12号，东门（西）", "")
SPOILT = ("张?", "锟斤拷", "患者锛", "病史銆", "鈥渁", "张\ufffd", "\ufffd\ufffd\ufffd")
ROWS = dict(enumerate((*SOUND, *SPOILT), start=1))
WRONG = [number for number, name in ROWS.items() if name in SPOILT]


def question() -> str:
    """The SQL of the HIS's check: the key of each row of ``patient`` whose name or address is spoilt."""
    job = YAML(typ="safe").load(Path(__file__).parents[2] / "jobs" / "his.yaml")
    return str(next(check["sql"] for check in job["checks"] if check["name"] == "names-readable"))


def patients(column: str, names: dict[int, str] = ROWS) -> str:
    """Statements that make the table with them, each once as a name and once as an address."""
    sound = "'张三'"
    rows = [f"({number}, '{name}', {sound}), ({number + 100}, {sound}, '{name}')" for number, name in names.items()]
    return (
        f"CREATE TABLE patient (id int, name {column}, address {column}); INSERT INTO patient VALUES {', '.join(rows)}"
    )


def wrong() -> list[int]:
    return sorted([*WRONG, *(number + 100 for number in WRONG)])
