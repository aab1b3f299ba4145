"""What stands between a restore and a hospital's living data."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from drmgr.errors import NotAllowedError


def refuse_production(target: str, production: Mapping[str, str]) -> None:
    """Raises NotAllowedError when ``target`` is the identity of any production source (name → identity)."""
    for name, identity in production.items():
        if identity == target:
            raise NotAllowedError(
                f"the target is the production source {name} itself",
                hint="restore beside it, into another database or folder; drmgr never writes over a source",
            )


def refuse_source_folders(target: Path, roots: Mapping[str, Path]) -> None:
    """Raises NotAllowedError when ``target`` is, or lies in, a folder that is backed up (name → its top)."""
    real = target.resolve()
    for name, root in roots.items():
        if real.is_relative_to(root.resolve()):
            raise NotAllowedError(
                f"the folder {target} lies in the production source {name}",
                hint="restore beside it and move what you need; drmgr never writes into a source",
            )


def refuse_outside_originals(system: str, allowed: Collection[str]) -> None:
    """Raises NotAllowedError unless the site file allows that system to be restored in its own place."""
    if system not in allowed:
        raise NotAllowedError(
            f"the site file does not allow {system} to be restored in its own place",
            hint="name it under restore.allow.original in the site file; that is the hospital's decision",
        )


def refuse_shared_place(system: str, others: Mapping[str, str]) -> None:
    """Raises NotAllowedError when other systems' sources (SYSTEM/SOURCE → connection) lie in a place of this system's."""
    for name, connection in others.items():
        raise NotAllowedError(
            f"{name} lies in the same place ({connection}) as {system}, and would be set aside with it",
            hint="restore with --to scratch or --to connection:NAME, and bring back what is needed",
        )


def refuse_outside_connections(name: str, allowed: Collection[str]) -> None:
    """Raises NotAllowedError unless the site file allows restores into that connection."""
    if name not in allowed:
        raise NotAllowedError(f"the site file does not allow a restore into the connection {name}")


def refuse_outside_tables(name: str, allowed: Collection[str]) -> None:
    """Raises NotAllowedError unless the site file allows tables to be laid into that connection's database."""
    if name not in allowed:
        raise NotAllowedError(
            f"the site file does not allow tables to be laid into the database of {name}",
            hint="name it under restore.allow.tables in the site file; that is the hospital's decision",
        )


def refuse_outside_folders(target: Path, allowed: Sequence[Path], *, begun: bool = False) -> Path:
    """The real path of ``target``, which is empty or absent and lies below an allowed folder.

    Links are followed first, so none can lead out. ``begun``: what is in it is of the restore that goes on. Raises
    NotAllowedError.
    """
    real = target.resolve()
    if not any(folder.resolve() in real.parents for folder in allowed):
        raise NotAllowedError(f"the site file does not allow a restore into the folder {target}")
    if not begun and real.exists() and (not real.is_dir() or any(real.iterdir())):
        raise NotAllowedError(f"the folder {target} is not empty", hint="name a new folder; nothing is written over")
    return real
