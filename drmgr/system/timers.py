"""The texts by which cron or systemd start drmgr, and how they are put in place. Nothing of anybody else's is touched."""

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Cron's own has no place for programs that an administrator installed."""


@dataclass(frozen=True)
class Beat:
    """One command that is started again and again: ``minutes`` apart, with these arguments after the site file."""

    name: str
    minutes: int
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """How drmgr is started for one site, and as which account. ``writable`` are the folders that it changes.

    ``shares_tmp``: a path of the site lies below /tmp, for instance a server's socket, so that a service must see it.
    """

    site: str
    argv: tuple[str, ...]
    config: Path
    writable: tuple[Path, ...] = ()
    shares_tmp: bool = False
    user: str = "root"

    def command(self, beat: Beat) -> tuple[str, ...]:
        return (*self.argv, "--config", str(self.config), *beat.arguments)

    @property
    def mark(self) -> str:
        """What tells this site's lines from those of others, and from another site of the same name."""
        return f"drmgr {self.site} ({self.config})"


# --- cron -------------------------------------------------------------------------------------------------------------


def cron_lines(program: Program, beats: Sequence[Beat], *, named: bool) -> list[str]:
    """The lines of a crontab, with the account's name in them (``named``) for a file under /etc/cron.d.

    No variable is set: in a crontab it would hold for the lines of others below. Times are left to drmgr: Debian's cron
    knows no time zone but the host's.
    """
    if not beats:
        return []
    lines = [f"# BEGIN {program.mark}", "# made by: drmgr schedule install; changes here are lost"]
    for beat in beats:
        every = "*" if beat.minutes == 1 else f"*/{beat.minutes}"
        # cron takes a percent sign for the end of the line
        command = shlex.join(("/usr/bin/env", f"PATH={PATH}", *program.command(beat))).replace("%", r"\%")
        who = f" {program.user}" if named else ""
        lines.append(f"{every} * * * *{who} {command} >/dev/null")
    return [*lines, f"# END {program.mark}"]


def with_block(crontab: str, program: Program, lines: Sequence[str]) -> str:
    """The crontab with this site's block replaced, put at its end, or taken out; every other line as it was.

    Raises ValueError when the block has no end: then nobody can tell whose lines follow.
    """
    begin, end = f"# BEGIN {program.mark}", f"# END {program.mark}"
    kept: list[str] = []
    inside = False
    for line in crontab.splitlines():
        if line.strip() == begin:
            if inside:
                raise ValueError("it begins twice")
            inside = True
        elif inside and line.strip() == end:
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError("it has no end")
    text = "\n".join([*kept, *lines])
    return f"{text}\n" if text else ""


# --- systemd ----------------------------------------------------------------------------------------------------------

_SERVICE = """\
# made by: drmgr schedule install; changes here are lost
[Unit]
Description={mark}: {name}
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=oneshot
User={user}
ExecStart={command}
Environment=PATH={path}
# a backup may take hours, and is asked to end before it is killed
TimeoutStartSec=infinity
TimeoutStopSec=5min
KillMode=mixed
Nice=5
UMask=0077
# what drmgr and the servers of drills have no use for
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable}
{tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
"""

_TIMER = """\
# made by: drmgr schedule install; changes here are lost
[Unit]
Description={mark}: {name}

[Timer]
# drmgr itself knows what is due, in the zone of its site file, and makes up what was missed
OnCalendar=*:0/{minutes}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def unit_prefix(program: Program) -> str:
    """The names of all of this site's units begin so."""
    return f"drmgr-{program.site}-"


def unit_files(program: Program, beats: Sequence[Beat]) -> dict[str, str]:
    """Name and text of a service and a timer for each."""
    files: dict[str, str] = {}
    for beat in beats:
        names = {"mark": program.mark.replace("%", "%%"), "name": beat.name}
        command = " ".join(_unit_word(word).replace("$", "$$") for word in program.command(beat))
        # a folder that is not there yet must not keep the service from starting
        writable = " ".join(_unit_word(f"-{place}") for place in program.writable)
        stem = f"{unit_prefix(program)}{beat.name}"
        tmp = "ReadWritePaths=/tmp /var/tmp" if program.shares_tmp else "PrivateTmp=yes"
        service = _SERVICE.format(**names, command=command, path=PATH, writable=writable, tmp=tmp, user=program.user)
        files[f"{stem}.service"] = service
        files[f"{stem}.timer"] = _TIMER.format(**names, minutes=beat.minutes)
    return files


def _unit_word(word: str) -> str:
    """Quoted as systemd.syntax(7) has it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if escaped and not set(escaped) & set(" \t'\"\\;") else f'"{escaped}"'


def diff(before: str, after: str, name: str) -> str:
    """What changes, line by line; empty when nothing does."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (now)", f"{name} (new)", lineterm="", n=1
    )
    return "\n".join(lines)
