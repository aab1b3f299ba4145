"""How two facts differ, by the rules the checks go by."""

from drmgr.model import Facts, Json


def differences(expected: Facts, actual: Facts) -> list[str]:
    """``group: item`` of everything that is not as it was; a sequence may lie anywhere in its range."""
    found = [f"{group}: missing" for group in expected.groups.keys() ^ actual.groups.keys()]
    for group, items in expected.groups.items():
        others = actual.groups.get(group, {})
        found += [
            f"{group}: {name}"
            for name in sorted(items.keys() | others.keys())
            if not _agree(group, items.get(name), others.get(name))
        ]
    return found


def _agree(group: str, expected: Json, actual: Json) -> bool:
    if group == "sequences" and expected is not None and actual is not None:
        return bool(expected["low"] <= actual["low"] == actual["high"] <= expected["high"])
    return bool(expected == actual)
