"""What one part of the configuration says of another. Works on plain values, so a mistake elsewhere hides none here."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from drmgr.model import Json

Loc = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the file."""


UNREADABLE = object()
"""Stands for a value that YAML itself got wrong; that is said once, and not again by whoever looks at the value."""


@dataclass(frozen=True)
class Mistake:
    """Something wrong at ``loc``; ``text`` follows on the name of the field: ``must be …``, ``is missing``."""

    loc: Loc
    text: str


ENGINE_KINDS = {
    "postgresql": "database",
    "mariadb": "database",
    "sqlserver": "database",
    "sqlite": "database",
    "files": "files",
}
"""Which kind of source lives behind a connection of each engine."""

_RULES = ("equals", "at_least", "at_most", "equals_sql")


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """What to add to a message about an unknown word: the nearest known one, or all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(names)}" if names else ""


def expect_mistakes(expect: Json) -> list[Mistake]:
    """Exactly one rule is given."""
    if not isinstance(expect, dict):
        return []
    given = [rule for rule in _RULES if rule in expect]
    if len(given) == 1:
        return []
    return [Mistake((), f"must hold exactly one of {', '.join(_RULES)}, not {' and '.join(given) or 'none'}")]


def site_mistakes(site: Json) -> list[Mistake]:
    """Restores and drills may go only to connections that exist; a physical connection names its files."""
    connections = _mapping(_at(site, "connections"))
    physical = [
        Mistake(
            ("connections", name), "has the method physical and needs data_directory, the server's files on this host"
        )
        for name, connection in connections.items()
        if _at(connection, "method") == "physical"
        and _at(connection, "data_directory") is None
        # what PostgreSQL has elsewhere can be streamed
        and _at(connection, "engine") != "postgresql"
    ]
    return [
        *physical,
        *_scratch_mistakes(site, connections),
        *_through_mistakes(site, connections),
        *(
            Mistake(loc, f"names the connection {name}, which is not there{nearest(name, connections)}")
            for kind in ("connections", "tables")
            for loc, name in _names(site, "restore", "allow", kind)
            if name not in connections
        ),
    ]


def _scratch_mistakes(site: Json, connections: dict[str, Json]) -> list[Mistake]:
    name, loc = _at(site, "scratch", "sqlserver"), ("scratch", "sqlserver")
    if not isinstance(name, str):
        return []
    if name not in connections:
        return [Mistake(loc, f"names the connection {name}, which is not there{nearest(name, connections)}")]
    if _at(connections[name], "engine") != "sqlserver":
        return [Mistake(loc, f"names the connection {name}, which is no SQL Server")]
    return []


_PORTS = {"postgresql": 5432, "mariadb": 3306, "sqlserver": 1433}


def _through_mistakes(site: Json, connections: dict[str, Json]) -> Iterator[Mistake]:
    """Another account of the very same database, and never another database."""
    for name, through in _mapping(_at(site, "restore", "through")).items():
        loc = ("restore", "through", name)
        for each in (name, through):
            if isinstance(each, str) and each not in connections:
                yield Mistake(loc, f"names the connection {each}, which is not there{nearest(each, connections)}")
        if not isinstance(through, str) or not {name, through} <= connections.keys():
            continue
        engine = _at(connections[name], "engine")
        for part in ("engine", "host", "port", "database"):
            default = _PORTS.get(str(engine)) if part == "port" else None
            ours, theirs = (_at(connections[each], part) for each in (name, through))
            if (default if ours is None else ours) != (default if theirs is None else theirs):
                yield Mistake(loc, f"names the connection {through}, which has another {part} than {name}")


def job_mistakes(job: Json) -> list[Mistake]:
    """Names are unique, checks use sources of this job of the right kind, and expect one thing."""
    kinds: dict[str, list[Json]] = {}
    for _, source in _items(job, "sources"):
        if isinstance(source.get("name"), str):
            kinds.setdefault(source["name"], []).append(source.get("kind"))
    mistakes = [*_twice(job, "sources"), *_twice(job, "checks"), *_own_dependencies(job)]
    for loc, check in _items(job, "checks"):
        for way, wanted in (
            (("source",), "database"),
            (("index", "source"), "database"),
            (("files",), "files"),
        ):
            name = _at(check, *way)
            if isinstance(name, str):
                mistakes += _use((*loc, *way), name, kinds, wanted)
        mistakes += [Mistake((*loc, "expect"), found.text) for found in expect_mistakes(check.get("expect"))]
    return mistakes + _canary_mistakes(job, kinds) + order_mistakes(job)


def _canary_mistakes(job: Json, kinds: Mapping[str, list[Json]]) -> list[Mistake]:
    """Each source has one at most; a row sits in a database, a file in a tree."""
    mistakes, seen = [], set()
    for loc, canary in _items(job, "canary"):
        name = canary.get("source")
        if not isinstance(name, str):
            continue
        if name not in kinds:
            text = f"names the source {name}, which this job does not have{nearest(name, kinds)}"
            mistakes.append(Mistake((*loc, "source"), text))
        if name in seen:
            mistakes.append(Mistake((*loc, "source"), f"names the source {name} twice; each has one canary"))
        seen.add(name)
        wrong = {"files": ("table", "key", "key_column", "column"), "database": ("path",)}
        for kind, fields in wrong.items():
            given = [field for field in fields if canary.get(field) is not None] if kinds.get(name) == [kind] else []
            mistakes += [Mistake((*loc, field), f"is not for a source of kind {kind}") for field in given]
    return mistakes


def order_mistakes(job: Json) -> list[Mistake]:
    """An index is captured before the files that its rows name: else a row comes without its file. Or all in a pause."""
    names = [source.get("name") for _, source in _items(job, "sources")]
    pairs: dict[tuple[str, str], Loc] = {}
    mistakes = []
    for loc, source in _items(job, "sources"):
        for way, followed in _names(source, "follows"):
            pairs[followed, str(source.get("name"))] = loc
            if followed not in names or followed == source.get("name"):
                text = f"names the source {followed}, which is not another one of this job"
                mistakes.append(Mistake((*loc, *way), text))
    for _, check in _items(job, "checks"):
        index, files = _at(check, "index", "source"), _at(check, "files")
        if isinstance(index, str) and files in names:
            pairs.setdefault((index, files), ("sources", names.index(files)))
    if _at(job, "pause") is not None:
        return mistakes
    for (first, then), loc in pairs.items():
        if first in names and then in names and names.index(first) > names.index(then):
            text = (
                f"is captured before {first}, whose rows name its files; put {first} first, or name a pause in the job"
            )
            mistakes.append(Mistake(loc, text))
    return mistakes


def source_mistakes(job: Json, site: Json) -> list[Mistake]:
    """The sources' connections exist, and their engines fit; so does the pause."""
    connections = _mapping(_at(site, "connections"))
    mistakes = []
    pause, pauses = _at(job, "pause"), _mapping(_at(site, "pauses"))
    if isinstance(pause, str) and pause not in pauses:
        text = f"names the pause {pause}, which is not in the site file{nearest(pause, pauses)}"
        mistakes.append(Mistake(("pause",), text))
    for loc, source in _items(job, "sources"):
        name, kind = source.get("connection"), source.get("kind")
        if not isinstance(name, str):
            continue
        if name not in connections:
            text = f"names the connection {name}, which is not in the site file{nearest(name, connections)}"
            mistakes.append(Mistake((*loc, "connection"), text))
            continue
        if name == _at(site, "scratch", "sqlserver"):
            text = f"names the connection {name}, which is the scratch server: drills would go onto production"
            mistakes.append(Mistake((*loc, "connection"), text))
        engine = _at(connections[name], "engine")
        behind = ENGINE_KINDS.get(engine) if isinstance(engine, str) else None
        if behind is not None and kind in ENGINE_KINDS.values() and behind != kind:
            text = f"names the connection {name}, whose engine {engine} is not for a source of kind {kind}"
            mistakes.append(Mistake((*loc, "connection"), text))
    return mistakes


