"""``drmgr schedule install``: what is written where, shown as a difference, and then done."""

import os
import pwd
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.cli.scheduling.due import planned
from drmgr.errors import ConfigError, NotAllowedError, PreflightError, ToolError
from drmgr.model import RunKind
from drmgr.system import timers
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site

CRON_D = Path("/etc/cron.d")
UNITS = Path("/etc/systemd/system")
SYSTEMD_RUNS = Path("/run/systemd/system")
ADMIN = (Path("/usr/sbin"), Path("/sbin"))


@dataclass(frozen=True)
class Change:
    """One file, or the account's crontab (``path`` None), from one text to another; empty means not there."""

    path: Path | None
    before: str
    after: str

    @property
    def name(self) -> str:
        return "crontab" if self.path is None else str(self.path)

    @property
    def diff(self) -> str:
        return timers.diff(self.before, self.after, self.name)


def wanted_beats(opened: "Site") -> list[timers.Beat]:
    """The commands that have to be started regularly: none for what no schedule asks for."""
    kinds = {each.kind for each in planned(opened)}
    beats = []
    if RunKind.SHIP in kinds:
        beats.append(timers.Beat("ship", 1, ("ship", "--due")))
    if RunKind.BACKUP in kinds:
        beats.append(timers.Beat("backup", 1, ("backup", "--due")))
    if RunKind.DRILL in kinds:
        beats.append(timers.Beat("drill", 5, ("drill", "run", "--due")))
    if beats:
        # also without recipients: who is named later hears of what was wrong before
        beats.append(timers.Beat("notify", 10, ("notify", "check")))
        textfile = opened.config.metrics.textfile
        if textfile is not None:
            beats.append(timers.Beat("metrics", 5, ("metrics", "--textfile", str(opened.place(textfile)))))
    return beats


def program(opened: "Site") -> timers.Program:
    """How this very drmgr is started for this site."""
    started = Path(sys.argv[0]).absolute()
    argv = (str(started),) if started.name == "drmgr" else (sys.executable, "-m", "drmgr.cli.main")
    config = opened.config
    writable = [opened.state, opened.evidence_directory, opened.place(config.scratch.directory)]
    if config.store.kind == "folder":
        writable.append(opened.place(config.store.path))
    if config.metrics.textfile is not None:
        writable.append(opened.place(config.metrics.textfile).parent)
    user = _account(opened)
    return timers.Program(config.site.id, argv, opened.loaded.path, tuple(writable), _shares_tmp(opened), user)


def _account(opened: "Site") -> str:
    """Whose the site's state is: what another account leaves there, root too, that one could not use any more."""
    number = (opened.state if opened.state.exists() else opened.loaded.path).stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        raise PreflightError(
            f"{opened.state} belongs to the number {number}, which is no account here",
            hint="give it to the account that is to run drmgr: chown -R",
        ) from None


def _shares_tmp(opened: "Site") -> bool:
    """Whether anything that the site file names lies where a service would have a folder of its own."""
    values = list(_strings(opened.config.model_dump(mode="json", context={"base": opened.loaded.base})))
    return any(value.startswith(("/tmp/", "/var/tmp/")) for value in [str(opened.loaded.path), *values])  # noqa: S108


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


