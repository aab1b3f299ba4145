"""What pg_basebackup wrote: unpacked as a stream, and proven file by file against its own manifest."""

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from drmgr.errors import LoadError, ScratchError
from drmgr.scratch.server import server_programs
from drmgr.system.command import Command, Runner

ARCHIVE = "base.tar"
BASE_MANIFEST = "backup_manifest"
COPIED_AT_ONCE = 1 << 20
WRITTEN_FOR_THE_BACKUP = (BASE_MANIFEST, "tablespace_map")


def unpack(archive: Path, data: Path) -> None:
    """Writes the files of the archive below ``data``, which must not exist, and removes the archive.

    Raises LoadError for an archive that is none of pg_basebackup's, ScratchError when its files cannot be written.
    """
    data.mkdir(mode=0o700)
    try:
        with tarfile.open(archive, "r|") as stream:
            for member in stream:
                _write(stream, member, data)
                # the list of what was read would grow with the number of files
                stream.members.clear()  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        raise LoadError(f"the archive of the server's files cannot be unpacked: {type(error).__name__}") from error
    except OSError as error:
        raise ScratchError(f"the server's files cannot be written below {data}: {error.strerror}") from error
    archive.unlink()


def _write(stream: tarfile.TarFile, member: tarfile.TarInfo, data: Path) -> None:
    """Owner, rights and links of the archive are not taken over. By hand, for Debian 12's tarfile has no filters yet."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise LoadError("the archive of the server's files names a place outside of them")
    place = data / name
    if member.isdir():
        place.mkdir(mode=0o700, exist_ok=True)
        return
    content = stream.extractfile(member) if member.isreg() else None
    if content is None:
        raise LoadError(f"the archive of the server's files holds {name}, which is neither a file nor a folder")
    with content, place.open("xb") as file:
        place.chmod(0o600)
        shutil.copyfileobj(content, file, COPIED_AT_ONCE)


def prove_base(data: Path, log: Path, version: str, runner: Runner) -> None:
    """Every file of the manifest is there with its hash, no other is, and the log of the backup is whole.

    Raises LoadError when it is not so, ScratchError when it cannot be looked at.
    """
    if not (data / BASE_MANIFEST).is_file():
        raise LoadError("the restored files come without the list that pg_basebackup made of them")
    program = server_programs(version) / "pg_verifybackup"
    if not program.is_file():
        raise ScratchError(
            f"pg_verifybackup of PostgreSQL {version} is not there, so the restored files cannot be proven",
            hint=f"install the package postgresql-{version.split('.', maxsplit=1)[0]}",
        )
    done = runner.run(Command((str(program), "--quiet", f"--wal-directory={log}", str(data))))
    if done.code != 0:
        raise LoadError(f"the restored files are not those that pg_basebackup wrote: {_reason(done.stderr)}")
    for name in WRITTEN_FOR_THE_BACKUP:
        (data / name).unlink(missing_ok=True)


def _reason(stderr: str) -> str:
    lines = [line.partition("error: ")[2] for line in stderr.splitlines() if "error: " in line]
    return "; ".join(lines[:3])[:300] or "pg_verifybackup gave no reason"
