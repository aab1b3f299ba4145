"""The restored files of a PostgreSQL cluster: put where they belong, proven whole, and cut off from production."""

import getpass
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drmgr.errors import LoadError
from drmgr.scratch.basebackup import ARCHIVE, BASE_MANIFEST, unpack

CLUSTER, LABEL, WAL = "cluster", "label", "wal"
TABLESPACE, REREAD = "tablespace-", "reread-"
EMPTIED = ("pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans")
REPLACED = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")
AS_BACKED_UP = "as-backed-up"
"""Beside the data: production's settings, for a restore in its own place."""
SEGMENT = re.compile(r"(?P<relation>\d+(?:_fsm|_vm|_init)?)(?:\.(?P<number>\d+))?")


@dataclass(frozen=True)
class Restored:
    """Where the parts lie, and the home the server gets."""

    parts: Path
    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "wal"

    @property
    def tablespaces(self) -> Path:
        return self.home / "tablespaces"


def arrange(restored: Restored, manifest: str) -> None:
    """Moves the parts to where the server wants them; all lie on one file system, so nothing is copied.

    ``manifest`` names the list of the files beside the label; empty for a backup that has none. pg_basebackup's own list
    and label lie among the files; see basebackup.prove_base. Raises LoadError.
    """
    parts = restored.parts
    for part in (CLUSTER, LABEL, WAL):
        if not (parts / part).is_dir():
            raise LoadError(f"the part {part} of the physical backup is not there")
    for again in sorted(parts.glob(f"{REREAD}*")):
        _merge(again, parts / again.name.removeprefix(REREAD))
    if (parts / CLUSTER / ARCHIVE).is_file():
        unpack(parts / CLUSTER / ARCHIVE, restored.data)
    else:
        (parts / CLUSTER).rename(restored.data)
    _unlink_strangers(restored.data)
    restored.tablespaces.mkdir(mode=0o700)
    for stored in sorted(parts.glob(f"{TABLESPACE}*")):
        place = restored.tablespaces / stored.name.removeprefix(TABLESPACE)
        stored.rename(place)
        (restored.data / "pg_tblspc" / place.name).symlink_to(place)
    if manifest != BASE_MANIFEST:
        if manifest:
            _prove_whole(restored, parts / LABEL / manifest)
        shutil.copyfile(parts / LABEL / "backup_label", restored.data / "backup_label")
    _arrange_log(restored)


def _merge(source: Path, target: Path) -> None:
    """Moves every file below ``source`` to the same place below ``target``, where it must not be yet."""
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            if (place / name).exists():
                raise LoadError(f"two parts of the physical backup hold the file {name}")
            (Path(folder) / name).rename(place / name)


def _unlink_strangers(data: Path) -> None:
    """Takes away links that lead out of the files. Raises LoadError for one that is not of settings or tablespaces."""
    for entry in os.scandir(data):
        if entry.is_symlink():
            if not re.search(r"\.(conf|crt|key|pem)$", entry.name):
                raise LoadError(f"the restored files hold a link named {entry.name} that leads elsewhere")
            Path(entry.path).unlink()
    (data / "pg_tblspc").mkdir(mode=0o700, exist_ok=True)
    for link in (data / "pg_tblspc").iterdir():
        if link.is_symlink():
            link.unlink()


def _prove_whole(restored: Restored, manifest: Path) -> None:
    """Every file that was stored is there with every byte, and no other. Raises LoadError."""
    try:
        wanted: Mapping[str, int] = json.loads(manifest.read_bytes())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise LoadError("the list of the backup's files cannot be read") from error
    found = {str(path.relative_to(restored.data)): path.stat().st_size for path in _files(restored.data)}
    for place in restored.tablespaces.iterdir():
        prefix = f"pg_tblspc/{place.name}"
        found |= {f"{prefix}/{path.relative_to(place)}": path.stat().st_size for path in _files(place)}
    wrong = {
        "missing": wanted.keys() - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "of another size": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]},
    }
    told = [f"{len(names)} {how}, such as {min(names)}" for how, names in wrong.items() if names]
    if told or not wanted:
        raise LoadError(f"the restored files are not those that were stored: {'; '.join(told) or 'none are listed'}")


def _arrange_log(restored: Restored) -> None:
    (restored.parts / WAL).rename(restored.log)
    for shipped in sorted(restored.parts.glob("logs-*")):
        for file in shipped.iterdir():
            # a segment that is in the backup and was shipped as well is the same segment
            if not (restored.log / file.name).exists():
                file.rename(restored.log / file.name)
    for partial in restored.log.glob("*.partial"):
        whole = partial.with_suffix("")
        if not whole.exists():
            partial.rename(whole)


def cut_off(data: Path, admin: str) -> None:
    """Takes away all that ties the files to production."""
    kept = data.parent / AS_BACKED_UP
    kept.mkdir(mode=0o700)
    for name in REPLACED:
        if (data / name).exists():
            (data / name).rename(kept / name)
    for name in ("standby.signal", "recovery.signal", "postmaster.pid"):
        (data / name).unlink(missing_ok=True)
    for name in EMPTIED:
        (data / name).mkdir(mode=0o700, exist_ok=True)
    (data / "pg_wal" / "archive_status").mkdir(mode=0o700, parents=True, exist_ok=True)
    # the roles are production's, so nobody's password is ours to know: who may open the socket is settled by the
    # operating system, and the socket lies in a directory that only we can enter
    role, us = admin.replace('"', '""'), getpass.getuser() if os.geteuid() else "root"
    lines = (f'local all "{role}" peer map=drmgr', f'local replication "{role}" peer map=drmgr')
    (data / "pg_hba.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (data / "pg_ident.conf").write_text(f'drmgr {us} "{role}"\n', encoding="utf-8")


def refuse_gaps(data: Path, segment_bytes: int) -> None:
    """No table or index lacks a file in its middle: PostgreSQL would take what lies before the gap for all of it.

    Raises LoadError.
    """
    relations: dict[str, dict[int, int]] = {}
    for top in (data / "base", data / "global", *(data / "pg_tblspc").iterdir()):
        for path in _files(top):
            match = SEGMENT.fullmatch(path.name)
            if match is not None:
                numbers = relations.setdefault(str(path.parent / match["relation"]), {})
                numbers[int(match["number"] or 0)] = path.stat().st_size
    for name, numbers in relations.items():
        for number in range(1, max(numbers) + 1):
            # what was cut off at the end stays as empty files
            if numbers.get(number, 1) > 0 and numbers.get(number - 1, -1) != segment_bytes:
                raise LoadError(f"the file {Path(name).name}.{number - 1} of a table or index is not whole")


def _files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder; links in it are not followed, the folder itself may be one."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if not path.is_symlink():
                yield path