def _own_dependencies(job: Json) -> Iterator[Mistake]:
    seen = set()
    for loc, name in _names(job, "depends_on"):
        if name == _at(job, "system"):
            yield Mistake(loc, f"names the system {name}, which is this one")
        if name in seen:
            yield Mistake(loc, f"names the system {name} twice")
        seen.add(name)


def dependency_mistakes(jobs: Mapping[str, Json], systems: list[str]) -> dict[str, list[Mistake]]:
    """By system: dependencies that have no job, and those that come back to the system itself. ``systems``: all there are."""
    needs = {system: {name: loc for loc, name in _names(job, "depends_on")} for system, job in jobs.items()}
    found: dict[str, list[Mistake]] = {system: [] for system in jobs}
    for system, needed in needs.items():
        for name, loc in needed.items():
            if name not in systems:
                text = f"names the system {name}, which has no job{nearest(name, systems)}"
                found[system].append(Mistake(loc, text))
            elif name != system and (way := _way_back(needs, name, system)):
                text = f"names the system {name}, which itself depends on this one: {' → '.join((system, *way))}"
                found[system].append(Mistake(loc, text))
    return found


def retired_mistakes(site: Json, systems: Collection[str]) -> list[Mistake]:
    """A system that is no more has no job. ``systems``: all that have one."""
    return [
        Mistake(loc, f"names the system {name}, which has a job")
        for loc, name in _names(site, "retired")
        if name in systems
    ]


