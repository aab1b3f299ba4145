"""Reads the site file, all jobs and all drills, and names every mistake at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel

from drmgr.config.models import Drill, Job, SiteFile
from drmgr.config.problems import mistakes_in
from drmgr.config.references import (
    Loc,
    Mistake,
    dependency_mistakes,
    drill_mistakes,
    job_mistakes,
    nearest,
    retired_mistakes,
    site_mistakes,
    source_mistakes,
)
from drmgr.config.yamlfile import YamlFile, read_yaml
from drmgr.errors import ConfigError, UsageError
from drmgr.model import Json

_SUFFIXES = {".yaml", ".yml"}
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class LoadedSite:
    """A configuration without mistakes. ``files`` and ``drill_files`` say which file a job or drill came from."""

    path: Path
    site: SiteFile
    jobs: Mapping[str, Job]
    drills: Mapping[str, Drill]
    files: Mapping[str, Path]
    drill_files: Mapping[str, Path]

    @property
    def base(self) -> Path:
        """The folder of the site file, which relative paths are relative to."""
        return self.path.parent

    def resolve(self, path_text: str | Path) -> Path:
        """The absolute path of what the configuration says."""
        return Path(os.path.normpath(self.base / path_text))

    def job(self, system: str) -> Job:
        """Raises UsageError when there is no such system."""
        return _named(self.jobs, system, "system")

    def drill(self, name: str) -> Drill:
        """Raises UsageError when there is no such drill."""
        return _named(self.drills, name, "drill")


def load_site(path: Path) -> LoadedSite:
    """Reads everything below the site file.

    Raises ConfigError with one problem ``file:line: path.to.field: what is wrong`` for every mistake in all files.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - keeps symbolic links, unlike resolve()
    if not path.is_file():
        raise ConfigError(
            f"there is no site file {_shown(path)}",
            hint="name yours with --config FILE; a new site: drmgr init; a host that was lost: drmgr recover",
        )
    reader = _Reader(path)
    site = reader.site()
    if site is None or reader.problems:
        count = len(reader.problems)
        mistakes = "1 mistake" if count == 1 else f"{count} mistakes"
        raise ConfigError(f"the configuration has {mistakes}", problems=reader.sorted_problems())
    return LoadedSite(
        path,
        site,
        MappingProxyType(reader.jobs),
        MappingProxyType(reader.drills),
        MappingProxyType(reader.job_files),
        MappingProxyType(reader.drill_files),
    )


class _Reader:
    """Gathers what is right and what is wrong, file by file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, Job] = {}
        self.drills: dict[str, Drill] = {}
        self.job_files: dict[str, Path] = {}
        self.drill_files: dict[str, Path] = {}
        self.problems: set[tuple[int, Path, int, str]] = set()
        self._order: dict[Path, int] = {}
        self._unread: list[str] = []
        self._read_jobs: dict[str, YamlFile] = {}

    def site(self) -> SiteFile | None:
        """Reads all files; what it finds is in the attributes."""
        file = self._read(self.path)
        site = self._model(file, SiteFile, site_mistakes(file.data))
        for job_file in self._files(file, "jobs"):
            self._job(job_file, file.data)
        self._dependencies()
        for mistake in retired_mistakes(file.data, self.job_files):
            self._add(file, mistake)
        for drill_file in self._files(file, "drills"):
            self._drill(drill_file, file.data)
        return site

    def sorted_problems(self) -> list[str]:
        """File by file in the order of reading, then by line."""
        return [f"{_shown(path)}:{line}: {text}" for _, path, line, text in sorted(self.problems)]

    def _job(self, path: Path, site: Json) -> None:
        file = self._read(path)
        mistakes = job_mistakes(file.data)
        if isinstance(site, dict):
            mistakes += source_mistakes(file.data, site)
        system = file.data.get("system") if isinstance(file.data, dict) else None
        if not isinstance(system, str):
            # drills that name it are not at fault
            self._unread.append(path.stem)
        else:
            mistakes += self._claim(self.job_files, system, path, "system")
            self._read_jobs.setdefault(system, file)
            if path.name not in {f"{system}{suffix}" for suffix in _SUFFIXES}:
                mistakes.append(Mistake(("system",), f"is {system}, so the file must be named {system}.yaml"))
        job = self._model(file, Job, mistakes)
        if job is not None:
            self.jobs[job.system] = job

    def _dependencies(self) -> None:
        jobs = {system: file.data for system, file in self._read_jobs.items()}
        for system, mistakes in dependency_mistakes(jobs, [*self.job_files, *self._unread]).items():
            for mistake in mistakes:
                self._add(self._read_jobs[system], mistake)

    def _drill(self, path: Path, site: Json) -> None:
        file = self._read(path)
        mistakes = drill_mistakes(file.data, [*self.job_files, *self._unread], site)
        name = file.data.get("drill") if isinstance(file.data, dict) else None
        if isinstance(name, str):
            mistakes += self._claim(self.drill_files, name, path, "drill")
        drill = self._model(file, Drill, mistakes)
        if drill is not None:
            self.drills[drill.drill] = drill

    def _claim(self, files: dict[str, Path], name: str, path: Path, field: str) -> list[Mistake]:
        if name in files:
            return [Mistake((field,), f"is {name}, which {_shown(files[name])} has already")]
        files[name] = path
        return []

    def _files(self, site: YamlFile, field: str) -> list[Path]:
        """The YAML files of a folder. One that is named but not there is a mistake: a typo must not hide all systems."""
        data = site.data if isinstance(site.data, dict) else {}
        named = data.get(field, field)
        if not isinstance(named, str) or "\0" in named:
            return []
        folder = Path(os.path.normpath(self.path.parent / named))
        try:
            found = sorted(folder.iterdir())
        except OSError as error:
            if field in data or not isinstance(error, FileNotFoundError):
                why = (error.strerror or str(error)).lower()
                self._add(site, Mistake((field,), f"names the folder {_shown(folder)}, which cannot be read: {why}"))
            return []
        return [path for path in found if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]

    def _read(self, path: Path) -> YamlFile:
        self._order.setdefault(path, len(self._order))
        file = read_yaml(path)
        for line, mistake in file.mistakes:
            self._add(file, mistake, line)
        return file

    def _model(self, file: YamlFile, model: type[_Model], more: list[Mistake]) -> _Model | None:
        if file.data is None and file.mistakes:
            return None
        value, mistakes = mistakes_in(model, file.data)
        for mistake in (*mistakes, *more):
            self._add(file, mistake)
        return value if isinstance(value, model) else None

    def _add(self, file: YamlFile, mistake: Mistake, line: int | None = None) -> None:
        field = _field(mistake.loc)
        text = f"{field}: {mistake.text}" if field else mistake.text
        self.problems.add((self._order[file.path], file.path, line or file.line(mistake.loc), text))


_Named = TypeVar("_Named")


def _named(known: Mapping[str, _Named], name: str, what: str) -> _Named:
    if name not in known:
        raise UsageError(f"there is no {what} {name}{nearest(name, known)}", hint=f"every {what} has a file of its own")
    return known[name]


def _field(loc: Loc) -> str:
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
