"""One YAML 1.2 file as plain values, with the line on which each of them stands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from drmgr.config.references import UNREADABLE, Loc, Mistake
from drmgr.model import Json

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}
_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "value")}
_STRUCTURES = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq")}


@dataclass
class YamlFile:
    """What a file holds. ``data`` is None when it could not be read; ``mistakes`` then says why."""

    path: Path
    data: Json = None
    lines: dict[Loc, int] = field(default_factory=dict)
    mistakes: list[tuple[int, Mistake]] = field(default_factory=list)

    def line(self, loc: Loc) -> int:
        """The line of the value, or of the nearest thing around it that is in the file."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def read_yaml(path: Path) -> YamlFile:
    """Reads the file; whatever is wrong with it lands in ``mistakes``. Raises nothing for a file that is broken or gone."""
    result = YamlFile(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        result.mistakes.append((1, Mistake((), f"cannot be read: {(error.strerror or str(error)).lower()}")))
        return result
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        result.mistakes.append((line, Mistake((), "is not UTF-8 text")))
        return result
    _parse(text, result)
    return result


def _parse(text: str, result: YamlFile) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        node = yaml.compose(text)
        if node is None:
            result.mistakes.append((1, Mistake((), "is empty")))
        else:
            result.data = _Reader(yaml, result).value(node, (), ())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, text.count("\n") + 1) if mark is not None else 1
        what = error.problem or error.context or "cannot be understood"
        if "alias" in what:
            # ruamel names it, and somebody may have written a password that begins with *
            what = "found an alias (*) that stands for nothing"
        result.mistakes.append((line, Mistake((), f"is not valid YAML: {what}")))
    except YAMLError as error:
        position = getattr(error, "position", 0)
        line = text[:position].count("\n") + 1
        result.mistakes.append((line, Mistake((), "holds a character that YAML does not allow")))


class _Reader:
    """Turns ruamel's nodes into plain values; its own constructors would quote values of duplicate keys in errors."""

    def __init__(self, yaml: YAML, result: YamlFile) -> None:
        self._yaml = yaml
        self._result = result

    def value(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> Json:
        self._result.lines.setdefault(loc, node.start_mark.line + 1)
        if any(node is other for other in above):
            return self._wrong(node, loc, "holds itself by an alias")
        if isinstance(node, MappingNode) and node.tag in _STRUCTURES:
            return self._mapping(node, loc, (*above, node))
        if isinstance(node, SequenceNode) and node.tag in _STRUCTURES:
            return [self.value(item, (*loc, index), (*above, node)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in _TEXT:
            return str(node.value)
        if isinstance(node, ScalarNode) and node.tag in _PLAIN:
            return self._scalar(node, loc)
        return self._wrong(node, loc, "has a tag (!) that means nothing here")

    def _scalar(self, node: ScalarNode, loc: Loc) -> Json:
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, KeyError, IndexError):
            # an explicit tag such as !!int on text that is no number
            return self._wrong(node, loc, "does not fit its tag")

    def _mapping(self, node: MappingNode, loc: Loc, above: tuple[Node, ...]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._wrong(key_node, loc, "has a merge key (<<); write the values out")
                continue
            if not isinstance(key_node, ScalarNode) or key_node.tag not in _TEXT:
                self._wrong(key_node, loc, "has a key that is not text; put it in quotes")
                continue
            key = str(key_node.value)
            here = (*loc, key)
            if key in found:
                self._wrong(key_node, here, f"is there twice; first on line {self._result.lines[here]}")
                continue
            self._result.lines[here] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, here, above)
        return found

    def _wrong(self, node: Any, loc: Loc, text: str) -> object:
        self._result.mistakes.append((node.start_mark.line + 1, Mistake(loc, text)))
        return UNREADABLE