def _way_back(needs: Mapping[str, Mapping[str, Loc]], begin: str, end: str) -> tuple[str, ...]:
    """From one system by its dependencies to another; nothing when there is no such way."""
    ways: list[tuple[str, ...]] = [(begin,)]
    seen = {begin}
    for way in ways:
        for name in needs.get(way[-1], {}):
            if name == end:
                return (*way, name)
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()


def drill_mistakes(drill: Json, systems: list[str], site: Json) -> list[Mistake]:
    """The drilled systems exist, each named once; so does the copy they are brought back from."""
    mistakes, seen = [], set()
    copy, copies = _at(drill, "from_copy"), _mapping(_at(site, "copies"))
    if isinstance(copy, str) and copy not in copies:
        text = f"names the copy {copy}, which is not in the site file{nearest(copy, copies)}"
        mistakes.append(Mistake(("from_copy",), text))
    for loc, name in _names(drill, "systems"):
        if name not in systems:
            mistakes.append(Mistake(loc, f"names the system {name}, which has no job{nearest(name, systems)}"))
        if name in seen:
            mistakes.append(Mistake(loc, f"names the system {name} twice"))
        seen.add(name)
    for loc, check in _items(drill, "across"):
        for side in ("left", "right"):
            name = _at(check, side, "system")
            if isinstance(name, str) and name not in seen:
                text = f"names the system {name}, which this drill does not bring back{nearest(name, sorted(seen))}"
                mistakes.append(Mistake((*loc, side, "system"), text))
    mistakes += _twice(drill, "across")
    return mistakes


def _use(loc: Loc, name: str, kinds: Mapping[str, list[Json]], wanted: str) -> list[Mistake]:
    if name not in kinds:
        return [Mistake(loc, f"names the source {name}, which this job does not have{nearest(name, kinds)}")]
    if all(kind in ENGINE_KINDS.values() and kind != wanted for kind in kinds[name]):
        return [Mistake(loc, f"names the source {name} of kind {kinds[name][0]}, but needs one of kind {wanted}")]
    return []


def _twice(job: Json, field: str) -> Iterator[Mistake]:
    seen = set()
    for loc, item in _items(job, field):
        name = item.get("name")
        if isinstance(name, str) and name in seen:
            yield Mistake((*loc, "name"), f"is {name} for a second time; names in {field} are unique")
        if isinstance(name, str):
            seen.add(name)


def _items(data: Json, field: str) -> Iterator[tuple[Loc, dict[str, Json]]]:
    items = _at(data, field)
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield (field, index), item


def _names(data: Json, *way: str) -> Iterator[tuple[Loc, str]]:
    names = _at(data, *way)
    for index, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str):
            yield (*way, index), name


def _at(data: Json, *way: str) -> Json:
    for key in way:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _mapping(data: Json) -> dict[str, Json]:
    return data if isinstance(data, dict) else {}