class Installer:
    """Works out the changes, and makes them. ``into``: only files are written, all into that folder."""

    def __init__(self, opened: "Site", into: Path | None = None) -> None:
        self._opened = opened
        self._runner: Runner = opened.runner
        self._program = program(opened)
        self._into = into
        self._root = os.geteuid() == 0

    @property
    def cron_file(self) -> Path:
        return (self._into or CRON_D) / f"drmgr-{self._opened.config.site.id}"

    @property
    def units(self) -> Path:
        return self._into or UNITS

    def plan(self, how: str | None) -> list[Change]:
        """What has to change so that cron, systemd or nobody (None) starts drmgr for this site.

        Raises ConfigError for secrets that would not be there, NotAllowedError for another site's files.
        """
        beats = [] if how is None else wanted_beats(self._opened)
        if how is not None:
            self._refuse_environment()
        changes = [
            *self._cron_changes(beats if how == "cron" else []),
            *self._unit_changes(beats if how == "systemd" else []),
        ]
        return [change for change in changes if change.before != change.after]

    def installed(self) -> str | None:
        """Which of the two starts drmgr for this site now, complete and up to date; None when neither does."""
        for how in ("cron", "systemd"):
            try:
                if not self.plan(how):
                    return how if wanted_beats(self._opened) else None
            except (ConfigError, NotAllowedError, PreflightError):
                # what cannot be looked at here, as a crontab where there is no cron, starts nothing either
                continue
        return None

    def apply(self, changes: list[Change]) -> None:
        """Makes the changes. Raises PreflightError, ToolError."""
        timers_before = {change.name for change in changes if change.name.endswith(".timer") and change.before}
        for change in changes:
            if not change.after and change.name in timers_before:
                self._systemctl("disable", "--now", Path(change.name).name)
        for change in changes:
            self._write(change)
        units = [
            change for change in changes if change.path is not None and change.path.suffix in {".timer", ".service"}
        ]
        if units:
            self._systemctl("daemon-reload")
        for change in units:
            assert change.path is not None
            if change.after and change.path.suffix == ".timer":
                self._systemctl("enable", "--now", change.path.name)

    def refuse_without(self, how: str) -> None:
        """Raises when what was asked for would never start anything here."""
        if self._into is not None:
            return
        if how == "systemd" and not self._root:
            raise NotAllowedError("only root may install units", hint="say --cron, or run it with sudo")
        if how == "systemd" and not SYSTEMD_RUNS.is_dir():
            raise ToolError("systemd does not run on this host", hint="say --cron, or write the files with --into DIR")
        if how == "cron":
            try:
                find_program("cron", ADMIN)
            except ToolError:
                find_program("crond", ADMIN)

    # --- cron ---

    def _cron_changes(self, beats: list[timers.Beat]) -> Iterator[Change]:
        """As root a file of our own under /etc/cron.d; else a marked block in the account's crontab."""
        if self._root or self._into:
            lines = timers.cron_lines(self._program, beats, named=True)
            before = self._read(self.cron_file)
            yield Change(self.cron_file, before, "\n".join([*lines, ""]) if lines else "")
            return
        try:
            before = self._crontab()
        except ToolError:
            if beats:
                raise
            return
        lines = timers.cron_lines(self._program, beats, named=False)
        try:
            yield Change(None, before, timers.with_block(before, self._program, lines))
        except ValueError as error:
            raise PreflightError(
                f"drmgr's block in the crontab cannot be told from the rest: {error}", hint="mend it with: crontab -e"
            ) from error

    def _crontab(self) -> str:
        done = self._runner.run(Command(("crontab", "-l")), timeout=30)
        if done.code != 0 and "no crontab for" not in done.stderr.lower():
            raise PreflightError(f"the crontab cannot be read: {done.stderr.strip()}", hint="try: crontab -l")
        return done.stdout.decode() if done.code == 0 else ""

    # --- systemd ---

    def _unit_changes(self, beats: list[timers.Beat]) -> Iterator[Change]:
        wanted: Mapping[str, str] = timers.unit_files(self._program, beats)
        prefix = timers.unit_prefix(self._program)
        names = ("ship", "backup", "drill", "notify", "metrics")
        possible = [f"{prefix}{name}.{kind}" for name in names for kind in ("service", "timer")]
        for name in possible:
            path = self.units / name
            yield Change(path, self._read(path), wanted.get(name, ""))

    def _systemctl(self, *words: str) -> None:
        if self._into is not None or not SYSTEMD_RUNS.is_dir():
            return
        done = self._runner.run(Command(("systemctl", *words)), timeout=60)
        if done.code != 0:
            raise PreflightError(
                f"systemctl {' '.join(words)} failed: {done.stderr.strip()}", hint="see: journalctl -xe"
            )

    # --- both ---

    def _read(self, path: Path) -> str:
        """The file as it is. Raises NotAllowedError for one that is not this site's."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise PreflightError(f"{path} cannot be read: {error.strerror}", hint="run it as root") from error
        if text and self._program.mark.replace("%", "%%") not in text and self._program.mark not in text:
            raise NotAllowedError(
                f"{path} belongs to another site file",
                hint="give each site of a host its own site.id, or remove that file",
            )
        return text

    def _write(self, change: Change) -> None:
        if change.path is None:
            done = self._runner.run(Command(("crontab", "-"), stdin=change.after.encode()), timeout=30)
            if done.code != 0:
                raise PreflightError(f"the crontab was not taken: {done.stderr.strip()}", hint="try: crontab -e")
            return
        try:
            if change.after:
                write_atomically(change.path, change.after.encode(), mode=0o644)
            else:
                change.path.unlink(missing_ok=True)
        except OSError as error:
            raise PreflightError(
                f"{change.path} cannot be written: {error.strerror}", hint="run it as root, or write with --into DIR"
            ) from error

    def _refuse_environment(self) -> None:
        """Cron and systemd start drmgr with an environment of their own: a secret there would be missing every night."""
        found = sorted(environment_secrets(self._opened))
        if found:
            raise ConfigError(
                f"the site file takes secrets from the environment ({', '.join(found)}), which is not there at night",
                hint="write each into a file that only drmgr's account can read, and name it as file:PATH",
            )


def environment_secrets(opened: "Site") -> set[str]:
    """Names of the environment variables that the site file refers to."""
    return set(_variables(opened.config))


def _variables(value: object) -> Iterator[str]:
    from pydantic import BaseModel

    from drmgr.config.values import SecretRef

    if isinstance(value, SecretRef):
        if value.scheme == "env":
            yield value.name
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _variables(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _variables(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _variables(each)
